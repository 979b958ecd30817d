//! What a client may do with what it asked about, told as a set of bits, where bit n is the operation of that number.

use super::Call;
use crate::access::{CLUSTER, Kind, Operation};

/// Told to clients that did not ask.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

/// All that Kafka knows to do with a topic.
const ON_TOPIC: &[Operation] = &[
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// All that Kafka knows to do with a cluster.
const ON_CLUSTER: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

/// All that Kafka knows to do with a group.
const ON_GROUP: &[Operation] = &[
    Operation::Read,
    Operation::Delete,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// What may be done with a group, for those who asked.
pub(crate) fn on_group(call: &Call, asked: bool, group: &str) -> i32 {
    allowed(call, asked, Kind::Group, group, ON_GROUP)
}

/// What may be done with a topic, for those who asked.
pub(crate) fn on_topic(call: &Call, asked: bool, topic: &str) -> i32 {
    allowed(call, asked, Kind::Topic, topic, ON_TOPIC)
}

/// What may be done with the cluster, for those who asked.
pub(crate) fn on_cluster(call: &Call, asked: bool) -> i32 {
    allowed(call, asked, Kind::Cluster, CLUSTER, ON_CLUSTER)
}

fn allowed(call: &Call, asked: bool, kind: Kind, name: &str, all: &[Operation]) -> i32 {
    if !asked {
        return NOT_ASKED;
    }
    let may = all.iter().filter(|operation| call.may(**operation, kind, name));
    may.fold(0, |bits, operation| bits | 1 << operation.number())
}
