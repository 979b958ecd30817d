//! Groups as tools see them: listed, described, deleted.

use event_bus_conformance::connection::{CLIENT_ID, Connection};
use event_bus_conformance::groups::describe;
use event_bus_conformance::member::Member;
use event_bus_conformance::offsets::{commit, committed};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{Topic, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
};

async fn list(states: &[&str], types: &[&str], group: &str) -> Option<ListedGroup> {
    let request = ListGroupsRequest::default()
        .with_states_filter(states.iter().map(|state| text(state)).collect())
        .with_types_filter(types.iter().map(|kind| text(kind)).collect());
    let response = Connection::open().await.call(5, &request).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    response.groups.into_iter().find(|listed| listed.group_id.as_str() == group)
}

async fn delete(connection: &mut Connection, group: &str) -> Result<(), ResponseError> {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
    outcome(connection.call(2, &request).await.results[0].error_code)
}

#[tokio::test]
async fn a_stable_group_is_described_with_its_members() {
    let mut connection = Connection::open().await;
    let group = unique("group");
    let mut member = Member::named(&group, "first").await;
    member.join_alone().await;
    let described = describe(&mut connection, &group).await;
    assert_eq!(outcome(described.error_code), Ok(()));
    assert_eq!(described.group_state.as_str(), "Stable");
    assert_eq!(described.protocol_type.as_str(), "consumer");
    assert_eq!(described.protocol_data.as_str(), "range");
    assert_eq!(described.authorized_operations, i32::MIN);
    let seen = &described.members[0];
    assert_eq!(seen.member_id.as_str(), member.id);
    assert_eq!(seen.group_instance_id.as_deref(), Some("first"));
    assert_eq!(seen.client_id.as_str(), CLIENT_ID);
    assert_eq!(seen.client_host.as_str(), "/127.0.0.1");
    assert!(!seen.member_metadata.is_empty());
    assert_eq!(seen.member_assignment.as_ref(), b"everything");
}

#[tokio::test]
async fn a_group_is_described_in_each_of_its_states() {
    let mut connection = Connection::open().await;
    let group = unique("group");
    let dead = describe(&mut connection, &group).await;
    assert_eq!((outcome(dead.error_code), dead.group_state.as_str()), (Ok(()), "Dead"));
    let mut member = Member::of(&group).await;
    member.join().await;
    let waiting = describe(&mut connection, &group).await;
    assert_eq!(waiting.group_state.as_str(), "CompletingRebalance");
    member.join_alone().await;
    assert_eq!(describe(&mut connection, &group).await.group_state.as_str(), "Stable");
    let mut other = Member::of(&group).await;
    other.begin_to_join().await;
    event_bus_conformance::eventually::eventually(event_bus_conformance::topic::SOON, async || {
        match describe(&mut connection, &group).await.group_state.as_str() {
            "PreparingRebalance" => Ok(()),
            state => Err(state.to_owned()),
        }
    })
    .await;
    member.leave().await.expect("it is a member");
    assert_eq!(outcome(other.joined().await.error_code), Ok(()));
    other.leave().await.expect("it is a member");
    let empty = describe(&mut connection, &group).await;
    assert_eq!((empty.group_state.as_str(), empty.members.len()), ("Empty", 0));
    assert_eq!(empty.protocol_type.as_str(), "consumer");
}

#[tokio::test]
async fn the_newest_description_says_that_a_group_is_not_there() {
    let group = GroupId(text(&unique("group")));
    let request = DescribeGroupsRequest::default().with_groups(vec![group]);
    let response = Connection::open().await.call(6, &request).await;
    let described = &response.groups[0];
    assert_eq!(outcome(described.error_code), Err(ResponseError::GroupIdNotFound));
    assert_eq!(described.group_state.as_str(), "Dead");
}

#[tokio::test]
async fn groups_are_listed_by_their_state_and_kind() {
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let listed = list(&[], &[], &group).await.expect("it is listed");
    assert_eq!(listed.protocol_type.as_str(), "consumer");
    assert_eq!(listed.group_state.as_str(), "Stable");
    assert_eq!(listed.group_type.as_str(), "classic");
    assert!(list(&["stable", "Empty"], &["Classic"], &group).await.is_some());
    assert!(list(&["Empty"], &[], &group).await.is_none());
    assert!(list(&[], &["consumer"], &group).await.is_none());
    member.leave().await.expect("it is a member");
    assert!(list(&["Empty"], &[], &group).await.is_some());
}

#[tokio::test]
async fn a_group_that_only_has_offsets_is_listed_without_a_protocol() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    assert_eq!(commit(&mut connection, &group, &topic.name, 1).await, Ok(()));
    let listed = list(&[], &[], &group).await.expect("it is listed");
    assert_eq!((listed.protocol_type.as_str(), listed.group_state.as_str()), ("", "Empty"));
}

#[tokio::test]
async fn an_empty_group_is_deleted_with_its_offsets() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    assert_eq!(commit(&mut connection, &group, &topic.name, 7).await, Ok(()));
    assert_eq!(delete(&mut connection, &group).await, Ok(()));
    assert_eq!(describe(&mut connection, &group).await.group_state.as_str(), "Dead");
    let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
    assert_eq!(seen.committed_offset, -1);
}

#[tokio::test]
async fn a_group_with_members_is_not_deleted_nor_one_that_is_not_there() {
    let mut connection = Connection::open().await;
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    assert_eq!(delete(&mut connection, &group).await, Err(ResponseError::NonEmptyGroup));
    let unknown = delete(&mut connection, &unique("group")).await;
    assert_eq!(unknown, Err(ResponseError::GroupIdNotFound));
    assert_eq!(member.heartbeat().await, Ok(()));
}
