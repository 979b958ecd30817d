//! The offsets that a group has committed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};

use crate::connection::Connection;
use crate::member::Member;
use crate::outcome::outcome;
use crate::topic::{text, topic_name};

/// The last version of OffsetCommit that names topics by name.
const COMMIT: i16 = 9;
/// The first version of OffsetFetch that asks for several groups.
const FETCH: i16 = 8;

/// The request that commits an offset of one partition.
pub fn commit_request(
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    metadata: &str,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(0)
        .with_committed_metadata(Some(text(metadata)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

/// Sends it.
///
/// # Errors
/// What the broker says of the partition.
pub async fn send_commit(
    connection: &mut Connection,
    request: &OffsetCommitRequest,
) -> Result<(), ResponseError> {
    let response = connection.call(COMMIT, request).await;
    outcome(response.topics[0].partitions[0].error_code)
}

/// Commits an offset of a topic's first partition without being a member, as tools do.
///
/// # Errors
/// What the broker says of the partition.
pub async fn commit(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    offset: i64,
) -> Result<(), ResponseError> {
    send_commit(connection, &commit_request(group, topic, 0, offset, "")).await
}

/// Commits an offset of a topic's first partition as a member.
///
/// # Errors
/// What the broker says of the partition.
pub async fn commit_as(member: &mut Member, topic: &str, offset: i64) -> Result<(), ResponseError> {
    let request = commit_request(&member.group, topic, 0, offset, "")
        .with_generation_id_or_member_epoch(member.generation)
        .with_member_id(text(&member.id))
        .with_group_instance_id(member.instance.as_deref().map(text));
    send_commit(&mut member.connection, &request).await
}

/// What a group has committed in one partition of a topic.
///
/// # Panics
/// When the broker refuses the whole request.
pub async fn committed(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    partition: i32,
    stable_only: bool,
) -> OffsetFetchResponsePartitions {
    let asked = OffsetFetchRequestTopics::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![partition]);
    let mut groups = fetch(connection, group, Some(vec![asked]), stable_only).await;
    groups.remove(0).1.remove(0)
}

/// What a group has committed: topics with their partitions; `None` asks for all.
///
/// # Panics
/// When the broker refuses the whole request.
pub async fn fetch(
    connection: &mut Connection,
    group: &str,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    stable_only: bool,
) -> Vec<(String, Vec<OffsetFetchResponsePartitions>)> {
    let asked =
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(topics);
    let request =
        OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(stable_only);
    let mut response = connection.call(FETCH, &request).await;
    let group = response.groups.remove(0);
    assert_eq!(outcome(group.error_code), Ok(()));
    group.topics.into_iter().map(|topic| (topic.name.to_string(), topic.partitions)).collect()
}
