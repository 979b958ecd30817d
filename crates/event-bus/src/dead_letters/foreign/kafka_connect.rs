//! The dead letters of Kafka Connect's sinks: all values are text, and the record keeps the original's time.
//!
//! After `DeadLetterQueueReporter` of connect-runtime 4.4.0 (`org.apache.kafka.connect.runtime.errors`). It adds headers
//! only where the connector has `errors.deadletterqueue.context.headers.enable`; else nothing tells whose they are.

use super::value::{has_all, parsed, text, time};
use super::{Dialect, Family, Says};
use crate::kafka::Record;

const PREFIX: &str = "__connect.errors.";
const TOPIC: &str = "__connect.errors.topic";
const PARTITION: &str = "__connect.errors.partition";
const OFFSET: &str = "__connect.errors.offset";
const CONNECTOR: &str = "__connect.errors.connector.name";
const EXCEPTION: &str = "__connect.errors.exception.class.name";
const MESSAGE: &str = "__connect.errors.exception.message";

pub const DIALECT: Dialect = Dialect {
    family: Family::KafkaConnect,
    is_spoken: |list| has_all(list, &[TOPIC, CONNECTOR]),
    is_theirs: |header| header.name.starts_with(PREFIX),
    read,
};

fn read(record: &Record) -> Says {
    let list = &record.headers;
    Says {
        topic: text(list, TOPIC),
        partition: parsed(list, PARTITION),
        offset: parsed(list, OFFSET),
        timestamp: time(record.timestamp_ms),
        group: text(list, CONNECTOR),
        error_type: text(list, EXCEPTION),
        message: text(list, MESSAGE),
        ..Says::default()
    }
}
