//! DescribeTopicPartitions (key 75), version 0: topics and their partitions by name, a page at a time.
//!
//! Without names all topics are told. A page ends at the asked number of partitions, at most
//! [`MAX_PAGE_PARTITIONS`], and the answer then says where the next one begins.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor as Start;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call, operations};
use crate::access::{Kind, Operation};
use crate::metadata::{self, Topic};
use crate::node::{LEADER_EPOCH, NODE_ID};

/// The longest page, as Kafka's `max.request.partition.size.limit`.
const MAX_PAGE_PARTITIONS: i32 = 2_000;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeTopicPartitions, 0..=0, handle)
}

async fn handle(
    call: Call,
    request: DescribeTopicPartitionsRequest,
) -> Option<DescribeTopicPartitionsResponse> {
    let from = request.cursor.as_ref().map_or("", |cursor| &cursor.topic_name);
    let found = match request.topics.is_empty() {
        true => {
            let all = call.node.topics.from(from).into_iter();
            let seen = all.filter(|topic| call.may(Operation::Describe, Kind::Topic, &topic.name));
            seen.map(Ok).collect()
        }
        false => {
            let mut names: Vec<TopicName> =
                request.topics.into_iter().map(|topic| topic.name).collect();
            names.sort();
            names.dedup();
            let names = names.into_iter().filter(|name| ***name >= *from);
            names.map(|name| find(&call, name)).collect::<Vec<_>>()
        }
    };
    let limit = request.response_partition_limit.clamp(1, MAX_PAGE_PARTITIONS);
    Some(page(&call, found, request.cursor.as_ref(), limit))
}

/// The topics from the start on, up to so many partitions. Those that were not found take no room.
fn page(
    call: &Call,
    found: Vec<Result<Arc<Topic>, NotFound>>,
    start: Option<&Start>,
    limit: i32,
) -> DescribeTopicPartitionsResponse {
    let mut answer = DescribeTopicPartitionsResponse::default();
    let mut room = limit;
    for topic in found {
        let topic = match topic {
            Ok(topic) => topic,
            Err(missing) => {
                answer.topics.push(not_found(missing));
                continue;
            }
        };
        let begun = start.filter(|start| **start.topic_name == *topic.name);
        let first = begun.map_or(0, |start| start.partition_index.max(0));
        let name = TopicName(StrBytes::from_string(topic.name.clone()));
        if room == 0 {
            let next = Cursor::default().with_topic_name(name).with_partition_index(first);
            answer.next_cursor = Some(next);
            break;
        }
        let end = topic.partition_count().min(first.saturating_add(room));
        answer.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(name.clone()))
                .with_topic_id(topic.id)
                .with_partitions((first..end).map(partition).collect())
                .with_topic_authorized_operations(operations::on_topic(call, true, &topic.name)),
        );
        room -= (end - first).max(0);
        if end < topic.partition_count() {
            let next = Cursor::default().with_topic_name(name).with_partition_index(end);
            answer.next_cursor = Some(next);
            break;
        }
    }
    answer
}

/// A topic that is not told of, and why.
type NotFound = (TopicName, ResponseError);

fn find(call: &Call, name: TopicName) -> Result<Arc<Topic>, NotFound> {
    let error = match metadata::TopicName::new(&name) {
        Ok(_) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    };
    let checked = call.check_topic(Operation::Describe, &name);
    let found = checked.and_then(|()| call.node.topics.topic(&name).ok_or(error));
    found.map_err(|error| (name, error))
}

fn not_found((name, error): NotFound) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(name))
        .with_error_code(error.code())
        .with_topic_authorized_operations(operations::NOT_ASKED)
}

fn partition(index: i32) -> DescribeTopicPartitionsResponsePartition {
    let node = || vec![BrokerId(NODE_ID)];
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(NODE_ID))
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(node())
        .with_isr_nodes(node())
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}
