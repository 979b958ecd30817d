//! What SQLite makes hard: one writer, in several processes.

use event_bus_tests::databases::Databases;
use tokio::task::JoinSet;

use super::{SERVICE, open, record};

/// A deferred transaction that reads first and writes later fails at once when another wrote in between, whatever
/// its busy time-out is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_read_and_then_write_never_find_the_database_busy() {
    const PROCESSES: i64 = 3;
    const TASKS: i64 = 3;
    const TRANSACTIONS: i64 = 20;
    let databases = Databases::sqlite();
    let mut writing = JoinSet::new();
    for _ in 0..PROCESSES {
        let store = open(&databases).await;
        for _ in 0..TASKS {
            let store = store.clone();
            writing.spawn(async move {
                for _ in 0..TRANSACTIONS {
                    let mut tx = store.begin().await.expect("a transaction begins");
                    let rows = tx
                        .fetch_all("SELECT count(*) AS n FROM effects", &[])
                        .await
                        .expect("it reads");
                    let seen: i64 = rows[0].get("n").expect("a number");
                    tx.execute(
                        "INSERT INTO effects (name) VALUES ($1)",
                        &[seen.to_string().into()],
                    )
                    .await
                    .expect("it writes");
                    tx.enqueue(record("orders", Some(b"k"), "row"));
                    tx.commit().await.expect("it commits");
                }
            });
        }
    }
    writing.join_all().await;
    let distinct = databases.number(SERVICE, "SELECT count(DISTINCT name) FROM effects").await;
    assert_eq!(distinct, PROCESSES * TASKS * TRANSACTIONS, "two transactions saw the same state");
}

/// Otherwise a power failure may take the last commits back, behind an offset that is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_on_disk_before_they_are_confirmed() {
    let databases = Databases::sqlite();
    let mut tx = open(&databases).await.begin().await.expect("a transaction begins");
    let sql = "SELECT synchronous, journal_mode FROM pragma_synchronous, pragma_journal_mode";
    let rows = tx.fetch_all(sql, &[]).await.expect("it is asked");
    assert_eq!(rows[0].get::<i64>("synchronous").expect("a number"), 2, "2 is FULL");
    assert_eq!(rows[0].get::<String>("journal_mode").expect("text"), "wal");
}

/// An id that is given twice would let a former holder of the lease remove a row that it never sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_of_a_removed_row_is_not_given_again() {
    let databases = Databases::sqlite();
    let store = open(&databases).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        super::commit(&store, [record("orders", Some(b"k"), "row")]).await;
        let leases = super::hold_all(&store, 1).await;
        let id = super::pending(&store).await[0].id;
        store.for_relay().remove_sent(&leases, &[id]).await.expect("it is removed");
        ids.push(id);
    }
    assert_eq!(ids, [1, 2, 3]);
}
