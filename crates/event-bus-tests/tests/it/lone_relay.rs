//! A relay without its service: the `event-bus relay` program on a database that somebody else writes to.

use std::time::Duration;

use event_bus::store::{Migration, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::create_topics;
use event_bus_tests::process::Process;
use event_bus_tests::{servers, shop};

use crate::both::on_both_databases;
use crate::selling::{text, texts_in, waiting};

const SOON: Duration = Duration::from_secs(60);
const NO_TABLES: &[Migration] = &[];

on_both_databases!(
    of_two_relays_without_a_service_each_takes_over_from_the_other,
    a_relay_makes_no_database_and_no_tables,
);

/// A relay on the shop's database, as a process.
fn start_relay(databases: &Databases) -> Process {
    Process::start(&[
        "relay",
        "--store",
        &databases.url("shop"),
        "--bootstrap",
        &servers::bootstrap(),
    ])
}

async fn end_well(relay: Process) {
    relay.signal("TERM").await;
    let ended = relay.ended().await;
    assert!(ended.status.success(), "{}", ended.stderr);
}

async fn of_two_relays_without_a_service_each_takes_over_from_the_other(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let orders = shop::orders(&catalogue);
    let store = Store::open(&databases.url("shop"), NO_TABLES).await.expect("the store opens");
    let commit = async |number: i64| {
        let mut tx = store.begin().await.expect("a transaction begins");
        tx.enqueue(text(&orders, "k", &number.to_string()));
        tx.commit().await.expect("it commits");
    };
    let sent = async |numbers: i64| {
        eventually(SOON, async || equal(waiting(databases).await, 0)).await;
        let wanted: Vec<_> = (0..numbers).map(|n| ("k".to_owned(), n.to_string())).collect();
        assert_eq!(texts_in(&orders).await, wanted);
    };
    let first = start_relay(databases);
    commit(0).await;
    sent(1).await;
    let second = start_relay(databases);
    commit(1).await;
    sent(2).await;
    end_well(first).await;
    commit(2).await;
    sent(3).await;
    let third = start_relay(databases);
    end_well(second).await;
    commit(3).await;
    sent(4).await;
    end_well(third).await;
}

async fn a_relay_makes_no_database_and_no_tables(databases: &Databases) {
    let ended = start_relay(databases).ended().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let refused = match databases {
        // There is a database, and nothing in it.
        Databases::Postgres { .. } => "tables at step 0",
        Databases::Sqlite(_) => "could not be opened",
    };
    assert!(ended.stderr.contains(refused), "{}", ended.stderr);
    let tables = databases.try_number("shop", "SELECT count(*) FROM outbox").await;
    assert!(tables.is_err(), "the relay made tables");
}
