//! Dead letters for other tools.

use clap::ValueEnum;
use event_bus::KafkaConfig;
use event_bus::dead_letters::{Found, originals};
use event_bus::kafka::Record;
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

const COLUMNS: [&str; 20] = [
    "id",
    "state",
    "event_id",
    "event",
    "version",
    "tenant",
    "topic",
    "partition",
    "offset",
    "key",
    "group",
    "service",
    "reason",
    "error_type",
    "message",
    "fingerprint",
    "attempts",
    "replays",
    "first_failed_at",
    "failed_at",
];

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
        let mut line = json!({ "letter": found.letter, "state": found.state });
        if self.kafka.is_some() {
            line["headers"] =
                record.map(|record| record.headers.iter().map(header).collect::<Vec<_>>()).into();
            line["value"] = record.map(text).into();
        }
        line
    }

    fn cells(&self, found: &Found, record: Option<&Record>) -> impl Iterator<Item = String> {
        let letter = &found.letter;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells = [
            letter.id.to_string(),
            found.state.to_string(),
            letter.event_id.to_string(),
            or_empty(&letter.event),
            or_empty(&letter.version),
            or_empty(&letter.tenant),
            letter.topic.to_string(),
            letter.partition.to_string(),
            letter.offset.to_string(),
            letter.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned(),
            letter.group.to_string(),
            letter.service.clone(),
            letter.reason.clone(),
            letter.error_type.clone(),
            letter.message.clone(),
            letter.fingerprint.clone(),
            letter.attempts.to_string(),
            letter.replays.to_string(),
            letter.first_failed_at.to_string(),
            letter.failed_at.to_string(),
        ];
        let value = self.kafka.map(|_| record.map(text).unwrap_or_default());
        cells.into_iter().chain(value)
    }
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// A line of cells, none of which a spreadsheet takes for a formula (OWASP, "CSV injection").
fn row(cells: impl Iterator<Item = String>) -> anyhow::Result<String> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.map(harmless))?;
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) {
        format!("'{cell}")
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        let cells =
            ["plain", "a,b", "say \"no\"", "=1+1", "-2", "@x", "\tx", "'y", "two\nlines", ""];
        let row = row(cells.into_iter().map(str::to_owned)).unwrap();
        let wanted = "plain,\"a,b\",\"say \"\"no\"\"\",'=1+1,'-2,'@x,'\tx,''y,\"two\nlines\",\r\n";
        assert_eq!(row, wanted);
    }
}
