//! Dead rows of the outbox that no vacuum may take, for a transaction is open that never heard of them.

use std::time::{Duration, Instant};

use event_bus::names::TopicName;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::create_topics;
use event_bus_tests::{servers, shop};
use sqlx::{Connection, PgConnection};

use crate::selling::{Relaying, text, texts_in, waiting};

const SOON: Duration = Duration::from_secs(60);

/// Entries of the outbox's key that scans went over, and how often the outbox was scanned. A small one is read whole,
/// without its key.
async fn walked(databases: &Databases) -> (i64, i64) {
    let entries =
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_pkey'";
    let scans = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'outbox'";
    (databases.number("shop", entries).await, databases.number("shop", scans).await)
}

/// Returns once looks at an empty outbox go over few entries each.
async fn looks_become_cheap(databases: &Databases) {
    let mut before = walked(databases).await;
    eventually(SOON, async || {
        let now = walked(databases).await;
        let (entries, looks) = (now.0 - before.0, now.1 - before.1);
        if looks < 10 {
            return Err(format!("{looks} looks"));
        }
        before = now;
        // Ten looks take two seconds; once in ten seconds what waits is counted, over all entries.
        if entries / looks < 50 {
            Ok(())
        } else {
            Err(format!("{entries} entries in {looks} looks"))
        }
    })
    .await;
}

/// Commits rows every second, for ten minutes at full length, and has each of them sent before the next ones. Says how
/// many.
async fn keeps_sending(relaying: &Relaying, databases: &Databases, orders: &TopicName) -> usize {
    const AT_ONCE: usize = 200;
    let seconds = if servers::at_full_length() { 600 } else { 5 };
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut longest = Duration::ZERO;
    for second in 0..seconds {
        beat.tick().await;
        let mut tx = relaying.store.begin().await.expect("a transaction begins");
        for number in 0..AT_ONCE {
            tx.enqueue(text(orders, &format!("later {number}"), &second.to_string()));
        }
        tx.commit().await.expect("it commits");
        let committed = Instant::now();
        relaying.sends_all(databases).await;
        longest = longest.max(committed.elapsed());
    }
    println!("{seconds} s: {AT_ONCE} rows were sent and removed within {longest:.0?}");
    seconds * AT_ONCE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_transaction_that_stays_open_stops_no_relay_and_makes_no_look_longer() {
    const ROWS: usize = 20_000;
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let orders = shop::orders(&catalogue);
    let relaying = Relaying::start(&databases).await;
    let mut foreign =
        PgConnection::connect(&databases.url("shop")).await.expect("PostgreSQL answers");
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE foreigner (n int)")
        .execute(&mut foreign)
        .await
        .expect("it has a snapshot and an id");
    for batch in 0..10 {
        let mut tx = relaying.store.begin().await.expect("a transaction begins");
        for number in 0..ROWS / 10 {
            let number = batch * (ROWS / 10) + number;
            tx.enqueue(text(&orders, &(number % 100).to_string(), &number.to_string()));
        }
        tx.commit().await.expect("it commits");
    }
    relaying.sends_all(&databases).await;
    let more = keeps_sending(&relaying, &databases, &orders).await;
    looks_become_cheap(&databases).await;
    let mut tx = relaying.store.begin().await.expect("a transaction begins");
    tx.enqueue(text(&orders, "k", "behind the dead"));
    tx.commit().await.expect("it commits");
    relaying.sends_all(&databases).await;
    assert_eq!(texts_in(&orders).await.len(), ROWS + more + 1);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()";
    assert_eq!(databases.number("shop", open).await, 1, "the foreign transaction ended");
    drop(foreign);
    relaying.end().await;
    databases.drop_all().await;
}

/// The row of a transaction that is open for long has a smaller id than all that was sent meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_transaction_was_open_for_many_looks_is_sent_once_it_commits() {
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let orders = shop::orders(&catalogue);
    let relaying = Relaying::start(&databases).await;
    let mut late = PgConnection::connect(&databases.url("shop")).await.expect("PostgreSQL answers");
    sqlx::raw_sql("BEGIN").execute(&mut late).await.expect("it begins");
    sqlx::query("SELECT event_bus_enqueue(gen_random_uuid(), $1, 'late', 'late')")
        .bind(orders.as_ref())
        .execute(&mut late)
        .await
        .expect("it has drawn an id");
    let mut tx = relaying.store.begin().await.expect("a transaction begins");
    for number in 0..100 {
        tx.enqueue(text(&orders, "k", &number.to_string()));
    }
    tx.commit().await.expect("it commits");
    relaying.sends_all(&databases).await;
    // Some seconds of looks, in which a floor that rose too far would have.
    let (_, before) = walked(&databases).await;
    eventually(SOON, async || {
        let (_, looks) = walked(&databases).await;
        if looks - before >= 25 { Ok(()) } else { Err(looks - before) }
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut late).await.expect("it commits");
    eventually(Duration::from_secs(10), async || equal(waiting(&databases).await, 0)).await;
    let last = texts_in(&orders).await.pop();
    assert_eq!(last, Some(("late".to_owned(), "late".to_owned())));
    relaying.end().await;
    databases.drop_all().await;
}
