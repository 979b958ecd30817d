//! A transaction: everything of it or nothing, what was to leave included.

use std::borrow::Cow;

use event_bus::store::{Store, Tx, Value};
use event_bus_tests::databases::Databases;
use sqlx::error::DatabaseError;

use super::{effects, open, pending, record, values};
use crate::both::on_both_databases;

on_both_databases!(
    effects_and_records_are_committed_together,
    a_transaction_that_does_not_commit_leaves_neither,
    what_follows_a_mark_is_kept_or_undone_with_its_records,
    a_failed_statement_is_undone_to_the_mark,
    values_of_each_type_come_back_also_where_they_are_absent,
);

async fn note(tx: &mut Tx, name: &str) {
    tx.execute("INSERT INTO effects (name) VALUES ($1)", &[name.into()])
        .await
        .expect("the effect is written");
    tx.enqueue(record("orders", Some(b"k"), name));
}

async fn fail(tx: &mut Tx) {
    tx.execute("INSERT INTO no_such_table (x) VALUES (1)", &[])
        .await
        .expect_err("there is no such table");
}

async fn assert_names(databases: &Databases, store: &Store, wanted: &[&str]) {
    assert_eq!(effects(databases).await, i64::try_from(wanted.len()).expect("there are few"));
    assert_eq!(values(&pending(store).await), wanted);
}

async fn effects_and_records_are_committed_together(databases: &Databases) {
    // Two processes: on SQLite the transaction has its process's only connection.
    let (store, beside) = (open(databases).await, open(databases).await);
    let mut tx = store.begin().await.expect("a transaction begins");
    note(&mut tx, "a").await;
    note(&mut tx, "b").await;
    assert_names(databases, &beside, &[]).await;
    tx.commit().await.expect("it commits");
    assert_names(databases, &store, &["a", "b"]).await;
}

async fn a_transaction_that_does_not_commit_leaves_neither(databases: &Databases) {
    let store = open(databases).await;
    let mut dropped = store.begin().await.expect("a transaction begins");
    note(&mut dropped, "dropped").await;
    drop(dropped);
    let mut rolled_back = store.begin().await.expect("a transaction begins");
    note(&mut rolled_back, "rolled back").await;
    rolled_back.rollback().await.expect("it rolls back");
    assert_names(databases, &store, &[]).await;
}

async fn what_follows_a_mark_is_kept_or_undone_with_its_records(databases: &Databases) {
    let store = open(databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    note(&mut tx, "before").await;
    tx.mark().await.expect("a mark is set");
    note(&mut tx, "kept").await;
    tx.keep().await.expect("it is kept");
    tx.mark().await.expect("a mark is set");
    note(&mut tx, "undone").await;
    note(&mut tx, "undone as well").await;
    tx.undo().await.expect("it is undone");
    tx.mark().await.expect("a mark is set");
    note(&mut tx, "kept, too").await;
    tx.keep().await.expect("it is kept");
    tx.commit().await.expect("it commits");
    assert_names(databases, &store, &["before", "kept", "kept, too"]).await;
}

async fn a_failed_statement_is_undone_to_the_mark(databases: &Databases) {
    let store = open(databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    note(&mut tx, "before").await;
    tx.mark().await.expect("a mark is set");
    note(&mut tx, "undone").await;
    fail(&mut tx).await;
    tx.undo().await.expect("it is undone");
    note(&mut tx, "after").await;
    tx.commit().await.expect("it commits");
    assert_names(databases, &store, &["before", "after"]).await;
}

async fn values_of_each_type_come_back_also_where_they_are_absent(databases: &Databases) {
    let store = open(databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    let types = match databases {
        Databases::Postgres { .. } => "CREATE TABLE kinds (t text, i bigint, b bytea)",
        Databases::Sqlite(_) => "CREATE TABLE kinds (t TEXT, i INTEGER, b BLOB)",
    };
    tx.execute(types, &[]).await.expect("a table is made");
    let bytes: &[u8] = &[0, 0xff];
    let full = ["€".into(), i64::MIN.into(), bytes.into()];
    let absent = [Value::Text(None), Value::Integer(None), Value::Bytes(None)];
    for values in [&full, &absent] {
        let changed = tx
            .execute("INSERT INTO kinds (t, i, b) VALUES ($1, $2, $3)", values)
            .await
            .expect("a row is written");
        assert_eq!(changed, 1);
    }
    let rows = tx
        .fetch_all("SELECT t, i, b FROM kinds ORDER BY i IS NULL", &[])
        .await
        .expect("the rows are read");
    assert_eq!(rows[0].get::<String>("t").expect("text"), "€");
    assert_eq!(rows[0].get::<i64>("i").expect("an integer"), i64::MIN);
    assert_eq!(rows[0].get::<Vec<u8>>("b").expect("bytes"), bytes);
    assert_eq!(rows[1].get::<Option<String>>("t").expect("text or null"), None);
    assert_eq!(rows[1].get::<Option<i64>>("i").expect("an integer or null"), None);
    assert_eq!(rows[1].get::<Option<Vec<u8>>>("b").expect("bytes or null"), None);
    let missing = tx
        .fetch_optional("SELECT t FROM kinds WHERE i = $1", &[5_i64.into()])
        .await
        .expect("it is asked");
    assert!(missing.is_none());
}

/// PostgreSQL gives a transaction up at its first error, and answers COMMIT with a rollback that looks like success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_swallowed_error_makes_the_commit_an_error_that_leaves_nothing() {
    let databases = Databases::postgres().await;
    let store = open(&databases).await;
    for enqueues in [true, false] {
        let mut tx = store.begin().await.expect("a transaction begins");
        tx.execute("INSERT INTO effects (name) VALUES ($1)", &["lost".into()])
            .await
            .expect("the effect is written");
        if enqueues {
            tx.enqueue(record("orders", Some(b"k"), "lost"));
        }
        fail(&mut tx).await;
        let refused = tx.commit().await.expect_err("the transaction is lost");
        let code = refused.as_database_error().and_then(DatabaseError::code).map(Cow::into_owned);
        assert_eq!(code.as_deref(), Some("25P02"), "{refused:?}");
        assert_names(&databases, &store, &[]).await;
    }
    databases.drop_all().await;
}

/// SQLite undoes the failed statement alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_swallowed_error_leaves_the_rest_of_the_transaction() {
    let databases = Databases::sqlite();
    let store = open(&databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    note(&mut tx, "kept").await;
    fail(&mut tx).await;
    tx.commit().await.expect("it commits");
    assert_names(&databases, &store, &["kept"]).await;
}

/// Some errors end SQLite's transaction, and what follows them would be committed one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_swallowed_error_that_ends_the_transaction_makes_the_commit_an_error_that_leaves_nothing()
 {
    let databases = Databases::sqlite();
    let store = open(&databases).await;
    for commits in [true, false] {
        let mut tx = store.begin().await.expect("a transaction begins");
        note(&mut tx, "lost").await;
        tx.execute("INSERT OR ROLLBACK INTO effects (name) VALUES (NULL)", &[])
            .await
            .expect_err("a name is not null");
        note(&mut tx, "lost as well").await;
        if commits {
            tx.commit().await.expect_err("the transaction is lost");
        } else {
            drop(tx);
        }
        assert_names(&databases, &store, &[]).await;
    }
    let mut tx = store.begin().await.expect("the connection is of use");
    note(&mut tx, "later").await;
    tx.commit().await.expect("it commits");
    assert_names(&databases, &store, &["later"]).await;
}
