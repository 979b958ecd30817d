//! Dead letters for other tools.

use event_bus::dead_letters::Found;

/// The columns of a table of dead letters.
pub const COLUMNS: [&str; 20] = [
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

/// The cells of a dead letter.
#[must_use]
pub fn cells(found: &Found) -> [String; COLUMNS.len()] {
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
pub fn row(cells: impl IntoIterator<Item = String>) -> Result<String, csv::Error> {
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
