//! A record as it is shown: in a line for people, as JSON for programs.

use std::borrow::Cow;

use event_bus::catalogue::Catalogue;
use event_bus::dead_letter::error_chain;
use event_bus::envelope::{Envelope, ParseError};
use event_bus::headers;
use event_bus::kafka::Record;
use event_bus::names::EventId;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::output::printable;

/// A record and what is in it, if it is an event.
pub struct Seen {
    pub record: Record,
    pub envelope: Result<Envelope, ParseError>,
    pub event_id: Option<EventId>,
    pub is_dead_letter: bool,
}

impl Seen {
    pub fn new(record: Record, catalogue: &Catalogue) -> Self {
        let is_dead_letter = catalogue.event_of_dead_letter_topic(&record.topic).is_some();
        // A null value has no bytes, and no bytes are no JSON.
        let envelope = Envelope::parse(record.value.as_deref().unwrap_or_default());
        let event_id = event_id(&record, envelope.as_ref().ok(), is_dead_letter);
        Self { record, envelope, event_id, is_dead_letter }
    }

    /// The key as text.
    pub fn key(&self) -> Option<Cow<'_, str>> {
        self.record.key.as_deref().map(String::from_utf8_lossy)
    }

    /// The tenant; a record whose tenant can't be read has none.
    pub fn tenant(&self) -> Option<&str> {
        self.envelope.as_ref().ok().map(|envelope| envelope.tenant_id.as_str())
    }

    /// One line: when, where, what, for whom.
    pub fn line(&self, payload_chars_max: Option<usize>) -> String {
        let record = &self.record;
        let key = self.key().map_or_else(|| "(no key)".to_owned(), |key| printable(&key));
        let at = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
        let what = match &self.envelope {
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
        let dead = if self.is_dead_letter { self.failure() } else { String::new() };
        format!("{}  {at}  {key}  {dead}{what}", time(record.timestamp_ms))
    }

    /// Why it is a dead letter.
    fn failure(&self) -> String {
        let header = |name| {
            headers::last(&self.record.headers, name).map_or_else(|| "?".to_owned(), printable)
        };
        let (reason, group) = (header(headers::DLQ_REASON), header(headers::DLQ_ERRORS_GROUP));
        format!("[{reason} in {group}: {}]  ", header(headers::DLQ_ERRORS_MESSAGE))
    }

    /// Everything of the record.
    pub fn json(&self) -> Value {
        let record = &self.record;
        let headers: Vec<Value> = record
            .headers
            .iter()
            .map(|header| {
                let value = header.value.as_deref().map(String::from_utf8_lossy);
                json!({ "name": header.name, "value": value })
            })
            .collect();
        let mut document = json!({
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": time(record.timestamp_ms),
            "key": self.key(),
            "event_id": self.event_id,
            "headers": headers,
        });
        match &self.envelope {
            Ok(envelope) => {
                document["event"] = json!(envelope.event);
                document["version"] = json!(envelope.version);
                document["occurred_at"] = json!(envelope.occurred_at);
                document["service"] = json!(envelope.service);
                document["tenant_id"] = json!(envelope.tenant_id);
                document["payload"] = envelope.payload.to_value();
            }
            Err(error) => {
                document["problem"] = error_chain(error).into();
                document["value"] = json!(record.value.as_deref().map(String::from_utf8_lossy));
            }
        }
        document
    }
}

/// The id that the bus knows the event by. A dead letter stands elsewhere than its event stood, so it carries the id
/// of one that had none.
fn event_id(record: &Record, envelope: Option<&Envelope>, is_dead_letter: bool) -> Option<EventId> {
    let carried = || headers::last(&record.headers, headers::EVENT_ID)?.parse().ok();
    let is_replay = || headers::last(&record.headers, headers::REPLAY_ID).is_some();
    let derived = || {
        let value = record.value.as_deref().unwrap_or_default();
        EventId::of_position(
            &record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms,
            value,
        )
    };
    if let Some(id) = envelope.and_then(|envelope| envelope.event_id) {
        return Some(id);
    }
    if (is_dead_letter || is_replay())
        && let Some(id) = carried()
    {
        return Some(id);
    }
    (!is_dead_letter).then(derived)
}

fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}

fn cut(text: String, chars_max: Option<usize>) -> String {
    match chars_max {
        Some(max) if text.chars().count() > max => text.chars().take(max).chain(['…']).collect(),
        _ => text,
    }
}
