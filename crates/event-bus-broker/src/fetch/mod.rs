//! Fetching: which partitions a consumer reads (its session), and waiting until there is enough to read.

mod answer;
mod collect;
mod sessions;

#[cfg(test)]
mod tests;

use kafka_protocol::messages::TopicName;
use uuid::Uuid;

pub(crate) use answer::{PartitionAnswer, encode};
pub(crate) use collect::{Limits, Target, collect};
#[cfg(test)]
use sessions::Begun;
pub(crate) use sessions::Sessions;

/// How a fetch names a topic: by name up to version 12, by id from 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(TopicName),
    Id(Uuid),
}

/// What a consumer wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub topic: TopicKey,
    pub partition: i32,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    /// The leader epoch that the consumer knows; -1 without one.
    pub current_leader_epoch: i32,
}
