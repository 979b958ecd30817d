//! What goes to stdout: tables and lines for people, JSON for programs.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and lines
    #[default]
    Table,
    /// One JSON document; a line of JSON for each result where they come one by one
    Json,
}

/// Nobody reads stdout any more.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub struct StdoutClosed;

/// Buffered stdout.
pub struct Output {
    format: Format,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format, stdout: BufWriter::new(io::stdout()) }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn line(&mut self, line: &str) -> anyhow::Result<()> {
        told_apart(writeln!(self.stdout, "{line}"))
    }

    /// Text that says itself where its lines end.
    pub fn text(&mut self, text: &str) -> anyhow::Result<()> {
        told_apart(self.stdout.write_all(text.as_bytes()))
    }

    /// A line of JSON.
    pub fn json_line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(value)?;
        self.line(&line)
    }

    /// A JSON document that people may look at too.
    pub fn json_document(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let document = serde_json::to_string_pretty(value)?;
        self.line(&document)?;
        self.flush()
    }

    pub fn table(
        &mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header.iter().copied()).add_rows(rows);
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        if io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        self.line(&table.trim_fmt())?;
        self.flush()
    }

    /// Shows what was written so far.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        told_apart(self.stdout.flush())
    }
}

fn told_apart(written: io::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => StdoutClosed.into(),
        _ => anyhow::Error::new(error).context("stdout can't be written"),
    })
}

/// Text from elsewhere for a terminal: control characters, which may steer it, are shown escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c\n"), "a\\u{1b}[31mb\\u{9b}c\\n");
        assert_eq!(printable("Müller 😀"), "Müller 😀");
    }
}
