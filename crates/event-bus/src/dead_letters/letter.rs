//! What the headers of a dead letter say.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dead_letter::capped;
use crate::envelope::{Envelope, OutgoingRecord};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::names::{EventId, GroupName, TopicName};
use crate::replay::{Original, Replay};

/// Kinds of errors, reasons and the like have so many bytes at most; ours are far shorter.
const MAX_NAME_BYTES: usize = 256;

/// A dead letter without its value, which may be large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its name ([`headers::DLQ_ID`]).
    pub id: Uuid,
    /// The event's id.
    pub event_id: EventId,
    /// The dead letter topic that it is on.
    pub dead_letter_topic: TopicName,
    /// The partition there.
    pub dead_letter_partition: i32,
    /// The offset there.
    pub dead_letter_offset: i64,
    /// The original topic.
    pub topic: TopicName,
    /// The partition there.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The group that could not handle it.
    pub group: GroupName,
    /// The service of that group.
    pub service: String,
    /// One of the documented reasons.
    pub reason: String,
    /// The kind of the error.
    pub error_type: String,
    /// The error and its causes in one line.
    pub message: String,
    /// Equal for failures that look alike.
    pub fingerprint: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the first attempt failed.
    pub first_failed_at: Timestamp,
    /// When the last one failed.
    pub failed_at: Timestamp,
    /// How often it was replayed before.
    pub replays: u32,
    /// The dead letter whose replay died here.
    pub previous: Option<Uuid>,
    /// Its place among the dead letters of its parked key, from 1.
    pub chain_seq: Option<i64>,
    /// The tenant, where the value is an envelope.
    pub tenant: Option<String>,
    /// The event's name, where the value is an envelope.
    pub event: Option<String>,
    /// The version of its payload, where the value is an envelope.
    pub version: Option<String>,
    /// The record's key.
    #[serde(serialize_with = "key_text", deserialize_with = "text_key")]
    pub key: Option<Bytes>,
}

pub(super) fn key_text<S: serde::Serializer>(
    key: &Option<Bytes>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    key.as_deref().map(String::from_utf8_lossy).serialize(serializer)
}

fn text_key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Bytes::from))
}

/// A record of a dead letter topic that this library did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record at offset {offset} of partition {partition} of {topic} has no header {header} that can be read"
)]
pub struct LetterError {
    topic: TopicName,
    partition: i32,
    offset: i64,
    header: &'static str,
}

impl Letter {
    /// Reads a record of a dead letter topic.
    ///
    /// # Errors
    /// When a header is missing that each of our dead letters has.
    pub fn read(record: &Record) -> Result<Self, LetterError> {
        let value = record.value.as_deref().unwrap_or_default();
        let envelope = Envelope::parse(value).ok();
        Ok(Self {
            id: parsed(record, headers::DLQ_ID)?,
            event_id: parsed(record, headers::EVENT_ID)?,
            dead_letter_topic: record.topic.clone(),
            dead_letter_partition: record.partition,
            dead_letter_offset: record.offset,
            topic: parsed(record, headers::DLQ_ERRORS_TOPIC)?,
            partition: parsed(record, headers::DLQ_ERRORS_PARTITION)?,
            offset: parsed(record, headers::DLQ_ERRORS_OFFSET)?,
            group: parsed(record, headers::DLQ_ERRORS_GROUP)?,
            service: name(record, headers::DLQ_SERVICE)?,
            reason: name(record, headers::DLQ_REASON)?,
            error_type: name(record, headers::DLQ_ERROR_TYPE)?,
            message: capped(text(record, headers::DLQ_ERRORS_MESSAGE)?.to_owned()),
            fingerprint: name(record, headers::DLQ_FINGERPRINT)?,
            attempts: parsed(record, headers::DLQ_ERRORS_DELIVERY_COUNT)?,
            first_failed_at: parsed(record, headers::DLQ_FIRST_FAILED_AT)?,
            failed_at: parsed(record, headers::DLQ_FAILED_AT)?,
            replays: parsed(record, headers::DLQ_REPLAYS)?,
            previous: optional(&record.headers, headers::DLQ_PREVIOUS),
            chain_seq: optional(&record.headers, headers::DLQ_CHAIN_SEQ),
            tenant: envelope.as_ref().map(|envelope| envelope.tenant_id.to_string()),
            event: envelope.as_ref().map(|envelope| envelope.event.to_string()),
            version: envelope.as_ref().map(|envelope| envelope.version.to_string()),
            key: record.key.clone(),
        })
    }
}

