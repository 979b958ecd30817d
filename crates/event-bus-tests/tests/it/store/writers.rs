//! Many writers at once: no deadlock, no busy database, and per key the order of commits.

use std::collections::HashMap;

use event_bus::store::{PendingRow, Store};
use event_bus_tests::databases::Databases;
use rand::seq::{IndexedRandom, SliceRandom};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{commit, hold_all, open, pending, pending_of, record, value};
use crate::both::on_both_databases;

on_both_databases!(
    per_key_the_order_of_ids_is_the_order_of_commits,
    writers_of_crossing_sets_of_keys_do_not_deadlock,
    a_relay_loses_no_row_and_keeps_each_keys_order_while_writers_write,
);

const WRITERS: usize = 12;
const TRANSACTIONS: usize = 25;
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Counts a key up under its row's lock, which is held to the commit, and enqueues the number.
async fn count_up(store: &Store, key: &'static str) {
    const COUNT: &str = "INSERT INTO counters (name, last) VALUES ($1, 1)
                         ON CONFLICT (name) DO UPDATE SET last = counters.last + 1 RETURNING last";
    let mut tx = store.begin().await.expect("a transaction begins");
    let row =
        tx.fetch_optional(COUNT, &[key.into()]).await.expect("it counts").expect("it says how far");
    let number: i64 = row.get("last").expect("a number");
    tx.enqueue(record("orders", Some(key.as_bytes()), &number.to_string()));
    tx.commit().await.expect("it commits");
}

/// Writers of two processes.
async fn count_up_at_once(databases: &Databases) -> JoinSet<()> {
    let stores = [open(databases).await, open(databases).await];
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[writer % 2].clone();
        writing.spawn(async move {
            for _ in 0..TRANSACTIONS {
                let key = KEYS.choose(&mut rand::rng()).expect("there are keys");
                count_up(&store, key).await;
            }
        });
    }
    writing
}

/// Each key's numbers come as 1, 2, 3, …
fn assert_each_key_counts_up<'a>(rows: impl IntoIterator<Item = &'a PendingRow>) {
    let mut last: HashMap<&[u8], i64> = HashMap::new();
    let mut seen = 0;
    for row in rows {
        let key = row.record.key.as_deref().expect("each has a key");
        let before = last.entry(key).or_default();
        assert_eq!(value(&row.record), (*before + 1).to_string(), "key {}", key.escape_ascii());
        *before += 1;
        seen += 1;
    }
    assert_eq!(seen, WRITERS * TRANSACTIONS);
}

async fn per_key_the_order_of_ids_is_the_order_of_commits(databases: &Databases) {
    count_up_at_once(databases).await.join_all().await;
    assert_each_key_counts_up(&pending(&open(databases).await).await);
}

async fn writers_of_crossing_sets_of_keys_do_not_deadlock(databases: &Databases) {
    let stores = [open(databases).await, open(databases).await];
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[writer % 2].clone();
        writing.spawn(async move {
            for _ in 0..TRANSACTIONS {
                let mut keys: Vec<u32> = (0..40).collect();
                keys.shuffle(&mut rand::rng());
                let keyed = |key: &u32| record("orders", Some(&key.to_be_bytes()), "crossing");
                commit(&store, keys.iter().take(20).map(keyed)).await;
            }
        });
    }
    writing.join_all().await;
    let written = i64::try_from(WRITERS * TRANSACTIONS * 20).expect("a small number");
    assert_eq!(stores[0].outbox_len().await.expect("it is counted"), written);
}

/// A cursor would pass rows whose transactions commit late.
async fn a_relay_loses_no_row_and_keeps_each_keys_order_while_writers_write(databases: &Databases) {
    let relay_store = open(databases).await;
    let (ended, writers_ended) = watch::channel(false);
    let relay = tokio::spawn(async move {
        let mut sent: Vec<PendingRow> = Vec::new();
        loop {
            // Asked before the look, so that the last look comes after the last commit.
            let is_last = *writers_ended.borrow();
            let leases = hold_all(&relay_store, 1).await;
            let rows = pending_of(&relay_store, 7, &[]).await;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            relay_store.for_relay().remove_sent(&leases, &ids).await.expect("they are removed");
            if rows.is_empty() && is_last {
                return sent;
            }
            sent.extend(rows);
        }
    });
    count_up_at_once(databases).await.join_all().await;
    ended.send(true).expect("the relay runs");
    assert_each_key_counts_up(&relay.await.expect("the relay ends"));
}
