//! An event that kills its process: dead after four deaths, and nobody else with it.

use std::collections::BTreeSet;
use std::time::Duration;

use event_bus::store::{Claimant, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in};
use event_bus_tests::letters::{self, Expected};
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{all_settled, check_effects};
use event_bus_tests::shop::{self, BILLING_TABLES, Billing, Fate, order, run_billing};

use crate::billing_process::start_billing;
use crate::each::on_each;

const SOON: Duration = Duration::from_secs(120);
const PARTITIONS: u32 = 6;
/// Enough for each partition to have its share.
const KEYS: i64 = 60;

async fn an_event_that_kills_its_process_is_dead_after_four_deaths(
    databases: Databases,
    settings: &str,
) {
    let catalogue = shop::catalogue(PARTITIONS, settings);
    create_topics(&catalogue).await;
    let neighbours = if servers::at_full_length() { 3_000 } else { 600 };
    let mut orders: Vec<_> =
        (0..neighbours).map(|n| order(&format!("o-{}", n % KEYS), n / KEYS, Fate::Ok)).collect();
    let in_the_middle = orders.len() / 2;
    orders.insert(in_the_middle, order("killer", 0, Fate::Kill));
    orders.push(order("killer", 1, Fate::Ok));
    let delivered = shop::publish(&catalogue, &orders).await;
    let partitions: BTreeSet<i32> = delivered.iter().map(|delivered| delivered.partition).collect();
    assert_eq!(partitions.len(), PARTITIONS as usize);

    for death in 1..=4 {
        let mut billing = start_billing(&catalogue, &databases, settings);
        let ended = tokio::time::timeout(SOON, billing.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("death {death} did not come"));
        assert!(!status.expect("it ended").success());
    }
    let mut billing = start_billing(&catalogue, &databases, settings);
    orders.remove(in_the_middle);
    all_settled(&catalogue, &databases, neighbours + 1).await;
    let topic = shop::orders(&catalogue);
    let dead_letters = [topic.dead_letter()];
    eventually(SOON, async || equal(everything_in(&dead_letters).await.len(), 1)).await;
    assert_eq!(billing.try_wait().expect("it can be asked"), None, "a fifth death");
    drop(billing);
    check_effects(&databases, &orders).await;

    let letter = everything_in(&dead_letters).await.remove(0);
    let killer = delivered[in_the_middle];
    let originals = everything_in(&[topic]).await;
    let original = originals
        .iter()
        .find(|record| (record.partition, record.offset) == (killer.partition, killer.offset))
        .expect("it is in its topic");
    let (group, event_id) = (shop::billing_group(&catalogue), letters::ce_id(original));
    let expected = Expected { group: &group, reason: "crashed", attempts: 4, event_id };
    letters::check(&letter, original, expected);
    databases.drop_all().await;
}

on_each!(an_event_that_kills_its_process_is_dead_after_four_deaths);

/// The order runs carefully, for the last owner of its partition never let go, and outlasts the stop.
async fn an_attempt_that_a_stop_cuts_off_is_not_counted(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(1, &format!("{settings}\nhandler-timeout = \"5m\""));
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &[order("long", 0, Fate::Hang)]).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    let partition = Claimant::of(&group, &topic, 0);
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
