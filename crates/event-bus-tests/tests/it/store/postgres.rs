//! What PostgreSQL's concurrency makes hard, and a relay gets wrong easily.

use event_bus::envelope::OutgoingRecord;
use event_bus::store::{Migration, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use super::{SERVICE, SOON, assert_waits, commit, hold_all, pending, record, values};

/// A row in `slow` makes its transaction's COMMIT wait for whoever holds the gate: behind the outbox's inserts.
const SLOW_COMMITS: &[Migration] = &[Migration::same(
    1,
    "slow commits",
    "CREATE TABLE slow (name text NOT NULL);
     CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate();",
)];

/// The gate that slow commits wait at; dropped, it is open.
async fn closed_gate(databases: &Databases) -> PgConnection {
    let mut connection =
        PgConnection::connect(&databases.url(SERVICE)).await.expect("PostgreSQL answers");
    sqlx::query("SELECT pg_advisory_lock(4711)")
        .execute(&mut connection)
        .await
        .expect("the gate is closed");
    connection
}

async fn open(databases: &Databases) -> Store {
    Store::open(&databases.url(SERVICE), SLOW_COMMITS).await.expect("the store opens")
}

/// A transaction that has drawn its ids and hangs in its COMMIT.
async fn commit_slowly(
    databases: &Databases,
    store: &Store,
    key: &[u8],
    name: &str,
) -> JoinHandle<()> {
    let mut tx = store.begin().await.expect("a transaction begins");
    tx.execute("INSERT INTO slow (name) VALUES ($1)", &[name.into()])
        .await
        .expect("a row is written");
    tx.enqueue(record("orders", Some(key), name));
    let mut committing = tokio::spawn(async move { tx.commit().await.expect("it commits") });
    assert_waits(databases, &mut committing, 1).await;
    committing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_smaller_id_commits_later_is_not_passed_over() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let gate = closed_gate(&databases).await;
    let committing = commit_slowly(&databases, &store, b"a", "drawn first").await;
    commit(&store, [record("orders", Some(b"b"), "drawn second")]).await;
    let leases = hold_all(&store, 1).await;
    let first = pending(&store).await;
    assert_eq!(values(&first), ["drawn second"]);
    store.for_relay().remove_sent(&leases, &[first[0].id]).await.expect("it is removed");
    drop(gate);
    committing.await.expect("it commits");
    let second = pending(&store).await;
    assert_eq!(values(&second), ["drawn first"]);
    assert!(second[0].id < first[0].id, "the ids did not commit out of order");
    databases.drop_all().await;
}

/// Commits rows, one of them under the key `a`, beside a transaction of that key which hangs in its COMMIT. None of them
/// may draw an id before that one ends. Gives the values of all rows in the order of their ids.
async fn committed_behind_a_slow_one(rows: Vec<OutgoingRecord>) -> Vec<String> {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let gate = closed_gate(&databases).await;
    let first = commit_slowly(&databases, &store, b"a", "first").await;
    let mut second = {
        let store = store.clone();
        tokio::spawn(async move { commit(&store, rows).await })
    };
    assert_waits(&databases, &mut second, 2).await;
    let drawn = databases.number(SERVICE, "SELECT last_value FROM outbox_id_seq").await;
    assert_eq!(drawn, 1, "the second transaction drew an id before the first ended");
    drop(gate);
    first.await.expect("it commits");
    second.await.expect("it commits");
    let values = values(&pending(&store).await);
    databases.drop_all().await;
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_transaction_of_one_key_draws_its_ids_behind_the_first_ones_commit() {
    let rows = vec![record("orders", Some(b"a"), "second")];
    assert_eq!(committed_behind_a_slow_one(rows).await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_without_records_waits_for_no_other() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let gate = closed_gate(&databases).await;
    let committing = commit_slowly(&databases, &store, b"a", "slow").await;
    commit(&store, []).await;
    assert!(!committing.is_finished());
    drop(gate);
    committing.await.expect("it commits");
    databases.drop_all().await;
}

/// With a larger cache a session's later id may be smaller than another session's earlier one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outboxs_sequence_caches_no_ids() {
    let databases = Databases::postgres().await;
    open(&databases).await.close().await;
    let sql = "SELECT seqcache FROM pg_sequence WHERE seqrelid = 'outbox_id_seq'::regclass";
    assert_eq!(databases.number(SERVICE, sql).await, 1);
    databases.drop_all().await;
}

/// Partitioned by time, the inbox's key would have to hold the time, and no twin would conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_is_one_table_with_the_event_as_its_key() {
    let databases = Databases::postgres().await;
    open(&databases).await.close().await;
    let sql =
        "SELECT count(*) FROM pg_class WHERE oid = 'processed_events'::regclass AND relkind = 'r'";
    assert_eq!(databases.number(SERVICE, sql).await, 1);
    databases.drop_all().await;
}

/// More keys than one transaction may lock one by one: the lock table is the server's, for all databases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_ten_thousand_keys_locks_buckets_and_not_keys() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let gate = closed_gate(&databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    tx.execute("INSERT INTO slow (name) VALUES ('many')", &[]).await.expect("a row is written");
    for key in 0..10_000_u32 {
        tx.enqueue(record("orders", Some(&key.to_be_bytes()), "many"));
    }
    let mut committing = tokio::spawn(async move { tx.commit().await.expect("it commits") });
    assert_waits(&databases, &mut committing, 1).await;
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(SOON, async || equal(databases.number(SERVICE, sql).await, 1_024)).await;
    drop(gate);
    committing.await.expect("it commits");
    assert_eq!(store.outbox_len().await.expect("it is counted"), 10_000);
    databases.drop_all().await;
}

