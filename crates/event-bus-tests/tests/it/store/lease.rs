//! The relay's lease: one holder at a time, and a later one has the greater token.

use std::time::{Duration, Instant};

use event_bus::store::{Lease, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use sqlx::types::Uuid;
use tokio::task::JoinSet;

use super::{SOON, open};
use crate::both::on_both_databases;

on_both_databases!(
    one_holder_at_a_time_and_the_holder_keeps_its_token,
    an_expired_lease_is_taken_over_with_a_greater_token,
    a_holder_that_was_late_takes_its_lease_again_with_a_greater_token,
    a_released_lease_is_taken_over_at_once,
    of_many_that_ask_at_once_one_gets_it,
);

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);
const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

async fn hold(store: &Store, holder: Uuid, time: Duration) -> Option<Lease> {
    store.hold_relay_lease(holder, time).await.expect("the lease is asked for")
}

async fn one_holder_at_a_time_and_the_holder_keeps_its_token(databases: &Databases) {
    let (store, beside) = (open(databases).await, open(databases).await);
    let held = hold(&store, A, LONG).await.expect("it is free");
    assert_eq!(hold(&beside, B, LONG).await, None);
    assert_eq!(hold(&store, A, LONG).await, Some(held));
    assert_eq!(hold(&beside, B, LONG).await, None);
}

async fn an_expired_lease_is_taken_over_with_a_greater_token(databases: &Databases) {
    let store = open(databases).await;
    let asked_at = Instant::now();
    let first = hold(&store, A, SHORT).await.expect("it is free");
    let second = eventually(SOON, async || hold(&store, B, LONG).await.ok_or("held")).await;
    assert!(asked_at.elapsed() >= SHORT, "it was taken over early");
    assert!(second.token > first.token, "{second:?} {first:?}");
    assert_eq!(hold(&store, A, LONG).await, None);
}

/// Somebody may have had it in between: what the holder did before must not count.
async fn a_holder_that_was_late_takes_its_lease_again_with_a_greater_token(databases: &Databases) {
    let store = open(databases).await;
    let first = hold(&store, A, Duration::ZERO).await.expect("it is free");
    let again = eventually(SOON, async || {
        let lease = hold(&store, A, Duration::ZERO).await.expect("nobody else wants it");
        if lease == first { Err("the lease did not expire") } else { Ok(lease) }
    });
    assert!(again.await.token > first.token);
}

async fn a_released_lease_is_taken_over_at_once(databases: &Databases) {
    let store = open(databases).await;
    let first = hold(&store, A, LONG).await.expect("it is free");
    store.release_relay_lease(first).await.expect("it is released");
    let second = hold(&store, B, LONG).await.expect("it is free again");
    assert!(second.token > first.token, "{second:?} {first:?}");
    store.release_relay_lease(second).await.expect("it is released");
    let third = hold(&store, A, LONG).await.expect("it is free again");
    assert!(third.token > second.token, "{third:?} {second:?}");
}

async fn of_many_that_ask_at_once_one_gets_it(databases: &Databases) {
    let stores = [open(databases).await, open(databases).await];
    let mut asking = JoinSet::new();
    for holder in 1..=16_u128 {
        let store = stores[usize::from(holder % 2 == 0)].clone();
        asking.spawn(async move { hold(&store, Uuid::from_u128(holder), LONG).await });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers.iter().flatten().count(), 1, "{answers:?}");
}
