//! `event-bus trace`: the way of an order, an organisation or an event through all topics.

use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::reader::{Reader, Until};
use serde_json::Value;

use crate::exit::Exit;
use crate::global::Global;
use crate::settings::Settings;
use crate::view::Seen;
use crate::{progress, selection};

#[derive(clap::Args)]
pub struct Args {
    /// An id: a part of the record key, any text in the payload, or an event id; whole, not a part of one
    value: String,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let kafka = settings.kafka()?;
        let topics = selection::topics(&catalogue, &[], true)?;
        let topics = selection::existing(&Admin::connect(&kafka)?, topics).await?;
        let mut reader = Reader::start(&kafka, &topics, Position::Start, Until::CaughtUp).await?;
        let bar = progress::bar(Some(reader.total()), "records");
        let mut found = Vec::new();
        while let Some(records) = reader.next().await? {
            bar.inc(records.len() as u64);
            let seen = records.into_iter().map(|record| Seen::new(record, &catalogue));
            found.extend(seen.filter(|seen| carries(seen, &self.value)));
        }
        bar.finish_and_clear();
        in_time_order(&mut found);
        let mut output = global.output();
        for seen in &found {
            if output.is_json() {
                output.json_line(&seen.json())?;
            } else {
                output.line(&seen.line(None))?;
            }
        }
        output.flush()?;
        if found.is_empty() {
            eprintln!("event-bus: no event carries {}", self.value);
        }
        Ok(Exit::Done)
    }
}

/// By the time at which a record came onto its topic: what an event causes can only come later. Within a millisecond
/// by the time that the event itself tells.
fn in_time_order(found: &mut [Seen]) {
    found.sort_by_cached_key(|seen| {
        let occurred_at = seen.envelope.as_ref().ok().map(|envelope| envelope.occurred_at);
        let Seen { record, .. } = seen;
        (record.timestamp_ms, occurred_at, record.topic.clone(), record.partition, record.offset)
    });
}

fn carries(seen: &Seen, value: &str) -> bool {
    let is_id = || seen.event_id.is_some_and(|id| id.to_string().eq_ignore_ascii_case(value));
    let in_key = || seen.key().is_some_and(|key| key_carries(&key, value));
    let in_payload = || match &seen.envelope {
        Ok(envelope) => json_carries(&envelope.payload.to_value(), value),
        // No envelope, but perhaps JSON.
        Err(_) => serde_json::from_slice(seen.record.value.as_deref().unwrap_or_default())
            .is_ok_and(|json| json_carries(&json, value)),
    };
    is_id() || in_key() || in_payload()
}

/// A key is percent-encoded values joined by slashes; a key by another rule is compared as it is.
fn key_carries(key: &str, value: &str) -> bool {
    key == value
        || key.split('/').any(|segment| decoded(segment).as_deref() == Some(value.as_bytes()))
}

fn decoded(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

fn json_carries(json: &Value, value: &str) -> bool {
    match json {
        Value::String(text) => text == value,
        Value::Array(items) => items.iter().any(|item| json_carries(item, value)),
        Value::Object(fields) => fields.values().any(|field| json_carries(field, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_carries_its_whole_decoded_segments() {
        assert!(key_carries("thomas-sanderson/ORD-1", "ORD-1"));
        assert!(key_carries("a%20b/x%2Fy", "a b"));
        assert!(key_carries("a%20b/x%2Fy", "x/y"));
        assert!(key_carries("any key", "any key"));
        assert!(!key_carries("thomas-sanderson/ORD-11", "ORD-1"));
        assert!(!key_carries("broken%2/x", "broken%2"));
    }

    #[test]
    fn a_payload_carries_its_whole_strings_at_any_depth() {
        let payload = json!({ "order_id": "ORD-1", "lines": [{ "sku": "LOU-1" }], "quantity": 7 });
        assert!(json_carries(&payload, "ORD-1"));
        assert!(json_carries(&payload, "LOU-1"));
        for absent in ["ORD", "order_id", "7"] {
            assert!(!json_carries(&payload, absent), "{absent}");
        }
    }
}
