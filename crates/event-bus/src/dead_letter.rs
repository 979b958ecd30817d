//! Dead letters: why an event could not be handled, and the record that says so.
//!
//! A dead letter is the original key, value and headers, with headers that explain it added. Pure.

use std::error::Error as StdError;
use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::envelope::OutgoingRecord;
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::limits::MAX_ERROR_TEXT_BYTES;
use crate::names::{EventId, GroupName, ServiceName, TopicName, derived_id};

/// Why an event is dead: the values of [`headers::DLQ_REASON`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// All attempts failed.
    RetriesExhausted,
    /// The handler said that trying again can't help.
    Rejected,
    /// The value is not an envelope, or key or headers break a limit.
    Malformed,
    /// The payload breaks its schema.
    SchemaInvalid,
    /// The envelope names an event that does not belong to this topic.
    WrongTopic,
    /// The record is over the size limit.
    TooLarge,
    /// The record has no value.
    NullValue,
    /// The envelope's major version is not one that the catalogue knows.
    UnsupportedVersion,
    /// Another event with this id but other bytes was handled before.
    IdCollision,
    /// Its process ended in each of its attempts.
    Crashed,
    /// An earlier event of its key is a dead letter, and the key is parked behind it.
    ParkedBehind,
}

impl Reason {
    /// The reason as it stands in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries-exhausted",
            Self::Rejected => "rejected",
            Self::Malformed => "malformed",
            Self::SchemaInvalid => "schema-invalid",
            Self::WrongTopic => "wrong-topic",
            Self::TooLarge => "too-large",
            Self::NullValue => "null-value",
            Self::UnsupportedVersion => "unsupported-version",
            Self::IdCollision => "id-collision",
            Self::Crashed => "crashed",
            Self::ParkedBehind => "parked-behind",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What killed an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The class of the failure.
    pub reason: Reason,
    /// The kind of the error, for grouping: the outermost error's type where it is known.
    pub error_type: String,
    /// The error and its sources, in one line, capped at [`MAX_ERROR_TEXT_BYTES`].
    pub message: String,
}

impl Cause {
    /// A cause with the text of an error and of all its sources.
    #[must_use]
    pub fn of(reason: Reason, error_type: &str, error: &(dyn StdError + 'static)) -> Self {
        Self::new(reason, error_type, error_chain(error))
    }

    /// A cause with a text of its own.
    #[must_use]
    pub fn new(reason: Reason, error_type: &str, message: impl Into<String>) -> Self {
        Self { reason, error_type: error_type.to_owned(), message: capped(message.into()) }
    }

    /// Equal for failures that look alike: numbers and ids in the message don't count.
    #[must_use]
    pub fn fingerprint(&self, group: &GroupName) -> String {
        let mut hash = Sha256::new();
        for part in
            [group.as_ref(), self.reason.as_str(), &self.error_type, &normalised(&self.message)]
        {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// An error and its sources in one line.
#[must_use]
pub fn error_chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Some errors repeat their source's text; it says nothing twice.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// A text as long as an error's may be.
pub(crate) fn capped(mut text: String) -> String {
    if text.len() > MAX_ERROR_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_ERROR_TEXT_BYTES));
    }
    text
}

/// The message with each word that holds a digit replaced, so that ids, amounts and offsets don't split a group.
fn normalised(message: &str) -> String {
    let words = message
        .split_whitespace()
        .map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// All that a dead letter says about its event.
#[derive(Clone, Copy, Debug)]
pub struct Obituary<'a> {
    /// Names it, see [`dlq_id`] and [`dlq_id_anew`].
    pub id: uuid::Uuid,
    /// The record that could not be handled.
    pub record: &'a Record,
    /// The event's id, derived from its position where it has none that can be read.
    pub event_id: EventId,
    /// The group that could not handle it.
    pub group: &'a GroupName,
    /// The service of that group.
    pub service: &'a ServiceName,
    /// What killed it.
    pub cause: &'a Cause,
    /// How many attempts were made; 0 where the handler never ran.
    pub attempts: u32,
    /// When the first attempt failed.
    pub first_failed_at: Timestamp,
    /// When the last attempt failed.
    pub failed_at: Timestamp,
    /// Its place among the dead letters of its parked key, from 1.
    pub chain_seq: Option<i64>,
    /// The dead letter whose replay the record is.
    pub previous: Option<uuid::Uuid>,
}

/// The id of a dead letter: the same however often the event is dead-lettered from this place by this group.
#[must_use]
pub fn dlq_id(group: &GroupName, record: &Record) -> uuid::Uuid {
    derived_id(&[
        group.as_ref(),
        record.topic.as_ref(),
        &record.partition.to_string(),
        &record.offset.to_string(),
    ])
}

/// The id of the dead letter of an event that died once more when its range was run again.
#[must_use]
pub fn dlq_id_anew(of: uuid::Uuid, epoch: i32) -> uuid::Uuid {
    derived_id(&[&of.to_string(), &epoch.to_string()])
}

impl Obituary<'_> {
    /// The record for the dead letter topic, addressed to the partition of the original; the relay folds it into
    /// the partitions that there are.
    #[must_use]
    pub fn record(&self, dead_letter_topic: &TopicName) -> OutgoingRecord {
        OutgoingRecord {
            topic: dead_letter_topic.clone(),
            partition: Some(self.record.partition),
            key: self.record.key.clone(),
            value: self.record.value.clone(),
            headers: self.headers(),
            event_id: self.event_id,
        }
    }

