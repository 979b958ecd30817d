//! Which events an id stands in: those of an order, of an organisation or of an event's own. Pure.

use event_bus::names::TopicName;
use jiff::Timestamp;
use serde_json::Value;

use crate::seen::Seen;

/// By the time at which a record came onto its topic: what an event causes can only come later. Within a millisecond
/// by the time that the event itself tells.
pub fn in_time_order(found: &mut [Seen]) {
    found.sort_by_cached_key(place);
}

/// What records are put into their order by.
pub(crate) fn place(seen: &Seen) -> Place {
    let occurred_at = seen.envelope.as_ref().ok().map(|envelope| envelope.occurred_at);
    let Seen { record, .. } = seen;
    (record.timestamp_ms, occurred_at, record.topic.clone(), record.partition, record.offset)
}

/// See [`place`].
pub(crate) type Place = (i64, Option<Timestamp>, TopicName, i32, i64);

/// Whether a record carries a value: as its event's id, in its key, or as a text of this payload of it.
#[must_use]
pub fn carries(seen: &Seen, payload: Option<Value>, value: &str) -> bool {
    let is_id = seen.event_id.is_some_and(|id| id.to_string().eq_ignore_ascii_case(value));
    let in_key = || seen.key().is_some_and(|key| key_carries(&key, value));
    is_id || in_key() || payload.is_some_and(|payload| json_carries(&payload, value))
}

/// All that a record's payload says, or its value where that is no envelope and yet JSON.
#[must_use]
pub fn whole_payload(seen: &Seen) -> Option<Value> {
    match &seen.envelope {
        Ok(envelope) => Some(envelope.payload.to_value()),
        Err(_) => serde_json::from_slice(seen.record.value.as_deref().unwrap_or_default()).ok(),
    }
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
