//! Opening: what is missing is made, what is there stays, and many processes may come at once.

use std::str::FromStr;

use event_bus::store::{ConnectError, Migration, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::servers;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::task::JoinSet;

use super::{SERVICE, TABLES, commit, effects, open, pending, record, values};
use crate::both::on_both_databases;

on_both_databases!(
    tables_are_made_from_nothing_and_stay_at_the_next_opening,
    own_steps_stand_beside_the_librarys_and_later_ones_follow,
    a_published_step_that_changed_is_refused,
    eight_processes_open_one_missing_database_at_once,
    rows_of_before_the_shards_are_in_one_of_them,
);

async fn tables_are_made_from_nothing_and_stay_at_the_next_opening(databases: &Databases) {
    let first = open(databases).await;
    first.probe().await.expect("the database answers");
    assert_eq!(first.outbox_len().await.expect("the outbox is there"), 0);
    commit(&first, [record("orders", Some(b"k"), "1")]).await;
    first.close().await;
    let second = open(databases).await;
    assert_eq!(second.outbox_len().await.expect("the outbox is there"), 1);
}

async fn own_steps_stand_beside_the_librarys_and_later_ones_follow(databases: &Databases) {
    let url = databases.url(SERVICE);
    Store::open(&url, &TABLES[..1]).await.expect("the first step runs").close().await;
    assert_eq!(effects(databases).await, 0);
    assert!(
        databases.try_number(SERVICE, "SELECT count(*) FROM counters").await.is_err(),
        "the second step ran too"
    );
    Store::open(&url, TABLES).await.expect("the second step runs").close().await;
    assert_eq!(databases.number(SERVICE, "SELECT count(*) FROM counters").await, 0);
    assert_eq!(databases.number(SERVICE, "SELECT count(*) FROM service_migrations").await, 2);
}

async fn a_published_step_that_changed_is_refused(databases: &Databases) {
    open(databases).await.close().await;
    let changed = [Migration::same(1, "effects", "CREATE TABLE effects (name text)"), TABLES[1]];
    let refused = Store::open(&databases.url(SERVICE), &changed)
        .await
        .expect_err("a changed step is refused");
    assert!(matches!(refused, ConnectError::Migration { .. }), "{refused:?}");
}

async fn eight_processes_open_one_missing_database_at_once(databases: &Databases) {
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let url = databases.url(SERVICE);
        opening.spawn(async move { Store::open(&url, TABLES).await });
    }
    for opened in opening.join_all().await {
        opened.expect("it opens").close().await;
    }
    assert_eq!(databases.number(SERVICE, "SELECT count(*) FROM service_migrations").await, 2);
    assert_eq!(databases.number(SERVICE, "SELECT count(*) FROM outbox_lease").await, 8);
}

async fn rows_of_before_the_shards_are_in_one_of_them(databases: &Databases) {
    let store = open(databases).await;
    let mut tx = store.begin().await.expect("a transaction begins");
    let functions = [
        "DROP FUNCTION event_bus_enqueue",
        "DROP FUNCTION event_bus_lock",
        "ALTER TABLE outbox DROP COLUMN bucket",
        "DROP FUNCTION event_bus_bucket",
        "DROP TABLE outbox_relays",
        "DROP TABLE outbox_discarded",
        "DELETE FROM outbox_lease WHERE shard > 0",
        "DELETE FROM event_bus_migrations WHERE version = 4",
    ];
    for undone in functions {
        if !undone.contains("FUNCTION") || matches!(databases, Databases::Postgres { .. }) {
            tx.execute(undone, &[]).await.expect("step 4 is undone");
        }
    }
    let insert = match databases {
        Databases::Postgres { .. } => {
            "INSERT INTO outbox (event_id, topic, record_key, record_value)
             VALUES ('0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10', 'orders', convert_to('a', 'UTF8'), convert_to('old', 'UTF8'))"
        }
        Databases::Sqlite(_) => {
            "INSERT INTO outbox (event_id, topic, record_key, record_value)
             VALUES ('0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10', 'orders', CAST('a' AS BLOB), CAST('old' AS BLOB))"
        }
    };
    tx.execute(insert, &[]).await.expect("a row is written as before");
    tx.commit().await.expect("it commits");
    store.close().await;
    let store = open(databases).await;
    commit(&store, [record("orders", Some(b"a"), "new")]).await;
    assert_eq!(values(&pending(&store).await), ["old", "new"]);
    let one_bucket = "SELECT count(DISTINCT bucket) FROM outbox";
    assert_eq!(databases.number(SERVICE, one_bucket).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_postgres_database_and_schemas_are_made_by_services_that_start_at_once() {
    let (server, name) = (servers::postgres(), servers::namespace().to_string());
    let databases = Databases::Postgres { server: server.clone(), name };
    let (server, _) = server.rsplit_once('/').expect("a URL has a path");
    let mut opening = JoinSet::new();
    for service in ["billing", "shop", "supply-chain", "billing", "shop", "supply-chain"] {
        let url = databases.url(service);
        assert!(url.starts_with(server));
        opening.spawn(async move { Store::open(&url, TABLES).await });
    }
    for opened in opening.join_all().await {
        opened.expect("it opens").close().await;
    }
    for service in ["billing", "shop", "supply-chain"] {
        let found = databases.number(service, "SELECT count(*) FROM effects").await;
        assert_eq!(found, 0, "{service}");
    }
    databases.drop_all().await;
}

/// Else a service's tables would land in a schema that others use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_schema_is_made_also_where_a_later_one_of_the_search_path_exists() {
    let databases = Databases::postgres().await;
    let url = format!("{},public", databases.url("billing"));
    Store::open(&url, TABLES).await.expect("it opens").close().await;
    let mut connection =
        PgConnectOptions::from_str(&url).expect("a URL").connect().await.expect("it answers");
    let schema: String = sqlx::query_scalar(AssertSqlSafe(
        "SELECT table_schema::text FROM information_schema.tables WHERE table_name = 'effects'"
            .to_owned(),
    ))
    .fetch_one(&mut connection)
    .await
    .expect("the table is there once");
    assert_eq!(schema, "billing");
    drop(connection);
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_neither_database_is_refused_without_showing_its_password() {
    let refused = Store::open("mysql://bus:secret@db/brand", &[]).await.expect_err("it is refused");
    assert!(matches!(refused, ConnectError::UnknownScheme { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_answer_is_an_error_that_shows_no_password() {
    let refused = Store::open("postgres://bus:secret@127.0.0.1:1/brand", &[])
        .await
        .expect_err("nothing listens there");
    assert!(matches!(refused, ConnectError::Unreachable { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_left_alone_ends_in_a_minute_or_when_the_url_says() {
    let databases = Databases::postgres().await;
    let url = databases.url(SERVICE);
    let longer = format!("{url}%20-cidle_in_transaction_session_timeout%3D5min");
    for (url, wanted) in [(&url, "1min"), (&longer, "5min")] {
        let store = Store::open(url, TABLES).await.expect("the store opens");
        let mut tx = store.begin().await.expect("a transaction begins");
        let sql = "SELECT current_setting('idle_in_transaction_session_timeout') AS time";
        let row = tx.fetch_optional(sql, &[]).await.expect("it is told").expect("there is one");
        assert_eq!(row.get::<String>("time").expect("it is text"), wanted);
    }
    databases.drop_all().await;
}
