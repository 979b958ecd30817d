//! Committed offsets of groups without members, as tools and simple consumers commit them.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::member::Member;
use event_bus_conformance::offsets::{
    commit, commit_as, commit_request, committed, fetch, send_commit,
};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{Topic, text, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetDeleteRequest, OffsetFetchRequest};

async fn delete_offset(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    partition: i32,
) -> Result<(), ResponseError> {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request =
        OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
    let response = connection.call(0, &request).await;
    outcome(response.error_code)?;
    outcome(response.topics[0].partitions[0].error_code)
}

#[tokio::test]
async fn an_offset_comes_back_with_its_metadata_and_its_epoch() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::create(&mut connection, 2, &[]).await, unique("group"));
    let request = commit_request(&group, &topic.name, 1, 42, "why it is there");
    assert_eq!(send_commit(&mut connection, &request).await, Ok(()));
    let seen = committed(&mut connection, &group, &topic.name, 1, true).await;
    assert_eq!(outcome(seen.error_code), Ok(()));
    assert_eq!((seen.committed_offset, seen.committed_leader_epoch), (42, 0));
    assert_eq!(seen.metadata.as_deref(), Some("why it is there"));
    let other = committed(&mut connection, &group, &topic.name, 0, true).await;
    assert_eq!((outcome(other.error_code), other.committed_offset), (Ok(()), -1));
    assert_eq!((other.committed_leader_epoch, other.metadata.as_deref()), (-1, Some("")));
}

#[tokio::test]
async fn a_later_commit_replaces_the_offset_whichever_is_larger() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    for offset in [5, 9, 2] {
        assert_eq!(commit(&mut connection, &group, &topic.name, offset).await, Ok(()));
        let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
        assert_eq!(seen.committed_offset, offset);
    }
}

#[tokio::test]
async fn all_offsets_of_a_group_are_told_and_none_of_another() {
    let mut connection = Connection::open().await;
    let (a, b) = (Topic::new(&mut connection).await, Topic::new(&mut connection).await);
    let (group, other) = (unique("group"), unique("group"));
    for topic in [&a, &b] {
        assert_eq!(commit(&mut connection, &group, &topic.name, 7).await, Ok(()));
    }
    let mut names: Vec<_> = fetch(&mut connection, &group, None, false)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    let mut wanted = [a.name, b.name];
    wanted.sort();
    assert_eq!(names, wanted);
    assert!(fetch(&mut connection, &other, None, false).await.is_empty());
}

#[tokio::test]
async fn every_version_of_offset_fetch_for_one_group_tells_the_offset() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    assert_eq!(commit(&mut connection, &group, &topic.name, 7).await, Ok(()));
    for version in 1..=7 {
        let asked = OffsetFetchRequestTopic::default()
            .with_name(topic.wire_name())
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(&group)))
            .with_topics(Some(vec![asked]));
        let response = connection.call(version, &request).await;
        assert_eq!(outcome(response.error_code), Ok(()));
        assert_eq!(response.topics[0].partitions[0].committed_offset, 7, "version {version}");
    }
}

#[tokio::test]
async fn metadata_that_is_too_large_is_refused() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let fits = commit_request(&group, &topic.name, 0, 1, &"x".repeat(4_096));
    assert_eq!(send_commit(&mut connection, &fits).await, Ok(()));
    let large = commit_request(&group, &topic.name, 0, 2, &"x".repeat(4_097));
    let refused = send_commit(&mut connection, &large).await;
    assert_eq!(refused, Err(ResponseError::OffsetMetadataTooLarge));
    let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
    assert_eq!(seen.committed_offset, 1);
}

#[tokio::test]
async fn an_offset_of_an_unknown_topic_or_partition_is_not_taken() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let missing = Err(ResponseError::UnknownTopicOrPartition);
    assert_eq!(commit(&mut connection, &group, &unique("unknown"), 1).await, missing);
    let partition = commit_request(&group, &topic.name, 5, 1, "");
    assert_eq!(send_commit(&mut connection, &partition).await, missing);
}

#[tokio::test]
async fn a_group_without_a_name_keeps_offsets_as_old_consumers_do() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    assert_eq!(commit(&mut connection, "", &topic.name, 3).await, Ok(()));
    assert_eq!(committed(&mut connection, "", &topic.name, 0, false).await.committed_offset, 3);
}

#[tokio::test]
async fn a_commit_of_a_generation_that_never_was_is_refused() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let cases = [(8, ResponseError::IllegalGeneration), (9, ResponseError::GroupIdNotFound)];
    for (version, error) in cases {
        let request = commit_request(&group, &topic.name, 0, 1, "")
            .with_generation_id_or_member_epoch(3)
            .with_member_id(text("nobody"));
        let response = connection.call(version, &request).await;
        let refused = outcome(response.topics[0].partitions[0].error_code);
        assert_eq!(refused, Err(error), "version {version}");
    }
}

#[tokio::test]
async fn a_tool_cannot_commit_for_a_group_with_members() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let refused = commit(&mut connection, &group, &topic.name, 1).await;
    assert_eq!(refused, Err(ResponseError::UnknownMemberId));
    assert_eq!(commit_as(&mut member, &topic.name, 2).await, Ok(()));
    member.leave().await.expect("it is a member");
    assert_eq!(commit(&mut connection, &group, &topic.name, 3).await, Ok(()));
}

#[tokio::test]
async fn a_deleted_offset_is_gone_and_the_others_stay() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::create(&mut connection, 2, &[]).await, unique("group"));
    for partition in 0..2 {
        let request = commit_request(&group, &topic.name, partition, 7, "");
        assert_eq!(send_commit(&mut connection, &request).await, Ok(()));
    }
    assert_eq!(delete_offset(&mut connection, &group, &topic.name, 0).await, Ok(()));
    let gone = committed(&mut connection, &group, &topic.name, 0, false).await;
    let kept = committed(&mut connection, &group, &topic.name, 1, false).await;
    assert_eq!((gone.committed_offset, kept.committed_offset), (-1, 7));
}

#[tokio::test]
async fn an_offset_of_a_topic_that_a_group_reads_is_not_deleted() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let mut member = Member::of(&group).await;
    member.topics = vec![topic.name.clone()];
    member.join_alone().await;
    assert_eq!(commit_as(&mut member, &topic.name, 7).await, Ok(()));
    let refused = delete_offset(&mut connection, &group, &topic.name, 0).await;
    assert_eq!(refused, Err(ResponseError::GroupSubscribedToTopic));
    let unknown = delete_offset(&mut connection, &unique("group"), &topic.name, 0).await;
    assert_eq!(unknown, Err(ResponseError::GroupIdNotFound));
}