impl Letter {
    /// The record of a replay of it: what `record` of it has, or an edited value.
    #[must_use]
    pub fn replayed(&self, replay: Uuid, record: Record) -> OutgoingRecord {
        let replay = Replay {
            id: replay,
            of: self.id,
            group: self.group.clone(),
            event_id: self.event_id,
            chain_seq: self.chain_seq,
        };
        replay.record(Original {
            topic: self.topic.clone(),
            partition: self.partition,
            key: record.key,
            value: record.value,
            headers: record.headers,
        })
    }
}

fn text<'a>(record: &'a Record, header: &'static str) -> Result<&'a str, LetterError> {
    headers::last(&record.headers, header).ok_or_else(|| LetterError {
        topic: record.topic.clone(),
        partition: record.partition,
        offset: record.offset,
        header,
    })
}

/// What a header names. Others may write longer texts, and an index over those would be refused.
fn name(record: &Record, header: &'static str) -> Result<String, LetterError> {
    let name = text(record, header)?;
    Ok(name[..name.floor_char_boundary(MAX_NAME_BYTES)].to_owned())
}

fn parsed<T: std::str::FromStr>(record: &Record, header: &'static str) -> Result<T, LetterError> {
    let missing = || LetterError {
        topic: record.topic.clone(),
        partition: record.partition,
        offset: record.offset,
        header,
    };
    text(record, header)?.parse().map_err(|_| missing())
}

fn optional<T: std::str::FromStr>(list: &[Header], header: &str) -> Option<T> {
    headers::last(list, header)?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dead_letter::{Cause, Obituary, Reason, dlq_id};

    /// A dead letter of a payment, as its consumer writes it.
    pub fn dead(offset: i64, message: &str, failed_at: &str) -> Record {
        let value = format!(
            r#"{{"event_id":"0197f3b4-7c1e-7b1a-9d55-{offset:012x}","event":"OrderPlaced","version":"1.0",
                "occurred_at":"2026-01-01T00:00:00Z","service":"retailer","tenant_id":"acme","payload":{{}}}}"#
        );
        let topic: TopicName = "shop.order.placed".parse().unwrap();
        let original = Record {
            topic: topic.clone(),
            partition: 2,
            offset,
            timestamp_ms: 0,
            key: Some(Bytes::from_static(b"acme/o-1")),
            value: Some(Bytes::from(value)),
            headers: vec![Header::text("a", "b")],
        };
        let at = failed_at.parse().unwrap();
        let group = "shop-payment-order-placed".parse().unwrap();
        let letter = Obituary {
            id: dlq_id(&group, &original),
            record: &original,
            event_id: format!("0197f3b4-7c1e-7b1a-9d55-{offset:012x}").parse().unwrap(),
            group: &group,
            service: &"payment".parse().unwrap(),
            cause: &Cause::new(Reason::RetriesExhausted, "Declined", message),
            attempts: 4,
            first_failed_at: at,
            failed_at: at,
            chain_seq: None,
            previous: None,
        }
        .record(&topic.dead_letter());
        Record {
            topic: letter.topic,
            partition: 2,
            offset: offset + 100,
            timestamp_ms: 0,
            key: letter.key,
            value: letter.value,
            headers: letter.headers,
        }
    }

    #[test]
    fn what_a_consumer_wrote_is_read() {
        let letter = Letter::read(&dead(7, "no money", "2026-01-02T00:00:00Z")).unwrap();
        assert_eq!(letter.topic, "shop.order.placed");
        assert_eq!((letter.partition, letter.offset, letter.attempts), (2, 7, 4));
        assert_eq!(
            (letter.reason.as_str(), letter.message.as_str()),
            ("retries-exhausted", "no money")
        );
        assert_eq!(letter.tenant.as_deref(), Some("acme"));
        assert_eq!((letter.replays, letter.previous, letter.chain_seq), (0, None, None));
    }

    #[test]
    fn what_others_wrote_at_length_is_cut() {
        let mut record = dead(7, "x", "2026-01-02T00:00:00Z");
        for header in &mut record.headers {
            if [headers::DLQ_ERROR_TYPE, headers::DLQ_ERRORS_MESSAGE].contains(&&*header.name) {
                header.value = Some("ü".repeat(10_000).into());
            }
        }
        let letter = Letter::read(&record).unwrap();
        assert_eq!(letter.error_type, "ü".repeat(MAX_NAME_BYTES / 2));
        assert!(letter.message.len() <= crate::limits::MAX_ERROR_TEXT_BYTES);
    }

    #[test]
    fn what_others_wrote_is_told_by_its_place() {
        let mut record = dead(7, "x", "2026-01-02T00:00:00Z");
        record.headers.retain(|header| header.name != headers::DLQ_ID);
        let error = Letter::read(&record).unwrap_err().to_string();
        assert!(error.contains("offset 107") && error.contains("dlq.id"), "{error}");
    }
}
