//! What a store promises, as functions over one database that run on SQLite and on PostgreSQL; and what only one of
//! the two has to promise.

use std::time::Duration;

use event_bus::envelope::OutgoingRecord;
use event_bus::names::{EventId, TopicName};
use event_bus::store::{Lease, Migration, PendingRow, SHARDS, Scan, Share, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::raw;
use sqlx::types::Uuid;
use tokio::task::JoinHandle;

const SERVICE: &str = "billing";
const SOON: Duration = Duration::from_secs(20);
/// More rows than any test has.
const ALL: i64 = 1_000_000;

const TABLES: &[Migration] = &[
    Migration::same(1, "effects", "CREATE TABLE effects (name text NOT NULL)"),
    Migration::same(
        2,
        "counters",
        "CREATE TABLE counters (name text PRIMARY KEY, last bigint NOT NULL)",
    ),
];

mod inbox;
mod lease;
mod ops;
mod opening;
mod outbox_rows;
mod owner;
mod postgres;
mod purge;
mod quarantine;
mod requests;
mod sqlite;
mod transaction;
mod writers;

/// The database of one service, as one of its processes opens it.
async fn open(databases: &Databases) -> Store {
    Store::open(&databases.url(SERVICE), TABLES).await.expect("the store opens")
}

fn topic(name: &str) -> TopicName {
    name.parse().expect("the name is one of a topic")
}

/// A record for the outbox.
fn record(topic_name: &str, key: Option<&[u8]>, value: &str) -> OutgoingRecord {
    raw(&topic(topic_name), key, Some(value.as_bytes()), Vec::new())
}

async fn commit(store: &Store, records: impl IntoIterator<Item = OutgoingRecord>) {
    let mut tx = store.begin().await.expect("a transaction begins");
    for record in records {
        tx.enqueue(record);
    }
    tx.commit().await.expect("it commits");
}

async fn pending(store: &Store) -> Vec<PendingRow> {
    pending_of(store, ALL, &[]).await
}

/// The first rows of a relay that holds all shards.
async fn pending_of(store: &Store, most: i64, left_out: &[TopicName]) -> Vec<PendingRow> {
    let shards: Vec<i32> = (0..SHARDS).collect();
    let scan = Scan { most, left_out, ..whole(&shards) };
    let waiting = store.for_relay().waiting(&scan).await.expect("the outbox can be read");
    let rows = waiting.into_iter().map(|waiting| waiting.row.expect("it comes whole"));
    rows.map(|row| row.expect("each is a record")).collect()
}

/// All rows of these shards, whole.
fn whole(shards: &[i32]) -> Scan<'_> {
    Scan {
        most: ALL,
        from: 0,
        shards,
        left_out: &[],
        known: &[],
        whole_from: 0,
        whole_bytes: i64::MAX,
    }
}

/// All shards, for one relay.
async fn hold_all(store: &Store, holder: u128) -> Vec<Lease> {
    let held =
        store.hold_leases(Uuid::from_u128(holder), Duration::from_secs(60), Share::Fair).await;
    let leases = held.expect("the leases are asked for").leases;
    assert_eq!(leases.len(), SHARDS as usize, "another relay has some");
    leases
}

fn values(rows: &[PendingRow]) -> Vec<String> {
    rows.iter().map(|row| value(&row.record)).collect()
}

fn value(record: &OutgoingRecord) -> String {
    let bytes = record.value.as_deref().expect("the record has a value");
    String::from_utf8(bytes.to_vec()).expect("its value is text")
}

async fn effects(databases: &Databases) -> i64 {
    databases.number(SERVICE, "SELECT count(*) FROM effects").await
}

/// Returns once `waiters` sessions wait for a lock, which PostgreSQL tells; `task` must be among them. SQLite doesn't
/// tell, so there it has a moment in which to get through where it should not.
async fn assert_waits<T>(databases: &Databases, task: &mut JoinHandle<T>, waiters: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    match databases {
        Databases::Postgres { .. } => {
            eventually(SOON, async || equal(databases.number(SERVICE, WAITING).await, waiters))
                .await;
        }
        Databases::Sqlite(_) => {
            let ended = tokio::time::timeout(Duration::from_millis(200), &mut *task).await;
            assert!(ended.is_err(), "it did not wait");
        }
    }
    assert!(!task.is_finished(), "it did not wait");
}

fn event_id() -> EventId {
    EventId::at(jiff::Timestamp::now())
}
