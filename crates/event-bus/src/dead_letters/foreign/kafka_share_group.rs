//! The dead letters of Kafka's share groups: all values are text.
//!
//! After KIP-1191 and `ShareGroupDLQStateManager` of Kafka 4.4.0 (`org.apache.kafka.server.share.dlq`). The broker copies key
//! and value only where the group has `errors.deadletterqueue.copy.record.enable`, and the original's headers never.

use super::value::{has_all, parsed, text};
use super::{Dialect, Family, Says};
use crate::headers;
use crate::kafka::Record;

pub const DIALECT: Dialect = Dialect {
    family: Family::KafkaShareGroup,
    is_spoken: |list| has_all(list, &[headers::DLQ_ERRORS_TOPIC, headers::DLQ_ERRORS_GROUP]),
    is_theirs: |header| header.name.starts_with(headers::DLQ_ERRORS_PREFIX),
    read,
};

fn read(record: &Record) -> Says {
    let list = &record.headers;
    Says {
        topic: text(list, headers::DLQ_ERRORS_TOPIC),
        partition: parsed(list, headers::DLQ_ERRORS_PARTITION),
        offset: parsed(list, headers::DLQ_ERRORS_OFFSET),
        group: text(list, headers::DLQ_ERRORS_GROUP),
        message: text(list, headers::DLQ_ERRORS_MESSAGE),
        attempts: parsed(list, headers::DLQ_ERRORS_DELIVERY_COUNT),
        ..Says::default()
    }
}