/// By the transaction's id the first row would be the one that committed last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_one_key_stand_in_the_order_of_commits_and_not_of_transaction_ids() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let mut early = store.begin().await.expect("a transaction begins");
    // It gets its transaction id here.
    early.execute("CREATE TABLE early (n int)", &[]).await.expect("a table is made");
    commit(&store, [record("orders", Some(b"a"), "began second")]).await;
    early.enqueue(record("orders", Some(b"a"), "began first"));
    early.commit().await.expect("it commits");
    assert_eq!(values(&pending(&store).await), ["began second", "began first"]);
    let by_xid = "SELECT count(*) FROM outbox AS a JOIN outbox AS b ON a.id < b.id
                  WHERE a.xmin::text::bigint > b.xmin::text::bigint";
    assert_eq!(databases.number(SERVICE, by_xid).await, 1, "the ids of the transactions agree");
    databases.drop_all().await;
}

/// With `SKIP LOCKED` the second row would go first, or the key to another worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_has_locked_is_not_passed_over() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    commit(&store, ["1", "2"].map(|value| record("orders", Some(b"a"), value))).await;
    let mut other = store.begin().await.expect("a transaction begins");
    other.execute("SELECT FROM outbox WHERE id = 1 FOR UPDATE", &[]).await.expect("it is locked");
    assert_eq!(values(&pending(&store).await), ["1", "2"]);
    databases.drop_all().await;
}

/// The locks and the rows are one statement: were an id drawn before all locks are held, it could be smaller than that of
/// a transaction which commits first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_rows_none_draws_its_id_before_all_locks_are_held() {
    // Some of these keys' buckets are locked before the one that is taken, some would be behind it.
    let others = (0..200_u32).map(|key| record("orders", Some(&key.to_be_bytes()), "other"));
    let rows = others.chain([record("orders", Some(b"a"), "second")]).collect();
    let values = committed_behind_a_slow_one(rows).await;
    assert_eq!((values[0].as_str(), values[201].as_str()), ("first", "second"));
}

/// What is decided may be passed over by a relay: an id that may still show up must not be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_decided_once_its_writer_has_ended_and_no_other_transaction_matters() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let mut foreign = store.begin().await.expect("a transaction begins");
    foreign.execute("CREATE TABLE foreigner (n int)", &[]).await.expect("it has written");
    let gate = closed_gate(&databases).await;
    let committing = commit_slowly(&databases, &store, b"a", "drawn first").await;
    commit(&store, [record("orders", Some(b"b"), "drawn second")]).await;
    let mark = store.mark().await.expect("it is asked");
    assert_eq!(mark.last_drawn(), 2);
    assert!(!store.is_decided(&mark).await.expect("it is asked"), "its first id may show up");
    // Who comes later does not matter.
    let mut later = store.begin().await.expect("a transaction begins");
    later
        .execute("INSERT INTO outbox (event_id, topic) VALUES (gen_random_uuid(), 'x')", &[])
        .await
        .expect("a row is written");
    drop(gate);
    committing.await.expect("it commits");
    assert!(store.is_decided(&mark).await.expect("it is asked"));
    later.rollback().await.expect("it rolls back");
    foreign.rollback().await.expect("it rolls back");
    databases.drop_all().await;
}

/// Rows that a version without buckets wrote are in one as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_follows_from_topic_and_key_alone() {
    let databases = Databases::postgres().await;
    open(&databases).await.close().await;
    let bucket = async |sql: &str| databases.number(SERVICE, sql).await;
    // The first 16 bits of SHA-256 of "orders", a zero byte and the key, modulo 1,024. They are stored: another value here would be another order in somebody's database.
    assert_eq!(bucket("SELECT event_bus_bucket('orders', 'a')::bigint").await, 174);
    assert_eq!(bucket("SELECT event_bus_bucket('orders', NULL)::bigint").await, 218);
    databases.drop_all().await;
}

/// In a transaction that writes it takes a lock of the whole server, and commits come one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_made_in_the_database_notifies() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    let sql = "SELECT count(*) FROM pg_proc
               WHERE pronamespace = current_schema()::regnamespace AND pg_get_functiondef(oid) ILIKE '%notify%'";
    assert_eq!(databases.number(SERVICE, sql).await, 0);
    // The lock is held from the commit's begin to its end. Two commits whose ends are held up at once share none.
    let gate = closed_gate(&databases).await;
    let first = commit_slowly(&databases, &store, b"a", "first").await;
    let mut second = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut tx = store.begin().await.expect("a transaction begins");
            tx.execute("INSERT INTO slow (name) VALUES ('b')", &[]).await.expect("it is written");
            tx.enqueue(record("orders", Some(b"b"), "second"));
            tx.commit().await.expect("it commits");
        })
    };
    assert_waits(&databases, &mut second, 2).await;
    let at_gate = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 4711";
    assert_eq!(databases.number(SERVICE, at_gate).await, 2, "one waits for the other");
    drop(gate);
    first.await.expect("it commits");
    second.await.expect("it commits");
    databases.drop_all().await;
}
