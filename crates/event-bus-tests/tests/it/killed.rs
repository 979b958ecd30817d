//! An event that kills its process: dead after four deaths, and nobody else with it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use event_bus::catalogue::Catalogue;
use event_bus::names::Namespace;
use event_bus::store::{Claimant, Store};
use event_bus::{Service, headers};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, lag};
use event_bus_tests::letters;
use event_bus_tests::servers;
use event_bus_tests::shop::{self, BILLING_TABLES, Billing, Fate, OrderPlaced, order, run_billing};
use tokio::process::{Child, Command};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(60);
/// What tells [`billing_until_it_is_killed`] what to run.
const NAMESPACE: &str = "EVENT_BUS_TEST_NAMESPACE";
const SETTINGS: &str = "EVENT_BUS_TEST_SETTINGS";
const STORE: &str = "EVENT_BUS_TEST_STORE";

fn catalogue(settings: &str) -> Arc<Catalogue> {
    shop::catalogue(3, settings)
}

/// Not a test: the process that the tests below start, and their orders kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the tests beside it start it as a process"]
async fn billing_until_it_is_killed() {
    let variable = |name| std::env::var(name).expect("the test beside it sets it");
    let namespace = Namespace::new(&variable(NAMESPACE)).expect("it is one");
    let catalogue = Arc::unwrap_or_clone(catalogue(&variable(SETTINGS))).with_namespace(namespace);
    let url = variable(STORE);
    let service =
        Service::open("billing", Arc::new(catalogue), servers::kafka(), &url, BILLING_TABLES)
            .await
            .expect("billing's database opens");
    let running = service.on::<OrderPlaced>(Billing::default()).run(std::future::pending());
    running.await.expect("it does not end well");
}

fn start_billing(catalogue: &Catalogue, databases: &Databases, settings: &str) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", "killed::billing_until_it_is_killed"]);
    command.env(NAMESPACE, catalogue.namespace().as_str());
    command.env(SETTINGS, settings).env(STORE, databases.url("billing"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("this program can be started")
}

async fn an_event_that_kills_its_process_is_dead_after_four_deaths(
    databases: Databases,
    settings: &str,
) {
    let catalogue = catalogue(settings);
    create_topics(&catalogue).await;
    let mut orders: Vec<_> =
        (0..60).map(|n| order(&format!("o-{}", n % 12), n / 12, Fate::Ok)).collect();
    orders.insert(20, order("killer", 0, Fate::Kill));
    orders.push(order("killer", 1, Fate::Ok));
    shop::publish(&catalogue, &orders).await;
    for death in 1..=4 {
        let mut billing = start_billing(&catalogue, &databases, settings);
        let ended = tokio::time::timeout(SOON, billing.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("death {death} did not come"));
        assert!(!status.expect("it ended").success());
    }
    let billing = start_billing(&catalogue, &databases, settings);
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    eventually(SOON, async || {
        let bills = databases.number("billing", "SELECT count(*) FROM bills").await;
        equal((bills, lag(&group, &topic).await), (61, 0))
    })
    .await;
    let dead_letters = topic.dead_letter();
    eventually(SOON, async || {
        equal(everything_in(std::slice::from_ref(&dead_letters)).await.len(), 1)
    })
    .await;
    drop(billing);
    let letter = everything_in(&[dead_letters]).await.remove(0);
    assert_eq!(letters::reason(&letter), "crashed");
    assert_eq!(letters::text(&letter, headers::DLQ_ERRORS_DELIVERY_COUNT), "4");
    let ids = "SELECT count(DISTINCT event_id) FROM bills";
    assert_eq!(databases.number("billing", ids).await, 61);
    databases.drop_all().await;
}

on_each!(an_event_that_kills_its_process_is_dead_after_four_deaths);

/// The order runs carefully, for the last owner of its partition never let go, and outlasts the stop.
async fn an_attempt_that_a_stop_cuts_off_is_not_counted(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(1, &format!("{settings}\nhandler-timeout = \"5m\""));
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &[order("long", 0, Fate::Hang)]).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    let partition = Claimant { group: &group, topic: &topic, partition: 0 };
    let store = Store::open(&databases.url("billing"), BILLING_TABLES).await;
    let store = store.expect("billing's database opens");
    store.take_over(&partition, None).await.expect("it is taken over");
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    // The death that nobody noted, and the attempt that runs.
    let noted = "SELECT count(*) FROM noted_attempts WHERE attempts = 2";
    eventually(SOON, async || equal(databases.number("billing", noted).await, 1)).await;
    running.stop().await;
    let holding = store.take_over(&partition, None).await.expect("it is taken over");
    assert!(holding.is_dirty && holding.attempts.is_empty(), "{holding:?}");
    store.close().await;
    databases.drop_all().await;
}

on_each!(an_attempt_that_a_stop_cuts_off_is_not_counted);
