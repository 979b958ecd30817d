//! DescribeLogDirs (key 35), versions 1 to 4: how large each partition's log is. There is one directory. How much
//! the file system holds and has left is not told (-1).

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::access::{CLUSTER, Kind, Operation};
use crate::config::Storage;
use crate::metadata::Topic;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeLogDirs, 1..=4, handle)
}

async fn handle(call: Call, request: DescribeLogDirsRequest) -> Option<DescribeLogDirsResponse> {
    if let Err(error) = call.check(Operation::Describe, Kind::Cluster, CLUSTER) {
        // Older versions have no place for the error; they are told of nothing.
        return Some(DescribeLogDirsResponse::default().with_error_code(error.code()));
    }
    let topics = match request.topics {
        None => call.node.topics.all().iter().map(|topic| sizes(topic, None)).collect(),
        Some(wanted) => {
            let found = wanted.into_iter().filter_map(|wanted| {
                let topic = call.node.topics.topic(&wanted.topic)?;
                Some(sizes(&topic, Some(&wanted.partitions.into_iter().collect())))
            });
            found.collect()
        }
    };
    let dir = match &call.node.config.storage {
        Storage::Directory(dir) => dir.display().to_string(),
        Storage::Memory => "memory".to_owned(),
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(dir))
        .with_topics(topics)
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    Some(DescribeLogDirsResponse::default().with_results(vec![result]))
}

/// The sizes of the topic's partitions, of all without a choice.
fn sizes(topic: &Topic, chosen: Option<&BTreeSet<i32>>) -> DescribeLogDirsTopic {
    let partitions = (0..).zip(&topic.partitions);
    let partitions = partitions
        .filter(|(index, _)| chosen.is_none_or(|chosen| chosen.contains(index)))
        .map(|(index, partition)| {
            let bytes = i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX);
            DescribeLogDirsPartition::default()
                .with_partition_index(index)
                .with_partition_size(bytes)
        });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
        .with_partitions(partitions.collect())
}
