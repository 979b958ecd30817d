//! A record as a line for people.

use event_bus::dead_letter::error_chain;
use event_bus::headers;
use event_bus_ops::seen::{Seen, time};

use crate::output::printable;

/// When, where, what, for whom.
pub fn line(seen: &Seen, payload_chars_max: Option<usize>) -> String {
    let record = &seen.record;
    let key = seen.key().map_or_else(|| "(no key)".to_owned(), |key| printable(&key));
    let at = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
    let what = match &seen.envelope {
        Ok(envelope) => {
            let payload =
                cut(printable(&envelope.payload.to_value().to_string()), payload_chars_max);
            format!("{} {}  {payload}", envelope.event, envelope.version)
        }
        Err(error) => {
            let value = record.value.as_deref().map_or("null".into(), String::from_utf8_lossy);
            format!("({})  {}", error_chain(error), cut(printable(&value), payload_chars_max))
        }
    };
    let dead = if seen.is_dead_letter { failure(seen) } else { String::new() };
    format!("{}  {at}  {key}  {dead}{what}", time(record.timestamp_ms))
}

/// Why it is a dead letter.
fn failure(seen: &Seen) -> String {
    let header =
        |name| headers::last(&seen.record.headers, name).map_or_else(|| "?".to_owned(), printable);
    let (reason, group) = (header(headers::DLQ_REASON), header(headers::DLQ_ERRORS_GROUP));
    format!("[{reason} in {group}: {}]  ", header(headers::DLQ_ERRORS_MESSAGE))
}

fn cut(text: String, chars_max: Option<usize>) -> String {
    match chars_max {
        Some(max) if text.chars().count() > max => text.chars().take(max).chain(['…']).collect(),
        _ => text,
    }
}
