//! Joining a group, being in it, leaving it: one member at a time.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::eventually;
use event_bus_conformance::groups;
use event_bus_conformance::member::Member;
use event_bus_conformance::offsets::{commit_as, committed};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{SOON, Topic, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, JoinGroupRequest, LeaveGroupRequest};

#[tokio::test]
async fn a_new_member_is_given_an_id_before_it_joins() {
    let mut member = Member::of(&unique("group")).await;
    let first = member.try_join().await;
    assert_eq!(outcome(first.error_code), Err(ResponseError::MemberIdRequired));
    assert!(first.member_id.starts_with("conformance-"), "{:?}", first.member_id);
    let joined = member.try_join().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert_eq!(joined.member_id.as_str(), member.id);
    assert_eq!(joined.leader.as_str(), member.id);
    assert_eq!(joined.generation_id, 1);
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert!(!joined.skip_assignment);
}

#[tokio::test]
async fn an_older_member_joins_at_once() {
    let mut connection = Connection::open().await;
    for version in 0..=3 {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"\0\0"));
        let mut request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&unique("group"))))
            .with_session_timeout_ms(10_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        if version >= 1 {
            request.rebalance_timeout_ms = 10_000;
        }
        let response = connection.call(version, &request).await;
        assert_eq!(outcome(response.error_code), Ok(()), "version {version}");
        assert!(!response.member_id.is_empty());
        assert_eq!(response.leader, response.member_id);
    }
}

#[tokio::test]
async fn a_member_that_nobody_knows_is_told_so() {
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let unknown = Err(ResponseError::UnknownMemberId);
    let mut stranger = Member::of(&group).await;
    stranger.id = "stranger".to_owned();
    stranger.generation = member.generation;
    assert_eq!(outcome(stranger.try_join().await.error_code), unknown);
    assert_eq!(stranger.heartbeat().await, unknown);
    assert_eq!(stranger.sync(&BTreeMap::new()).await, Err(ResponseError::UnknownMemberId));
    assert_eq!(stranger.leave().await, unknown);
    let mut elsewhere = Member::of(&unique("group")).await;
    elsewhere.id = "stranger".to_owned();
    assert_eq!(elsewhere.heartbeat().await, unknown);
    assert_eq!(outcome(elsewhere.try_join().await.error_code), unknown);
}

#[tokio::test]
async fn a_pending_member_can_neither_heartbeat_nor_sync_nor_commit() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut member = Member::of(&unique("group")).await;
    member.try_join().await;
    member.generation = 0;
    let unknown = Err(ResponseError::UnknownMemberId);
    assert_eq!(member.heartbeat().await, unknown);
    assert_eq!(member.sync(&BTreeMap::new()).await, Err(ResponseError::UnknownMemberId));
    assert_eq!(commit_as(&mut member, &topic.name, 1).await, unknown);
}

