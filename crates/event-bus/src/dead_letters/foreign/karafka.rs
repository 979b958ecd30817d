//! The dead letters of Karafka Pro: all values are text.
//!
//! After `lib/karafka/pro/processing/strategies/dlq/default.rb` of karafka/karafka (`source_…`), and its documentation of
//! Enhanced Dead Letter Queue for the names before 2.4 (`original_…`). Karafka without Pro adds no header.

use super::value::{has_all, parsed, text};
use super::{Dialect, Family, Says};
use crate::headers::Header;
use crate::kafka::Record;

/// Topic, partition, offset, consumer group, attempts, and an id for Karafka's own log.
const NAMES: [&str; 6] = [
    "source_topic",
    "source_partition",
    "source_offset",
    "source_consumer_group",
    "source_attempts",
    "source_trace_id",
];
/// Topic, partition, offset and consumer group before 2.4.
const OLD_NAMES: [&str; 4] =
    ["original_topic", "original_partition", "original_offset", "original_consumer_group"];

pub const DIALECT: Dialect = Dialect {
    family: Family::Karafka,
    is_spoken: |list| is_new(list) || has_all(list, &OLD_NAMES[..3]),
    is_theirs: |header| NAMES.contains(&&*header.name) || OLD_NAMES.contains(&&*header.name),
    read,
};

fn is_new(list: &[Header]) -> bool {
    has_all(list, &NAMES[..3])
}

fn read(record: &Record) -> Says {
    let list = &record.headers;
    let names = if is_new(list) { &NAMES[..4] } else { &OLD_NAMES };
    Says {
        topic: text(list, names[0]),
        partition: parsed(list, names[1]),
        offset: parsed(list, names[2]),
        group: text(list, names[3]),
        attempts: parsed(list, NAMES[4]),
        ..Says::default()
    }
}
