//! The leases of the relays: one holder of a shard at a time, a later one has the greater token, and who shares.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use event_bus::store::{Held, Lease, SHARDS, Share, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use sqlx::types::Uuid;
use tokio::task::JoinSet;

use super::{SOON, hold_all, open};
use crate::both::on_both_databases;

on_both_databases!(
    one_holder_at_a_time_and_the_holder_keeps_its_tokens,
    expired_leases_are_taken_over_with_greater_tokens,
    a_holder_that_was_late_takes_its_leases_again_with_greater_tokens,
    released_leases_are_taken_over_at_once,
    of_many_that_ask_at_once_each_shard_has_one,
    a_relay_that_comes_gets_its_share_once_the_other_gives_it_back,
);

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);
const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);
const ALL: usize = SHARDS as usize;

async fn hold(store: &Store, holder: Uuid, time: Duration) -> Held {
    store.hold_leases(holder, time, Share::Fair).await.expect("the leases are asked for")
}

fn assert_all_greater(later: &[Lease], earlier: &[Lease]) {
    assert_eq!((later.len(), earlier.len()), (ALL, ALL));
    for (later, earlier) in later.iter().zip(earlier) {
        assert_eq!(later.shard, earlier.shard);
        assert!(later.token > earlier.token, "{later:?} {earlier:?}");
    }
}

async fn one_holder_at_a_time_and_the_holder_keeps_its_tokens(databases: &Databases) {
    let (store, beside) = (open(databases).await, open(databases).await);
    let held = hold_all(&store, 0xa).await;
    assert_eq!(hold(&beside, B, LONG).await, Held { leases: Vec::new(), share: ALL / 2 });
    assert_eq!(hold(&store, A, LONG).await, Held { leases: held, share: ALL / 2 });
    assert_eq!(hold(&beside, B, LONG).await.leases, []);
}

async fn expired_leases_are_taken_over_with_greater_tokens(databases: &Databases) {
    let store = open(databases).await;
    let asked_at = Instant::now();
    let first = hold(&store, A, SHORT).await.leases;
    let second = eventually(SOON, async || {
        let leases = hold(&store, B, LONG).await.leases;
        equal(leases.len(), ALL).map(|()| leases)
    });
    assert_all_greater(&second.await, &first);
    assert!(asked_at.elapsed() >= SHORT, "they were taken over early");
    assert_eq!(hold(&store, A, LONG).await.leases, []);
}

/// Somebody may have had them in between: what the holder did before must not count.
async fn a_holder_that_was_late_takes_its_leases_again_with_greater_tokens(databases: &Databases) {
    let store = open(databases).await;
    let first = hold(&store, A, Duration::ZERO).await.leases;
    let again = eventually(SOON, async || {
        let leases = hold(&store, A, Duration::ZERO).await.leases;
        if leases == first { Err("the leases did not expire") } else { Ok(leases) }
    });
    assert_all_greater(&again.await, &first);
}

async fn released_leases_are_taken_over_at_once(databases: &Databases) {
    let store = open(databases).await;
    let first = hold_all(&store, 0xa).await;
    store.relay_leaves(A, &first).await.expect("they are released");
    let second = hold_all(&store, 0xb).await;
    assert_all_greater(&second, &first);
    store.relay_leaves(B, &second).await.expect("they are released");
    assert_all_greater(&hold_all(&store, 0xa).await, &second);
}

async fn of_many_that_ask_at_once_each_shard_has_one(databases: &Databases) {
    let stores = [open(databases).await, open(databases).await];
    let mut asking = JoinSet::new();
    for holder in 1..=16_u128 {
        let store = stores[usize::from(holder % 2 == 0)].clone();
        asking.spawn(async move { hold(&store, Uuid::from_u128(holder), LONG).await.leases });
    }
    let held: Vec<i32> = asking.join_all().await.concat().iter().map(|held| held.shard).collect();
    let distinct: BTreeSet<i32> = held.iter().copied().collect();
    assert_eq!((held.len(), distinct.len()), (ALL, ALL), "{held:?}");
}

async fn a_relay_that_comes_gets_its_share_once_the_other_gives_it_back(databases: &Databases) {
    let store = open(databases).await;
    let first = hold_all(&store, 0xa).await;
    assert_eq!(hold(&store, B, LONG).await.leases, []);
    let share = hold(&store, A, LONG).await.share;
    store.release_leases(&first[share..]).await.expect("they are released");
    let others = hold(&store, B, LONG).await.leases;
    let shards: Vec<i32> = others.iter().map(|lease| lease.shard).collect();
    assert_eq!(shards, (4..SHARDS).collect::<Vec<_>>());
    assert_eq!(hold(&store, A, LONG).await.leases, first[..share], "it stays as it is");
    assert_eq!(hold(&store, B, LONG).await.leases, others);
}
