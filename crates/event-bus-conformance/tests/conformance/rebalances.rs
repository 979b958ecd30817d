//! Rebalances of three members: eager, cooperative, and with members that don't come.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_bus_conformance::member::{Member, settle};
use event_bus_conformance::offsets::commit_as;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;

fn own_name(id: &str) -> Bytes {
    Bytes::from(format!("for {id}"))
}

/// Members of one group, none of which joined.
async fn members<const N: usize>(group: &str) -> [Member; N] {
    let mut members = Vec::new();
    for _ in 0..N {
        members.push(Member::of(group).await);
    }
    members.try_into().expect("there are as many")
}

/// Brings three members into one stable generation.
async fn stable_three(group: &str) -> [Member; 3] {
    let [mut a, mut b, mut c] = members(group).await;
    a.join_alone().await;
    b.begin_to_join().await;
    c.begin_to_join().await;
    a.until_told_to_rejoin().await;
    // All three are in now or come with this: the generation closes when all known members are here.
    a.send_join().await;
    settle(&mut [&mut a, &mut b, &mut c], own_name).await;
    [a, b, c]
}

#[tokio::test]
async fn three_eager_members_get_one_generation_and_each_its_assignment() {
    let mut three = stable_three(&unique("group")).await;
    for member in &mut three {
        assert_eq!(member.heartbeat().await, Ok(()));
    }
}

#[tokio::test]
async fn only_the_leader_sees_the_members() {
    let group = unique("group");
    let [mut a, mut b] = members(&group).await;
    a.join_alone().await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    let (of_a, of_b) = (a.joined().await, b.joined().await);
    assert_eq!(of_a.leader.as_str(), a.id, "the leader stays");
    assert_eq!((of_a.members.len(), of_b.members.len()), (2, 0));
    assert_eq!(of_a.generation_id, of_b.generation_id);
    assert_eq!(of_b.leader.as_str(), a.id);
}

#[tokio::test]
async fn a_member_that_leaves_makes_the_others_rejoin() {
    let [mut a, mut b, mut c] = stable_three(&unique("group")).await;
    assert_eq!(a.leave().await, Ok(()));
    b.until_told_to_rejoin().await;
    c.until_told_to_rejoin().await;
    let before = b.generation;
    b.send_join().await;
    c.send_join().await;
    settle(&mut [&mut b, &mut c], own_name).await;
    assert_eq!(b.generation, before + 1);
    assert_eq!(a.heartbeat().await, Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn in_a_rebalance_old_members_may_commit_and_heartbeats_tell_them_to_rejoin() {
    let mut connection = event_bus_conformance::connection::Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let [mut a, mut b] = members(&unique("group")).await;
    a.join_alone().await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    assert_eq!(commit_as(&mut a, &topic.name, 5).await, Ok(()));
    assert_eq!(a.sync(&BTreeMap::new()).await, Err(ResponseError::RebalanceInProgress));
    a.send_join().await;
    a.joined().await;
    b.joined().await;
    // Between join and sync nobody knows yet whose partition it is.
    let refused = commit_as(&mut b, &topic.name, 6).await;
    assert_eq!(refused, Err(ResponseError::RebalanceInProgress));
}

#[tokio::test]
async fn cooperative_members_give_partitions_up_in_one_rebalance_and_get_them_in_the_next() {
    let [mut a, mut b, mut c] = members(&unique("group")).await;
    for member in [&mut a, &mut b, &mut c] {
        member.protocols = vec!["cooperative-sticky"];
    }
    a.join_alone().await;
    a.owned = vec![0, 1, 2, 3, 4, 5];
    b.begin_to_join().await;
    c.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    let owner = a.id.clone();
    let keeps_two = |id: &str| Bytes::from_static(if id == owner { b"01" } else { b"" });
    settle(&mut [&mut a, &mut b, &mut c], keeps_two).await;

    // Whoever gave partitions up joins again, which is a change, and the others are asked to.
    let first = a.generation;
    a.owned = vec![0, 1];
    a.send_join().await;
    b.until_told_to_rejoin().await;
    c.until_told_to_rejoin().await;
    b.send_join().await;
    c.send_join().await;
    settle(&mut [&mut a, &mut b, &mut c], own_name).await;
    assert_eq!(a.generation, first + 1);
}

#[tokio::test]
async fn a_follower_that_joins_again_unchanged_gets_its_generation_without_a_rebalance() {
    let [mut a, mut b] = members(&unique("group")).await;
    a.join_alone().await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    settle(&mut [&mut a, &mut b], own_name).await;
    let before = b.generation;
    let again = b.try_join().await;
    assert_eq!((outcome(again.error_code), again.generation_id), (Ok(()), before));
    assert_eq!(a.heartbeat().await, Ok(()));
}

#[tokio::test]
async fn a_leader_that_joins_again_starts_a_rebalance() {
    let [mut a, mut b] = members(&unique("group")).await;
    a.join_alone().await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    settle(&mut [&mut a, &mut b], own_name).await;
    let before = a.generation;
    a.send_join().await;
    b.until_told_to_rejoin().await;
    b.send_join().await;
    settle(&mut [&mut a, &mut b], own_name).await;
    assert_eq!(a.generation, before + 1);
}

#[tokio::test]
async fn a_member_that_does_not_rejoin_in_time_is_left_behind() {
    let group = unique("group");
    let [mut a, mut b] = members(&group).await;
    a.rebalance_timeout_ms = 1_000;
    b.rebalance_timeout_ms = 1_000;
    a.join_alone().await;
    b.begin_to_join().await;
    // `a` stays away.
    let joined = b.joined().await;
    assert_eq!(outcome(joined.error_code), Ok(()));
    assert_eq!((joined.leader.as_str(), joined.members.len()), (b.id.as_str(), 1));
    assert_eq!(a.heartbeat().await, Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn the_protocol_that_all_members_have_is_chosen_by_their_votes() {
    let group = unique("group");
    let [mut a, mut b] = members(&group).await;
    a.protocols = vec!["range", "sticky"];
    b.protocols = vec!["sticky", "roundrobin"];
    a.join_alone().await;
    b.begin_to_join().await;
    a.until_told_to_rejoin().await;
    a.send_join().await;
    let joined = a.joined().await;
    assert_eq!(joined.protocol_name.as_deref(), Some("sticky"));
}
