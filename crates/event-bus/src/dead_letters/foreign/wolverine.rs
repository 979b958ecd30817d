//! The dead letters of Wolverine: all values are text, the time is in milliseconds since the epoch.
//!
//! After `DeadLetterQueueConstants.cs`, `KafkaListener.cs`, `KafkaRetryNaming.cs` and `KafkaEndpointUri.cs` of
//! JasperFx/wolverine. Older versions add the first four headers and don't tell the original's place.

use super::value::{has_all, parsed, text, time};
use super::{Dialect, Family, Says};
use crate::kafka::Record;

const EXCEPTION: &str = "exception-type";
const MESSAGE: &str = "exception-message";
const STACK: &str = "exception-stack";
const FAILED_AT: &str = "failed-at";
/// The endpoint as a URI.
const DESTINATION: &str = "original-destination";
const PARTITION: &str = "original-partition";
const OFFSET: &str = "original-offset";
const ALL: [&str; 7] = [EXCEPTION, MESSAGE, STACK, FAILED_AT, DESTINATION, PARTITION, OFFSET];
const RETRY_PREFIX: &str = "wolverine-kafka-retry-";
/// The original topic of what has been through retry topics, whose place the other headers tell then.
const RETRY_SOURCE: &str = "wolverine-kafka-retry-source";
const RETRY_ATTEMPT: &str = "wolverine-kafka-retry-attempt";
/// What the URI of a topic begins with.
const TOPIC_URI: &str = "kafka://topic/";

pub const DIALECT: Dialect = Dialect {
    family: Family::Wolverine,
    is_spoken: |list| has_all(list, &[EXCEPTION, MESSAGE, STACK, FAILED_AT]),
    is_theirs: |header| ALL.contains(&&*header.name) || header.name.starts_with(RETRY_PREFIX),
    read,
};

fn read(record: &Record) -> Says {
    let list = &record.headers;
    let source = text(list, RETRY_SOURCE);
    let is_direct = source.is_none();
    let destination = || Some(text(list, DESTINATION)?.strip_prefix(TOPIC_URI)?.to_owned());
    Says {
        topic: source.or_else(destination),
        partition: parsed(list, PARTITION).filter(|_| is_direct),
        offset: parsed(list, OFFSET).filter(|_| is_direct),
        error_type: text(list, EXCEPTION),
        message: text(list, MESSAGE),
        attempts: parsed(list, RETRY_ATTEMPT),
        failed_at: parsed(list, FAILED_AT).and_then(time),
        ..Says::default()
    }
}
