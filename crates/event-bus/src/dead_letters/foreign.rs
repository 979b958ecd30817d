//! Dead letters that others wrote: which framework it was, what it says, and which headers are its own. All here but
//! [`read_foreign`] and [`Redrive::carry_out`] is pure.
//!
//! A framework is known by its headers, and each has a file here with their names and encodings. What can't be read of
//! them is not told; what nobody is known by is [`Family::Unknown`], and can be looked at and sent on all the same.

mod filter;
mod karafka;
mod kafka_connect;
mod kafka_share_group;
mod masstransit;
mod nservicebus;
mod plan;
mod read;
mod redrive;
mod spring;
mod value;
mod watermill;
mod wolverine;

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::letter::{Letter, key_text};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::names::TopicName;

pub use filter::ForeignFilter;
pub use plan::{Redrive, RedriveRefusal, Redriven};
pub use read::read_foreign;
pub use redrive::{RedriveError, Redrove};

/// Who writes such dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Apache Kafka's brokers, for share groups (KIP-1191).
    KafkaShareGroup,
    /// Kafka Connect, for sinks.
    KafkaConnect,
    /// Spring Kafka's `DeadLetterPublishingRecoverer` and its retry topics.
    SpringKafka,
    /// Wolverine.
    Wolverine,
    /// Karafka Pro.
    Karafka,
    /// Watermill's poison queue.
    Watermill,
    /// MassTransit.
    #[serde(rename = "masstransit")]
    MassTransit,
    /// NServiceBus.
    #[serde(rename = "nservicebus")]
    NServiceBus,
    /// Nobody of those.
    Unknown,
}

impl Family {
    /// The names of all families.
    pub const NAMES: [&str; 9] = [
        "kafka-share-group",
        "kafka-connect",
        "spring-kafka",
        "wolverine",
        "karafka",
        "watermill",
        "masstransit",
        "nservicebus",
        "unknown",
    ];

    /// Its name, as filters say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A dead letter of others, without its value, which may be large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// Who wrote it.
    pub family: Family,
    /// The topic that it is on.
    pub dead_letter_topic: TopicName,
    /// The partition there.
    pub dead_letter_partition: i32,
    /// The offset there.
    pub dead_letter_offset: i64,
    /// The time of its record.
    pub written_at: Option<Timestamp>,
    /// What its headers say.
    #[serde(flatten)]
    pub says: Says,
    /// The record's key.
    #[serde(serialize_with = "key_text")]
    pub key: Option<Bytes>,
}

/// What the headers of a dead letter say; `None` where they don't, or where it can't be read. No text is longer than
/// [`MAX_ERROR_TEXT_BYTES`](crate::limits::MAX_ERROR_TEXT_BYTES).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Says {
    /// The original topic.
    pub topic: Option<String>,
    /// The partition there.
    pub partition: Option<i32>,
    /// The offset there.
    pub offset: Option<i64>,
    /// The original's time.
    pub timestamp: Option<Timestamp>,
    /// Who could not handle it: the consumer group, or what the framework has in its place.
    pub group: Option<String>,
    /// The kind of the error, of its cause where both are told.
    pub error_type: Option<String>,
    /// The error's text.
    pub message: Option<String>,
    /// Attempts made.
    pub attempts: Option<u32>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
}

/// How one family is known and read.
struct Dialect {
    family: Family,
    /// Whether these are headers of a dead letter of the family.
    is_spoken: fn(&[Header]) -> bool,
    /// Whether the family added this header.
    is_theirs: fn(&Header) -> bool,
    read: fn(&Record) -> Says,
}

const DIALECTS: [Dialect; 8] = [
    kafka_share_group::DIALECT,
    kafka_connect::DIALECT,
    spring::DIALECT,
    wolverine::DIALECT,
    karafka::DIALECT,
    watermill::DIALECT,
    masstransit::DIALECT,
    nservicebus::DIALECT,
];

/// The family that wrote last, where a dead letter went through several hands: headers are added at the end.
fn dialect_of(list: &[Header]) -> Option<&'static Dialect> {
    let last = |dialect: &&Dialect| list.iter().rposition(dialect.is_theirs);
    // This bus's own have KIP-1191's headers too, and are somebody else's once that one wrote behind them.
    let own = list.iter().rposition(|header| header.name == headers::DLQ_ID);
    let is_behind = |dialect: &&Dialect| {
        own.is_none() || (dialect.family != Family::KafkaShareGroup && last(dialect) > own)
    };
    let spoken = DIALECTS.iter().filter(|dialect| (dialect.is_spoken)(list));
    spoken.filter(is_behind).max_by_key(last)
}

impl Foreign {
    /// Reads a record of any topic; `None` where it is a dead letter of this bus.
    #[must_use]
    pub fn read(record: &Record) -> Option<Self> {
        let dialect = dialect_of(&record.headers);
        if dialect.is_none() && Letter::read(record).is_ok() {
            return None;
        }
        Some(Self {
            family: dialect.map_or(Family::Unknown, |dialect| dialect.family),
            dead_letter_topic: record.topic.clone(),
            dead_letter_partition: record.partition,
            dead_letter_offset: record.offset,
            written_at: value::time(record.timestamp_ms),
            says: dialect.map(|dialect| (dialect.read)(record)).unwrap_or_default(),
            key: record.key.clone(),
        })
    }
}

/// The headers that the record had before its last dead-lettering: all but those which that family adds, untouched and
/// in their order.
#[must_use]
pub fn original_headers(record: &Record) -> Vec<Header> {
    let dialect = dialect_of(&record.headers);
    let is_theirs = |header: &&Header| dialect.is_some_and(|dialect| (dialect.is_theirs)(header));
    record.headers.iter().filter(|header| !is_theirs(header)).cloned().collect()
}

#[cfg(test)]
mod tests;
