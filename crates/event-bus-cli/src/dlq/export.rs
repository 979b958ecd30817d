//! Dead letters for other tools.

use clap::ValueEnum;
use event_bus::KafkaConfig;
use event_bus::dead_letters::{Found, originals};
use event_bus::kafka::Record;
use event_bus_ops::api::Content;
use event_bus_ops::export::{COLUMNS, cells, row};
use serde_json::{Value, json};

use super::show::header;
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
            let value = has_values.then_some("value");
            output.text(&row(COLUMNS.into_iter().chain(value).map(str::to_owned))?)?;
        }
        Ok(Self { output, format, has_values })
    }

    /// Dead letters, with their values where these are read from somewhere.
    pub(super) async fn write(
        &mut self,
        letters: &[&Found],
        kafka: Option<&KafkaConfig>,
    ) -> anyhow::Result<()> {
        for letters in letters.chunks(AT_ONCE) {
            let records = match kafka {
                Some(kafka) => originals(kafka, letters).await?,
                None => std::collections::HashMap::new(),
            };
            for found in letters {
                let record = records.get(&found.letter.id);
                let headers = record.map(|record| record.headers.iter().map(header).collect());
                self.line(found, headers, record.map(text))?;
            }
        }
        self.output.flush()
    }

    /// Dead letters with what an ops process told of their records.
    pub(super) fn tell(&mut self, letters: Vec<(Found, Option<Content>)>) -> anyhow::Result<()> {
        for (found, content) in letters {
            let (headers, value) = match content {
                Some(content) => (Some(json!(content.headers)), content.value),
                None => (None, None),
            };
            self.line(&found, headers, value)?;
        }
        self.output.flush()
    }

    fn line(
        &mut self,
        found: &Found,
        headers: Option<Value>,
        value: Option<String>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Ndjson => {
                let mut line = json!(found);
                if self.has_values {
                    (line["headers"], line["value"]) = (headers.into(), value.into());
                }
                self.output.json_line(&line)
            }
            Format::Csv => {
                let value = self.has_values.then(|| value.unwrap_or_default());
                self.output.text(&row(cells(found).into_iter().chain(value))?)
            }
        }
    }
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
