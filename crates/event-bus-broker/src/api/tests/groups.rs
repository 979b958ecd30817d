use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn orders() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

/// A broker with the topic `orders` of two partitions.
async fn start() -> (Broker, Client) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(create(&mut client, vec![topic("orders", 2)]).await, [0]);
    (broker, client)
}

async fn join(client: &mut Client, id: &str, member_id: &str, version: i16) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"meta"));
    let mut request = JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_session_timeout_ms(10_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    if version >= 1 {
        request.rebalance_timeout_ms = 10_000;
    }
    client.ask(request, version).await
}

/// A member alone in its group, in this version of `JoinGroup`.
pub(super) async fn member(client: &mut Client, id: &str, version: i16) -> JoinGroupResponse {
    let joined = join(client, id, "", version).await;
    if version < 4 {
        return joined;
    }
    assert_eq!(joined.error_code, ResponseError::MemberIdRequired.code());
    join(client, id, &joined.member_id, version).await
}

pub(super) async fn sync(
    client: &mut Client,
    id: &str,
    joined: &JoinGroupResponse,
    version: i16,
) -> Bytes {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"all"));
    let mut request = SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    if version >= 5 {
        request.protocol_type = Some(text("consumer"));
        request.protocol_name = Some(text("range"));
    }
    let synced = client.ask(request, version).await;
    assert_eq!(synced.error_code, 0, "version {version}");
    if version >= 5 {
        assert_eq!(synced.protocol_name, Some(text("range")));
    }
    synced.assignment
}

async fn describe(client: &mut Client, id: &str, version: i16) -> DescribedGroup {
    let mut request = DescribeGroupsRequest::default().with_groups(vec![group(id)]);
    request.include_authorized_operations = version >= 3;
    client.ask(request, version).await.groups.remove(0)
}

async fn commit(client: &mut Client, id: &str, offset: i64, version: i16) -> Vec<i16> {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("text")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(orders())
        .with_partitions(vec![partition(0), partition(2)]);
    let request = OffsetCommitRequest::default().with_group_id(group(id)).with_topics(vec![topic]);
    let mut answer = client.ask(request, version).await;
    let partitions = answer.topics.remove(0).partitions;
    partitions.iter().map(|partition| partition.error_code).collect()
}

/// The committed offset of `orders` 0, with its text.
async fn committed(client: &mut Client, id: &str, version: i16) -> (i64, StrBytes) {
    if version >= 8 {
        let topic =
            OffsetFetchRequestTopics::default().with_name(orders()).with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(group(id))
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        let mut answer = client.ask(request, version).await;
        let partition = answer.groups.remove(0).topics.remove(0).partitions.remove(0);
        return (partition.committed_offset, partition.metadata.unwrap());
    }
    let topic =
        OffsetFetchRequestTopic::default().with_name(orders()).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group(id)).with_topics(Some(vec![topic]));
    let partition = client.ask(request, version).await.topics.remove(0).partitions.remove(0);
    (partition.committed_offset, partition.metadata.unwrap())
}

#[tokio::test]
async fn a_member_lives_in_every_version() {
    let (_broker, mut client) = start().await;
    for version in 0..=9 {
        let id = format!("group-{version}");
        let joined = member(&mut client, &id, version).await;
        assert_eq!(joined.error_code, 0, "version {version}");
        assert_eq!((joined.generation_id, joined.members.len()), (1, 1));
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(sync(&mut client, &id, &joined, version.min(5)).await, "all");
        let heartbeat = HeartbeatRequest::default()
            .with_group_id(group(&id))
            .with_generation_id(1)
            .with_member_id(joined.member_id.clone());
        assert_eq!(client.ask(heartbeat, version.min(4)).await.error_code, 0);
        let shown = describe(&mut client, &id, version.min(6)).await;
        assert_eq!((shown.group_state.as_str(), shown.protocol_data.as_str()), ("Stable", "range"));
        assert_eq!(shown.members[0].client_host.as_str(), "/127.0.0.1");
        assert_eq!(shown.members[0].client_id.as_str(), "test");
        let version = version.min(5);
        let mut leave = LeaveGroupRequest::default().with_group_id(group(&id));
        if version >= 3 {
            leave.members = vec![MemberIdentity::default().with_member_id(joined.member_id)];
        } else {
            leave.member_id = joined.member_id;
        }
        assert_eq!(client.ask(leave.clone(), version).await.error_code, 0);
        let again = client.ask(leave, version).await;
        let error = again.members.first().map_or(again.error_code, |member| member.error_code);
        assert_eq!(error, ResponseError::UnknownMemberId.code());
    }
}

