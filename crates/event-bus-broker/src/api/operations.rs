//! What a client may do with what it asked about: everything, for there is no authorisation. Clients are told as a
//! set of bits, where bit n is the operation of that number.

/// Told to clients that did not ask.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const CREATE: i32 = 1 << 5;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// All that Kafka knows to do with a topic.
const ON_TOPIC: i32 =
    READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;

/// All that Kafka knows to do with a cluster.
const ON_CLUSTER: i32 = CREATE
    | ALTER
    | DESCRIBE
    | CLUSTER_ACTION
    | DESCRIBE_CONFIGS
    | ALTER_CONFIGS
    | IDEMPOTENT_WRITE;

/// All that Kafka knows to do with a group.
const ON_GROUP: i32 = READ | DELETE | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;

/// What may be done with a group, for those who asked.
pub(crate) fn on_group(asked: bool) -> i32 {
    if asked { ON_GROUP } else { NOT_ASKED }
}

/// What may be done with a topic, for those who asked.
pub(crate) fn on_topic(asked: bool) -> i32 {
    if asked { ON_TOPIC } else { NOT_ASKED }
}

/// What may be done with the cluster, for those who asked.
pub(crate) fn on_cluster(asked: bool) -> i32 {
    if asked { ON_CLUSTER } else { NOT_ASKED }
}
