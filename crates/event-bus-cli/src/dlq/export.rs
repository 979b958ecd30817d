//! Dead letters for other tools.

use clap::ValueEnum;
use event_bus::KafkaConfig;
use event_bus::dead_letters::{Found, originals};
use event_bus::kafka::Record;
use event_bus_ops::export::{COLUMNS, cells, row};
use serde_json::json;

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
    /// Where their values are read from, if they are wanted.
    kafka: Option<&'a KafkaConfig>,
}

impl<'a> Export<'a> {
    pub(super) fn start(
        output: &'a mut Output,
        format: Format,
        kafka: Option<&'a KafkaConfig>,
    ) -> anyhow::Result<Self> {
        if format == Format::Csv {
            let value = kafka.map(|_| "value");
            output.text(&row(COLUMNS.into_iter().chain(value).map(str::to_owned))?)?;
        }
        Ok(Self { output, format, kafka })
    }

    pub(super) async fn write(&mut self, letters: &[&Found]) -> anyhow::Result<()> {
        for letters in letters.chunks(AT_ONCE) {
            let records = match self.kafka {
                Some(kafka) => originals(kafka, letters).await?,
                None => std::collections::HashMap::new(),
            };
            for found in letters {
                let record = records.get(&found.letter.id);
                match self.format {
                    Format::Ndjson => self.output.json_line(&self.json(found, record))?,
                    Format::Csv => self.output.text(&row(self.cells(found, record))?)?,
                }
            }
        }
        self.output.flush()
    }

    fn json(&self, found: &Found, record: Option<&Record>) -> serde_json::Value {
        let mut line = json!(found);
        if self.kafka.is_some() {
            line["headers"] =
                record.map(|record| record.headers.iter().map(header).collect::<Vec<_>>()).into();
            line["value"] = record.map(text).into();
        }
        line
    }

    fn cells(&self, found: &Found, record: Option<&Record>) -> impl Iterator<Item = String> {
        let value = self.kafka.map(|_| record.map(text).unwrap_or_default());
        cells(found).into_iter().chain(value)
    }
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
