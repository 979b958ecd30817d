//! OffsetFetch (key 9), versions 1 to 9: what groups have committed. Only what is durable is told.
//!
//! From version 2 no topics means all; from version 7 a client may insist on offsets that no open transaction can
//! change (`UNSTABLE_OFFSET_COMMIT`, to be retried); from version 8 a request asks for several groups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{ApiKey, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::group::{CommittedPartition, CommittedTopic};

/// The first version with an error for the whole request.
const ERROR: i16 = 2;
/// The first version that asks for several groups.
const BATCHED: i16 = 8;

pub(super) fn api() -> Api {
    Api::new(ApiKey::OffsetFetch, 1..=9, handle)
}

async fn handle(call: Call, request: OffsetFetchRequest) -> Option<OffsetFetchResponse> {
    let require_stable = request.require_stable;
    if call.version >= BATCHED {
        let groups = request.groups.into_iter();
        let groups = groups.map(|group| of_group(&call, group, require_stable));
        return Some(OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    let asked = request.topics.map(|topics| {
        let topics = topics.into_iter();
        topics.map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect::<Vec<_>>()
    });
    let response = OffsetFetchResponse::default();
    Some(match committed(&call, &request.group_id, asked.clone(), require_stable) {
        Ok(topics) => response.with_topics(topics.into_iter().map(single_topic).collect()),
        Err(error) if call.version >= ERROR => response.with_error_code(error.code()),
        Err(error) => response.with_topics(refused(asked.unwrap_or_default(), error)),
    })
}

fn of_group(
    call: &Call,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let asked = group.topics.map(|topics| {
        let topics = topics.into_iter();
        topics.map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
    });
    let outcome = committed(call, &group.group_id, asked, require_stable);
    let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
    match outcome {
        Ok(topics) => response.with_topics(topics.into_iter().map(batched_topic).collect()),
        Err(error) => response.with_error_code(error.code()),
    }
}

/// What the group has committed, as far as who asks may see its topics.
fn committed(
    call: &Call,
    group: &str,
    asked: Option<Vec<(String, Vec<i32>)>>,
    require_stable: bool,
) -> Result<Vec<CommittedTopic>, ResponseError> {
    call.check_group(Operation::Describe, group)?;
    let may = |topic: &str| call.may(Operation::Describe, Kind::Topic, topic);
    let (seen, hidden) = match asked {
        Some(asked) => {
            let (seen, hidden): (Vec<_>, Vec<_>) =
                asked.into_iter().partition(|(topic, _)| may(topic));
            (Some(seen), hidden)
        }
        None => (None, Vec::new()),
    };
    let mut topics = call.node.groups.committed(group, seen, require_stable)?;
    topics.retain(|topic| may(&topic.topic));
    topics.extend(hidden.into_iter().map(|(topic, indexes)| CommittedTopic {
        topic,
        partitions: refused_partitions(indexes, ResponseError::TopicAuthorizationFailed),
    }));
    Ok(topics)
}

fn refused_partitions(indexes: Vec<i32>, error: ResponseError) -> Vec<CommittedPartition> {
    let refused = |partition| CommittedPartition {
        error: Some(error),
        ..CommittedPartition::none(partition)
    };
    indexes.into_iter().map(refused).collect()
}

fn batched_topic(committed: CommittedTopic) -> OffsetFetchResponseTopics {
    let partitions = committed.partitions.into_iter().map(|committed| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(committed.partition)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(committed.metadata.into()))
            .with_error_code(committed.error.map_or(0, |error| error.code()))
    });
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(committed.topic.into()))
        .with_partitions(partitions.collect())
}

fn single_topic(committed: CommittedTopic) -> OffsetFetchResponseTopic {
    let partitions = committed.partitions.into_iter().map(single_partition);
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(committed.topic.into()))
        .with_partitions(partitions.collect())
}

fn single_partition(committed: CommittedPartition) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(committed.partition)
        .with_committed_offset(committed.offset)
        .with_committed_leader_epoch(committed.leader_epoch)
        .with_metadata(Some(committed.metadata.into()))
        .with_error_code(committed.error.map_or(0, |error| error.code()))
}

/// Version 1 can't refuse but for each partition.
fn refused(asked: Vec<(String, Vec<i32>)>, error: ResponseError) -> Vec<OffsetFetchResponseTopic> {
    let topics = asked.into_iter().map(|(topic, indexes)| {
        single_topic(CommittedTopic { topic, partitions: refused_partitions(indexes, error) })
    });
    topics.collect()
}
