//! The dead letters of Spring Kafka, in both of its header families: `kafka_dlt-…` of a `DeadLetterPublishingRecoverer`,
//! and `kafka_…` of retry topics, which a dead letter passes before.
//!
//! After spring-kafka 4.1.0: `KafkaHeaders`, `DeadLetterRecordManager`, `RetryTopicHeaders` and
//! `DeadLetterPublishingRecovererFactory`. A partition is an `int`, an offset and a time are a `long`, of four and eight
//! bytes; the retry topics' own times are `BigInteger`s.

use super::value::{big_integer, int, last, long, time, utf8};
use super::{Dialect, Family, Says};
use crate::headers::Header;
use crate::kafka::Record;

/// What the names of both families begin with.
const PREFIXES: [&str; 2] = ["kafka_dlt-", "kafka_"];
/// Of a dead letter behind the prefix.
const PARTS: [&str; 13] = [
    "original-topic",
    "original-partition",
    "original-offset",
    "original-timestamp",
    "original-timestamp-type",
    // The retry topics' family has no name of its own for this one.
    "original-consumer-group",
    "exception-fqcn",
    "exception-cause-fqcn",
    "exception-message",
    "exception-stacktrace",
    "key-exception-fqcn",
    "key-exception-message",
    "key-exception-stacktrace",
];
const RETRY_PREFIX: &str = "retry_topic-";
/// The attempt that would come next.
const RETRY_ATTEMPTS: &str = "retry_topic-attempts";
/// When the last attempt failed, and the wait behind it, which a dead letter topic does not have.
const RETRY_BACKOFF: &str = "retry_topic-backoff-timestamp";
/// What containers add to the records that they hand over, and recoverers copy.
const DELIVERY_ATTEMPT: &str = "kafka_deliveryAttempt";
const HANDED_OVER: [&str; 4] = [
    DELIVERY_ATTEMPT,
    "kafka_listenerInfo",
    "springDeserializerExceptionKey",
    "springDeserializerExceptionValue",
];

pub const DIALECT: Dialect = Dialect {
    family: Family::SpringKafka,
    is_spoken: |list| {
        list.iter().any(|header| matches!(part(header), Some("original-topic" | "exception-fqcn")))
    },
    is_theirs: |header| {
        part(header).is_some()
            || header.name.starts_with(RETRY_PREFIX)
            || HANDED_OVER.contains(&&*header.name)
    },
    read,
};

/// Which of the parts a header is, in either family.
fn part(header: &Header) -> Option<&'static str> {
    let rest = PREFIXES.iter().find_map(|prefix| header.name.strip_prefix(prefix))?;
    PARTS.iter().find(|part| **part == rest).copied()
}

fn read(record: &Record) -> Says {
    let list = &record.headers;
    // A record that died in several places has one of each for every place, the original's first.
    let original =
        |wanted| list.iter().find(|header| part(header) == Some(wanted))?.value.as_deref();
    let told = |wanted| {
        let last = list.iter().rev().find(|header| part(header) == Some(wanted))?;
        last.value.as_deref().and_then(utf8)
    };
    let attempts = last(list, RETRY_ATTEMPTS)
        .and_then(int)
        .map(|next| next.saturating_sub(1))
        .or_else(|| last(list, DELIVERY_ATTEMPT).and_then(int));
    Says {
        topic: original("original-topic").and_then(utf8),
        partition: original("original-partition").and_then(int),
        offset: original("original-offset").and_then(long),
        timestamp: original("original-timestamp").and_then(long).and_then(time),
        group: told("original-consumer-group"),
        error_type: told("exception-cause-fqcn")
            .or_else(|| told("exception-fqcn"))
            .or_else(|| told("key-exception-fqcn")),
        message: told("exception-message").or_else(|| told("key-exception-message")),
        attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        failed_at: last(list, RETRY_BACKOFF).and_then(big_integer).and_then(time),
    }
}
