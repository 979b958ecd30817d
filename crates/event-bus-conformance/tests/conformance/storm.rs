//! A storm of members that join and leave, after which the group comes to rest.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::eventually;
use event_bus_conformance::groups;
use event_bus_conformance::member::Member;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::SOON;
use kafka_protocol::ResponseError;
use rand::RngExt as _;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

const MEMBERS: usize = 20;
/// The members that stay; all others leave once they were in a generation or more.
const STAYING: usize = 7;
const PARTITIONS: usize = 60;

/// What a member holds at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    generation: i32,
    partitions: Vec<u8>,
}

/// The leader deals the partitions out.
fn deal(members: &[String]) -> BTreeMap<String, Bytes> {
    let mut hands: Vec<Vec<u8>> = vec![Vec::new(); members.len()];
    for partition in 0..PARTITIONS {
        let number = u8::try_from(partition).expect("there are few partitions");
        hands[partition % members.len()].push(number);
    }
    members.iter().cloned().zip(hands.into_iter().map(Bytes::from)).collect()
}

/// One round: join, sync, and what was assigned. `None` when the coordinator wants another round.
async fn round(member: &mut Member) -> Option<Held> {
    let joined = member.try_join().await;
    match outcome(joined.error_code) {
        Ok(()) => {}
        Err(ResponseError::MemberIdRequired | ResponseError::RebalanceInProgress) => return None,
        Err(ResponseError::UnknownMemberId) => {
            member.id.clear();
            return None;
        }
        Err(other) => panic!("a member in a storm can't join: {other}"),
    }
    let ids: Vec<_> = joined.members.iter().map(|m| m.member_id.to_string()).collect();
    let assignments =
        if joined.leader.as_str() == member.id { deal(&ids) } else { BTreeMap::new() };
    match member.sync(&assignments).await {
        Ok(mine) => Some(Held { generation: member.generation, partitions: mine.to_vec() }),
        Err(ResponseError::RebalanceInProgress) => None,
        Err(ResponseError::UnknownMemberId | ResponseError::IllegalGeneration) => {
            member.id.clear();
            None
        }
        Err(other) => panic!("a member in a storm can't sync: {other}"),
    }
}

/// A member's life: it rejoins whenever it is told to, until it is its time to leave.
async fn live(group: String, rounds: Option<u32>, held: watch::Sender<Held>, end: Rc<Cell<bool>>) {
    let mut member = Member::of(&group).await;
    let mut lived = 0;
    while !end.get() {
        let Some(now) = round(&mut member).await else { continue };
        held.send_replace(now);
        lived += 1;
        if rounds.is_some_and(|rounds| lived >= rounds) {
            break;
        }
        // It is in the group until a heartbeat says otherwise.
        eventually(Duration::from_secs(120), async || match member.heartbeat().await {
            Ok(()) if !end.get() => Err("nothing happens"),
            _ => Ok(()),
        })
        .await;
    }
    held.send_replace(Held::default());
    // Who was removed meanwhile has left already.
    let _ = member.leave().await;
}

#[tokio::test]
async fn after_a_storm_of_joins_and_leaves_the_rest_shares_all_partitions_in_one_generation() {
    LocalSet::new().run_until(storm()).await;
}

async fn storm() {
    let group = unique("group");
    let end = Rc::new(Cell::new(false));
    let mut held = Vec::new();
    let mut lives = Vec::new();
    for number in 0..MEMBERS {
        let (sender, receiver) = watch::channel(Held::default());
        let rounds = (number >= STAYING).then(|| rand::rng().random_range(1..=3));
        lives.push(spawn_local(live(group.clone(), rounds, sender, Rc::clone(&end))));
        held.push(receiver);
    }
    eventually(2 * SOON, async || {
        let now: Vec<Held> = held.iter().map(|held| held.borrow().clone()).collect();
        let in_group: Vec<_> = now.iter().filter(|held| held.generation > 0).collect();
        let generations: BTreeSet<_> = in_group.iter().map(|held| held.generation).collect();
        let mut partitions: Vec<_> =
            in_group.iter().flat_map(|held| held.partitions.iter().copied()).collect();
        partitions.sort_unstable();
        let all = (0..PARTITIONS).map(|p| u8::try_from(p).expect("there are few"));
        let at_rest = in_group.len() == STAYING
            && lives.iter().filter(|life| life.is_finished()).count() == MEMBERS - STAYING
            && generations.len() == 1
            && partitions.iter().copied().eq(all);
        if at_rest { Ok(()) } else { Err(now) }
    })
    .await;
    let mut connection = Connection::open().await;
    let described = groups::describe(&mut connection, &group).await;
    assert_eq!(described.group_state.as_str(), "Stable");
    assert_eq!(described.members.len(), STAYING);
    end.set(true);
    for life in lives {
        life.await.expect("no member panics");
    }
    let described = groups::describe(&mut connection, &group).await;
    assert_eq!(described.group_state.as_str(), "Empty");
}