    fn headers(&self) -> Vec<Header> {
        let (record, cause) = (self.record, self.cause);
        // A replayed event that dies again has one set of explanations, the newest.
        let replays = headers::last(&record.headers, headers::DLQ_REPLAYS)
            .and_then(|count| count.parse::<u32>().ok());
        let mut list: Vec<Header> =
            record.headers.iter().filter(|header| !header.is_added()).cloned().collect();
        for (name, value) in [
            (headers::DLQ_ERRORS_TOPIC, record.topic.to_string()),
            (headers::DLQ_ERRORS_PARTITION, record.partition.to_string()),
            (headers::DLQ_ERRORS_OFFSET, record.offset.to_string()),
            (headers::DLQ_ERRORS_GROUP, self.group.to_string()),
            (headers::DLQ_ERRORS_DELIVERY_COUNT, self.attempts.to_string()),
            (headers::DLQ_ERRORS_MESSAGE, cause.message.clone()),
            (headers::DLQ_ID, self.id.to_string()),
            (headers::DLQ_REASON, cause.reason.to_string()),
            (headers::DLQ_ERROR_TYPE, cause.error_type.clone()),
            (headers::DLQ_FINGERPRINT, cause.fingerprint(self.group)),
            (headers::DLQ_FIRST_FAILED_AT, self.first_failed_at.to_string()),
            (headers::DLQ_FAILED_AT, self.failed_at.to_string()),
            (headers::DLQ_SERVICE, self.service.to_string()),
            (headers::DLQ_REPLAYS, replays.unwrap_or(0).to_string()),
            (headers::EVENT_ID, self.event_id.to_string()),
        ] {
            list.push(Header::text(name, value));
        }
        let more = [
            self.chain_seq.map(|seq| Header::text(headers::DLQ_CHAIN_SEQ, seq.to_string())),
            self.previous.map(|id| Header::text(headers::DLQ_PREVIOUS, id.to_string())),
        ];
        list.extend(more.into_iter().flatten());
        list
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(headers: Vec<Header>) -> Record {
        Record {
            topic: "shop.order.placed".parse().unwrap(),
            partition: 4,
            offset: 17,
            timestamp_ms: 0,
            key: Some(Bytes::from_static(&[0xff, 0x00])),
            value: Some(Bytes::from_static(b"not json \xff")),
            headers,
        }
    }

    fn dead(record: &Record, cause: &Cause) -> OutgoingRecord {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let group = "shop-payment-order-placed".parse().unwrap();
        Obituary {
            id: dlq_id(&group, record),
            record,
            event_id: "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap(),
            group: &group,
            service: &"payment".parse().unwrap(),
            cause,
            attempts: 4,
            first_failed_at: at,
            failed_at: at,
            chain_seq: None,
            previous: None,
        }
        .record(&record.topic.dead_letter())
    }

    #[test]
    fn key_value_and_original_headers_stay_as_they_are() {
        let original = vec![
            Header::text("a", "1"),
            Header::text("a", "2"),
            Header { name: "null".into(), value: None },
        ];
        let record = record(original.clone());
        let letter = dead(&record, &Cause::new(Reason::Rejected, "test", "no"));
        assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
        assert_eq!(letter.headers[..3], original[..]);
        assert_eq!(letter.topic, "shop.order.placed.dlq");
        assert_eq!(letter.partition, Some(4));
    }

    #[test]
    fn dying_again_replaces_the_explanation() {
        let first = dead(&record(vec![]), &Cause::new(Reason::Rejected, "test", "first"));
        let again = dead(&record(first.headers), &Cause::new(Reason::Rejected, "test", "second"));
        let messages: Vec<_> = again
            .headers
            .iter()
            .filter(|header| header.name == headers::DLQ_ERRORS_MESSAGE)
            .collect();
        assert_eq!(messages.len(), 1);
        assert_eq!(headers::last(&again.headers, headers::DLQ_ERRORS_MESSAGE), Some("second"));
    }

    #[test]
    fn an_error_text_is_capped_at_a_character() {
        let cause = Cause::new(Reason::Rejected, "test", "ü".repeat(MAX_ERROR_TEXT_BYTES));
        assert!(cause.message.len() <= MAX_ERROR_TEXT_BYTES && cause.message.ends_with('ü'));
    }

    #[test]
    fn failures_that_differ_in_numbers_only_share_a_fingerprint() {
        let group = "shop-payment-order-placed".parse().unwrap();
        let of =
            |text: &str| Cause::new(Reason::RetriesExhausted, "Declined", text).fingerprint(&group);
        assert_eq!(of("order o-17 declined after 30 ms"), of("order o-18 declined after 9 ms"));
        assert_ne!(of("order o-17 declined"), of("order o-17 unknown"));
    }
}
