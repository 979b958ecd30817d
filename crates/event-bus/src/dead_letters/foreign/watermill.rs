//! The dead letters of Watermill's poison queue: all values are text.
//!
//! After `message/router/middleware/poison.go` of watermill 1.5.1 and `pkg/kafka/marshaler.go` of watermill-kafka 3.0.6.
//! Watermill itself loses the key unless a marshaler makes one, the order of headers, and all but one of a name.

use bytes::Bytes;

use super::value::{has_all, text};
use super::{Dialect, Family, Says};
use crate::headers::Header;
use crate::kafka::Record;

const REASON: &str = "reason_poisoned";
const TOPIC: &str = "topic_poisoned";
const HANDLER: &str = "handler_poisoned";
const SUBSCRIBER: &str = "subscriber_poisoned";
const ALL: [&str; 4] = [REASON, TOPIC, HANDLER, SUBSCRIBER];
/// Names each message; empty on one that did not come from Watermill, where only the poison queue added it.
const UUID: &str = "_watermill_message_uuid";

pub const DIALECT: Dialect = Dialect {
    family: Family::Watermill,
    is_spoken: |list| has_all(list, &[REASON, TOPIC]),
    is_theirs: |header| ALL.contains(&&*header.name) || is_added_uuid(header),
    read,
};

fn is_added_uuid(header: &Header) -> bool {
    header.name == UUID && header.value.as_ref().is_none_or(Bytes::is_empty)
}

fn read(record: &Record) -> Says {
    let list = &record.headers;
    Says {
        topic: text(list, TOPIC),
        group: text(list, HANDLER),
        message: text(list, REASON),
        ..Says::default()
    }
}
