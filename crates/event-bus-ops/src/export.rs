//! Dead letters for other tools.

use event_bus::dead_letters::Found;
use event_bus::kafka::Record;
use serde_json::{Value, json};

use crate::desk::Content;

/// The columns of a table of dead letters.
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

/// What goes along of a dead letter's record; nothing of one that retention took.
#[derive(Clone, Debug, Default)]
pub struct Along {
    headers: Value,
    value: Option<String>,
}

impl Along {
    /// Of a record as it is.
    #[must_use]
    pub fn of_record(record: Option<&Record>) -> Self {
        let Some(record) = record else { return Self::default() };
        let headers = record.headers.iter();
        let headers =
            headers.map(|one| json!([one.name, one.value.as_deref().map(String::from_utf8_lossy)]));
        let value = record.value.as_deref().unwrap_or_default();
        Self {
            headers: headers.collect(),
            value: Some(String::from_utf8_lossy(value).into_owned()),
        }
    }

    /// Of what an ops process tells of a record.
    #[must_use]
    pub fn of_content(content: Option<Content>) -> Self {
        content.map_or_else(Self::default, |content| Self {
            headers: json!(content.headers),
            value: content.value,
        })
    }
}

/// A dead letter as a line of JSON, with what goes along.
#[must_use]
pub fn json_line(found: &Found, along: Option<Along>) -> Value {
    let mut line = json!(found);
    if let Some(Along { headers, value }) = along {
        (line["headers"], line["value"]) = (headers, value.into());
    }
    line
}

/// The line of comma-separated values that is above all others.
///
/// # Errors
/// See [`row`].
pub fn head(has_values: bool) -> Result<String, csv::Error> {
    row(COLUMNS.into_iter().chain(has_values.then_some("value")).map(str::to_owned))
}

/// A dead letter as a line of comma-separated values, with the value where it goes along.
///
/// # Errors
/// See [`row`].
pub fn csv_line(found: &Found, along: Option<Along>) -> Result<String, csv::Error> {
    row(cells(found).into_iter().chain(along.map(|along| along.value.unwrap_or_default())))
}

/// The cells of a dead letter.
fn cells(found: &Found) -> [String; COLUMNS.len()] {
    let letter = &found.letter;
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    [
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
    ]
}

/// A line of comma-separated values (RFC 4180), none of which a spreadsheet takes for a formula (OWASP, "CSV injection").
///
/// # Errors
/// None that a cell could cause.
fn row(cells: impl IntoIterator<Item = String>) -> Result<String, csv::Error> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.into_iter().map(harmless))?;
    let line = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn harmless(cell: String) -> String {
    let begins_one = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n', '\''];
    if cell.starts_with(begins_one) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        let cells =
            ["plain", "a,b", "say \"no\"", "=1+1", "-2", "@x", "\tx", "'y", "two\nlines", ""];
        let row = row(cells.map(str::to_owned)).unwrap();
        let wanted = "plain,\"a,b\",\"say \"\"no\"\"\",'=1+1,'-2,'@x,'\tx,''y,\"two\nlines\",\r\n";
        assert_eq!(row, wanted);
    }
}