#[tokio::test]
async fn a_pending_member_that_leaves_has_to_begin_again() {
    let mut member = Member::of(&unique("group")).await;
    member.try_join().await;
    assert_eq!(member.leave().await, Ok(()));
    let joined = member.try_join().await;
    assert_eq!(outcome(joined.error_code), Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn members_need_a_group_a_session_and_a_protocol() {
    let mut member = Member::of("").await;
    let refused = member.try_join().await;
    assert_eq!(outcome(refused.error_code), Err(ResponseError::InvalidGroupId));
    let mut member = Member::of(&unique("group")).await;
    for timeout in [0, 10, i32::MAX] {
        member.session_timeout_ms = timeout;
        let refused = member.try_join().await;
        assert_eq!(outcome(refused.error_code), Err(ResponseError::InvalidSessionTimeout));
    }
    let mut member = Member::of(&unique("group")).await;
    member.protocols.clear();
    let refused = member.try_join().await;
    assert_eq!(outcome(refused.error_code), Err(ResponseError::InconsistentGroupProtocol));
}

#[tokio::test]
async fn members_of_one_group_share_a_protocol() {
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let mut other = Member::of(&group).await;
    other.protocols = vec!["roundrobin"];
    let refused = other.try_join().await;
    assert_eq!(outcome(refused.error_code), Err(ResponseError::InconsistentGroupProtocol));
}

#[tokio::test]
async fn a_heartbeat_of_another_generation_is_illegal() {
    let mut member = Member::of(&unique("group")).await;
    member.join_alone().await;
    assert_eq!(member.heartbeat().await, Ok(()));
    member.generation += 1;
    let illegal = Err(ResponseError::IllegalGeneration);
    assert_eq!(member.heartbeat().await, illegal);
    assert_eq!(member.sync(&BTreeMap::new()).await, Err(ResponseError::IllegalGeneration));
}

#[tokio::test]
async fn a_commit_of_an_older_generation_is_refused() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    assert_eq!(commit_as(&mut member, &topic.name, 5).await, Ok(()));
    member.join_alone().await;
    assert_eq!(member.generation, 2);
    member.generation = 1;
    let refused = commit_as(&mut member, &topic.name, 6).await;
    assert_eq!(refused, Err(ResponseError::IllegalGeneration));
    member.generation = 2;
    member.id = "stranger".to_owned();
    let refused = commit_as(&mut member, &topic.name, 6).await;
    assert_eq!(refused, Err(ResponseError::UnknownMemberId));
    let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
    assert_eq!(seen.committed_offset, 5);
}

#[tokio::test]
async fn a_stable_group_answers_sync_again_with_the_same_assignment() {
    let mut member = Member::of(&unique("group")).await;
    member.join_alone().await;
    let again = member.sync(&BTreeMap::new()).await;
    assert_eq!(again, Ok(Bytes::from_static(b"everything")));
}

#[tokio::test]
async fn a_sync_of_another_protocol_is_inconsistent() {
    let mut member = Member::of(&unique("group")).await;
    member.join().await;
    member.protocols = vec!["other"];
    let refused = member.sync(&BTreeMap::new()).await;
    assert_eq!(refused, Err(ResponseError::InconsistentGroupProtocol));
}

#[tokio::test]
async fn a_member_that_left_is_unknown_and_its_group_keeps_its_offsets() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    assert_eq!(commit_as(&mut member, &topic.name, 5).await, Ok(()));
    assert_eq!(member.leave().await, Ok(()));
    assert_eq!(member.leave().await, Err(ResponseError::UnknownMemberId));
    assert_eq!(member.heartbeat().await, Err(ResponseError::UnknownMemberId));
    let seen = committed(&mut connection, &group, &topic.name, 0, true).await;
    assert_eq!(seen.committed_offset, 5);
}

#[tokio::test]
async fn several_members_leave_at_once_each_with_its_own_answer() {
    let group = unique("group");
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let identity = |id: &str| MemberIdentity::default().with_member_id(text(id));
    let request = LeaveGroupRequest::default()
        .with_group_id(GroupId(text(&group)))
        .with_members(vec![identity("stranger"), identity(&member.id)]);
    let response = member.connection.call(5, &request).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    let seen: Vec<_> = response.members.iter().map(|m| outcome(m.error_code)).collect();
    assert_eq!(seen, [Err(ResponseError::UnknownMemberId), Ok(())]);
}

#[tokio::test]
async fn a_silent_member_is_removed_after_its_session() {
    let mut member = Member::of(&unique("group")).await;
    // The shortest that Apache Kafka takes by default.
    member.session_timeout_ms = 6_000;
    member.join_alone().await;
    // A heartbeat that asks would keep it alive; the group's description does not.
    let group = member.group.clone();
    let mut connection = Connection::open().await;
    eventually(SOON, async || match groups::describe(&mut connection, &group).await {
        described if described.group_state.as_str() == "Empty" => Ok(()),
        described => Err(described),
    })
    .await;
    assert_eq!(member.heartbeat().await, Err(ResponseError::UnknownMemberId));
}