#[tokio::test]
async fn a_refused_join_is_answered_in_every_version() {
    let (_broker, mut client) = start().await;
    for version in 0..=9 {
        let refused = join(&mut client, "group", "stranger", version).await;
        assert_eq!(refused.error_code, ResponseError::UnknownMemberId.code());
        assert_eq!((refused.generation_id, refused.member_id.as_str()), (-1, "stranger"));
    }
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_in_every_version() {
    let (_broker, mut client) = start().await;
    for version in 2..=9 {
        let errors = commit(&mut client, "group", version.into(), version).await;
        assert_eq!(errors, [0, ResponseError::UnknownTopicOrPartition.code()]);
        let at = committed(&mut client, "group", version).await;
        assert_eq!(at, (version.into(), text("text")));
    }
    assert_eq!(committed(&mut client, "group", 1).await.0, 9);
    assert_eq!(committed(&mut client, "other", 9).await, (-1, text("")));
    let all = OffsetFetchRequest::default().with_group_id(group("group")).with_topics(None);
    assert_eq!(client.ask(all, 7).await.topics[0].partitions[0].committed_offset, 9);
    let nothing = OffsetFetchRequestGroup::default().with_group_id(group("none")).with_topics(None);
    let answer = client.ask(OffsetFetchRequest::default().with_groups(vec![nothing]), 8).await;
    assert!(answer.groups[0].topics.is_empty());
}

#[tokio::test]
async fn a_member_of_a_group_that_is_not_there_hears_it_in_words_of_its_version() {
    let (_broker, mut client) = start().await;
    let topic = OffsetCommitRequestTopic::default()
        .with_name(orders())
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group("none"))
        .with_member_id(text("member"))
        .with_generation_id_or_member_epoch(1)
        .with_topics(vec![topic]);
    for (version, error) in
        [(8, ResponseError::IllegalGeneration), (9, ResponseError::GroupIdNotFound)]
    {
        let answer = client.ask(request.clone(), version).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, error.code());
    }
}

#[tokio::test]
async fn groups_are_listed_by_state_and_type_in_every_version() {
    let (_broker, mut client) = start().await;
    let joined = member(&mut client, "stable", 9).await;
    sync(&mut client, "stable", &joined, 5).await;
    commit(&mut client, "empty", 1, 9).await;
    for version in 0..=5 {
        let listed = client.ask(ListGroupsRequest::default(), version).await.groups;
        let ids: Vec<_> = listed.iter().map(|group| group.group_id.0.as_str()).collect();
        assert_eq!(ids, ["empty", "stable"]);
    }
    let asked = ListGroupsRequest::default()
        .with_states_filter(vec![text("STABLE")])
        .with_types_filter(vec![text("Classic")]);
    let listed = client.ask(asked, 5).await.groups;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].group_state.as_str(), listed[0].group_type.as_str()),
        ("Stable", "classic")
    );
    let asked = ListGroupsRequest::default().with_types_filter(vec![text("share")]);
    assert!(client.ask(asked, 5).await.groups.is_empty());
}

#[tokio::test]
async fn a_group_that_is_not_there_is_dead_or_not_found() {
    let (_broker, mut client) = start().await;
    for version in 0..=6 {
        let shown = describe(&mut client, "none", version).await;
        let not_found = ResponseError::GroupIdNotFound.code();
        assert_eq!(shown.error_code, if version >= 6 { not_found } else { 0 });
        assert_eq!(shown.group_state.as_str(), "Dead");
    }
}

#[tokio::test]
async fn groups_and_offsets_are_deleted_in_every_version() {
    let (_broker, mut client) = start().await;
    let joined = member(&mut client, "stable", 9).await;
    sync(&mut client, "stable", &joined, 5).await;
    for version in 0..=2 {
        commit(&mut client, "empty", 1, 9).await;
        let ids = ["empty", "stable", "none"].map(group).to_vec();
        let request = DeleteGroupsRequest::default().with_groups_names(ids);
        let results = client.ask(request, version).await.results;
        let errors: Vec<_> = results.iter().map(|result| result.error_code).collect();
        let refused = [ResponseError::NonEmptyGroup, ResponseError::GroupIdNotFound];
        assert_eq!(errors, [0, refused[0].code(), refused[1].code()]);
    }
    commit(&mut client, "group", 1, 9).await;
    let partition = |index| OffsetDeleteRequestPartition::default().with_partition_index(index);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(orders())
        .with_partitions(vec![partition(0), partition(7)]);
    let request =
        OffsetDeleteRequest::default().with_group_id(group("group")).with_topics(vec![topic]);
    let answer = client.ask(request, 0).await;
    let errors: Vec<_> =
        answer.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(errors, [0, ResponseError::UnknownTopicOrPartition.code()]);
    assert_eq!(committed(&mut client, "group", 9).await.0, -1);
}

#[tokio::test]
async fn this_node_coordinates_everything_in_every_version() {
    let (broker, mut client) = start().await;
    let port = i32::from(broker.addr().port());
    for version in 0..=3 {
        let request = FindCoordinatorRequest::default().with_key(text("group"));
        let found = client.ask(request, version).await;
        assert_eq!((found.error_code, found.node_id.0, found.port), (0, 1, port));
    }
    for version in 4..=5 {
        let keys = vec![text("one"), text("two")];
        let request =
            FindCoordinatorRequest::default().with_coordinator_keys(keys).with_key_type(1);
        let found = client.ask(request, version).await.coordinators;
        assert_eq!((found.len(), found[1].key.as_str(), found[1].port), (2, "two", port));
    }
    let unknown = FindCoordinatorRequest::default().with_key(text("group")).with_key_type(2);
    let refused = client.ask(unknown, 3).await;
    assert_eq!(refused.error_code, ResponseError::InvalidRequest.code());
}
