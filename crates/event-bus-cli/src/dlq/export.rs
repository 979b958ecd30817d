//! Dead letters for other tools.

use clap::ValueEnum;
use event_bus::dead_letters::{Found, originals};
use event_bus::kafka::admin::Admin;
use event_bus_ops::api::Content;
use event_bus_ops::export::{Along, csv_line, head, json_line};

use crate::output::Output;

/// So many values are read at once.
const AT_ONCE: usize = 1_000;

/// How dead letters are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line of JSON for each
    #[default]
    Ndjson,
    /// Comma-separated values (RFC 4180), in which no cell is a formula
    Csv,
}

/// Where they are written to, piece by piece.
pub(super) struct Export<'a> {
    output: &'a mut Output,
    format: Format,
    has_values: bool,
}

impl<'a> Export<'a> {
    pub(super) fn start(
        output: &'a mut Output,
        format: Format,
        has_values: bool,
    ) -> anyhow::Result<Self> {
        if format == Format::Csv {
            output.text(&head(has_values)?)?;
        }
        Ok(Self { output, format, has_values })
    }

    /// Dead letters, with their values where these are read from somewhere.
    pub(super) async fn write(
        &mut self,
        letters: &[&Found],
        admin: Option<&Admin>,
    ) -> anyhow::Result<()> {
        for letters in letters.chunks(AT_ONCE) {
            let records = match admin {
                Some(admin) => originals(admin, letters).await?,
                None => std::collections::HashMap::new(),
            };
            for found in letters {
                self.line(found, Along::of_record(records.get(&found.letter.id)))?;
            }
        }
        self.output.flush()
    }

    /// Dead letters with what an ops process told of their records.
    pub(super) fn tell(&mut self, letters: Vec<(Found, Option<Content>)>) -> anyhow::Result<()> {
        for (found, content) in letters {
            self.line(&found, Along::of_content(content))?;
        }
        self.output.flush()
    }

    fn line(&mut self, found: &Found, along: Along) -> anyhow::Result<()> {
        let along = self.has_values.then_some(along);
        match self.format {
            Format::Ndjson => self.output.json_line(&json_line(found, along)),
            Format::Csv => self.output.text(&csv_line(found, along)?),
        }
    }
}
