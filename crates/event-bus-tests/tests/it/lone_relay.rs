//! A relay without its service: the `event-bus relay` program on a database that somebody else writes to.

use std::time::Duration;

use event_bus::store::{Migration, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::create_topics;
use event_bus_tests::process::{Process, get};
use event_bus_tests::{servers, shop};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;

use crate::both::on_both_databases;
use crate::selling::{create_topic, text, texts_in, topic, waiting};

const SOON: Duration = Duration::from_secs(60);
const NO_TABLES: &[Migration] = &[];

on_both_databases!(
    of_two_relays_without_a_service_each_takes_over_from_the_other,
    a_relay_makes_no_database_and_no_tables,
    quarantined_rows_are_listed_retried_and_discarded,
    a_relay_tells_how_it_is,
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

/// Runs the program to its end.
async fn run(arguments: &[&str]) -> String {
    let ended = Process::start(arguments).ended().await;
    assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// The topic takes no large rows, then it does; another row is given up.
async fn quarantined_rows_are_listed_retried_and_discarded(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    let narrow = topic(&catalogue, "narrow");
    create_topic(&narrow, &[("max.message.bytes", "1000")]).await;
    let url = databases.url("shop");
    run(&["outbox", "init", "--store", &url]).await;
    let store = Store::open_existing(&url).await.expect("its tables are there");
    let large = Alphanumeric.sample_string(&mut rand::rng(), 3_000);
    let mut tx = store.begin().await.expect("a transaction begins");
    for (key, value) in [("a", &*large), ("a", "a1"), ("b", &large), ("b", "b1"), ("c", "c1")] {
        tx.enqueue(text(&narrow, key, value));
    }
    tx.commit().await.expect("it commits");
    let relay = start_relay(databases);
    eventually(SOON, async || equal(waiting(databases).await, 4)).await;
    let listed = run(&["--output", "json", "outbox", "list", "--store", &url]).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("it is JSON");
    let keys: Vec<_> = listed.iter().map(|row| (&row["key"], &row["behind"])).collect();
    assert_eq!(keys, [(&"a".into(), &1.into()), (&"b".into(), &1.into())]);
    let ids: Vec<String> = listed.iter().map(|row| row["id"].to_string()).collect();
    // Tried again as it is, it comes back.
    run(&["outbox", "retry", &ids[0], "--store", &url]).await;
    let again = "SELECT count(*) FROM outbox WHERE status = 'quarantined' AND id > 5";
    eventually(SOON, async || equal(databases.number("shop", again).await, 1)).await;
    run(&["outbox", "discard", &ids[1], "--reason", "too large", "--store", &url]).await;
    eventually(SOON, async || equal(waiting(databases).await, 2)).await;
    let wanted = |texts: &[(&str, &str)]| {
        texts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(texts_in(&narrow).await, wanted(&[("c", "c1"), ("b", "b1")]));
    let shown = run(&["outbox", "list", "--discarded", "--store", &url]).await;
    assert!(shown.contains("too large") && shown.contains("refuses"), "{shown}");
    end_well(relay).await;
}

async fn a_relay_tells_how_it_is(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let url = databases.url("shop");
    let store = Store::open(&url, NO_TABLES).await.expect("the store opens");
    let mut tx = store.begin().await.expect("a transaction begins");
    tx.enqueue(text(&shop::orders(&catalogue), "k", "1"));
    tx.commit().await.expect("it commits");
    let arguments = ["relay", "--store", &url, "--bootstrap", &servers::bootstrap()];
    let telling = ["--service", "shop", "--http", "127.0.0.1:0", "--log", "info"];
    let relay = Process::start(&[&arguments[..], &telling].concat());
    let address = eventually(SOON, async || {
        let said = relay.errors();
        let told = said.split_once("http=").map(|(_, rest)| rest.split_whitespace().next());
        told.flatten().map(str::to_owned).ok_or(said)
    })
    .await;
    let wanted = [
        r#"event_bus_relay_published_total{service="shop"} 1"#,
        r#"event_bus_relay_lease_held{service="shop"} 8"#,
        r#"event_bus_outbox_quarantined{service="shop"} 0"#,
    ];
    eventually(SOON, async || {
        let (_, text) = get(&address, "/metrics").await?;
        let missing = wanted.iter().find(|line| !text.lines().any(|found| found == **line));
        missing.map_or(Ok(()), |line| Err(format!("{line} is not in {text}")))
    })
    .await;
    let (code, body) = get(&address, "/readyz").await.expect("it answers");
    assert_eq!(code, 200, "{body}");
    end_well(relay).await;
}
