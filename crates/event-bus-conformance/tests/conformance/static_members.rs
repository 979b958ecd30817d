//! Static members: those that have a name of their own, and keep their place across restarts.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::member::{Member, settle};
use event_bus_conformance::offsets::commit_as;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;

fn own_name(id: &str) -> Bytes {
    Bytes::from(format!("for {id}"))
}

#[tokio::test]
async fn a_static_member_joins_at_once() {
    let mut member = Member::named(&unique("group"), "first").await;
    let joined = member.try_join().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert!(joined.member_id.starts_with("first-"), "{:?}", joined.member_id);
    assert_eq!(joined.members[0].group_instance_id.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let group = unique("group");
    let mut leader = Member::named(&group, "leader").await;
    let mut follower = Member::named(&group, "follower").await;
    leader.join_alone().await;
    follower.begin_to_join().await;
    leader.until_told_to_rejoin().await;
    leader.send_join().await;
    settle(&mut [&mut leader, &mut follower], own_name).await;

    let mut back = Member::named(&group, "follower").await;
    let joined = back.try_join().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert_eq!(joined.generation_id, follower.generation);
    assert_ne!(back.id, follower.id);
    assert_eq!(leader.heartbeat().await, Ok(()));
    let assignment = back.sync(&BTreeMap::new()).await;
    assert_eq!(assignment, Ok(own_name(&follower.id)));
}

#[tokio::test]
async fn a_replaced_static_member_is_fenced_in_all_it_does() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let group = unique("group");
    let mut old = Member::named(&group, "only").await;
    old.join_alone().await;
    let mut new = Member::named(&group, "only").await;
    new.join().await;
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(old.heartbeat().await, fenced);
    assert_eq!(commit_as(&mut old, &topic.name, 1).await, fenced);
    assert_eq!(old.sync(&BTreeMap::new()).await, Err(ResponseError::FencedInstanceId));
    assert_eq!(outcome(old.try_join().await.error_code), fenced);
    assert_eq!(old.leave().await, fenced);
    assert_eq!(new.heartbeat().await, Ok(()));
    assert_eq!(commit_as(&mut new, &topic.name, 2).await, Ok(()));
}

#[tokio::test]
async fn a_leader_that_comes_back_skips_the_assignment() {
    let group = unique("group");
    let mut old = Member::named(&group, "only").await;
    old.join_alone().await;
    let mut new = Member::named(&group, "only").await;
    let joined = new.try_join().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert_eq!(joined.generation_id, old.generation);
    assert!(joined.skip_assignment);
    assert_eq!(joined.leader.as_str(), new.id);
    assert_eq!(new.sync(&BTreeMap::new()).await, Ok(Bytes::from_static(b"everything")));
}

#[tokio::test]
async fn a_static_member_that_comes_back_with_other_protocols_starts_a_rebalance() {
    let group = unique("group");
    let mut old = Member::named(&group, "only").await;
    old.join_alone().await;
    let mut new = Member::named(&group, "only").await;
    new.protocols = vec!["roundrobin", "range"];
    let joined = new.try_join().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert_eq!(joined.generation_id, old.generation + 1);
}

#[tokio::test]
async fn a_static_member_is_removed_by_its_name() {
    let group = unique("group");
    let mut member = Member::named(&group, "only").await;
    member.join_alone().await;
    let mut admin = Member::named(&group, "only").await;
    assert_eq!(admin.leave().await, Ok(()));
    assert_eq!(admin.leave().await, Err(ResponseError::UnknownMemberId));
    assert_eq!(member.heartbeat().await, Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn a_static_and_a_dynamic_member_share_a_group() {
    let group = unique("group");
    let mut a = Member::named(&group, "static").await;
    a.join_alone().await;
    let mut b = Member::of(&group).await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    settle(&mut [&mut a, &mut b], own_name).await;
    assert_eq!(a.generation, 2);
}
