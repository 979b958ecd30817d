//! The relay on a real Kafka: one at a time, nothing lost, and a trouble of one topic or key is no other's.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event_bus::KafkaConfig;
use event_bus::outbox::Outbox;
use event_bus::store::Share;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in};
use event_bus_tests::shop::{self, Billing, Fate, Running, order};
use rand::distr::{Alphanumeric, SampleString};
use sqlx::types::Uuid;

use crate::both::on_both_databases;
use crate::selling::{
    commit, create_topic, open_shop, open_shop_with, text, texts_in, topic, waiting,
};

const SOON: Duration = Duration::from_secs(60);

on_both_databases!(
    two_relays_share_the_keys_and_one_goes_on_alone,
    a_relay_that_stops_sends_what_one_that_left_before_had,
    a_dead_relays_rows_wait_until_its_leases_expire,
    what_a_killed_relay_sent_and_did_not_remove_takes_effect_once,
    rows_of_a_missing_topic_wait_and_hold_up_no_other_topic,
    a_row_that_kafka_refuses_for_good_halts_its_key_only,
    rows_behind_a_refused_one_are_held_back_where_they_are_on_their_way,
);

/// How many relays hold shards.
async fn holders(databases: &Databases) -> i64 {
    let sql = "SELECT count(DISTINCT holder) FROM outbox_lease WHERE holder IS NOT NULL";
    databases.number("shop", sql).await
}

async fn two_relays_share_the_keys_and_one_goes_on_alone(databases: &Databases) {
    const KEYS: usize = 20;
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let (first, second) =
        (open_shop(&catalogue, databases).await, open_shop(&catalogue, databases).await);
    let outboxes = [first.outbox().clone(), second.outbox().clone()];
    let orders = shop::orders(&catalogue);
    let write = async |numbers: std::ops::Range<usize>, outboxes: &[Outbox]| {
        for number in numbers {
            let key = format!("key {}", number % KEYS);
            let outbox = &outboxes[number % outboxes.len()];
            commit(outbox, [text(&orders, &key, &number.to_string())]).await;
        }
    };
    let first = Running::start(first);
    eventually(SOON, async || equal(holders(databases).await, 1)).await;
    write(0..100, &outboxes).await;
    let second = Running::start(second);
    write(100..200, &outboxes).await;
    eventually(SOON, async || equal(holders(databases).await, 2)).await;
    let share = "SELECT max(shards) FROM (SELECT count(*) AS shards FROM outbox_lease GROUP BY holder) AS held";
    eventually(SOON, async || equal(databases.number("shop", share).await, 4)).await;
    write(200..300, &outboxes).await;
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    first.stop().await;
    write(300..400, &outboxes[1..]).await;
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    second.stop().await;
    let mut last: HashMap<String, usize> = HashMap::new();
    let sent = texts_in(&orders).await;
    for (key, number) in &sent {
        let number: usize = number.parse().expect("a number");
        let before = last.insert(key.clone(), number);
        assert_eq!(number, before.map_or(number % KEYS, |before| before + KEYS), "{key}");
    }
    assert_eq!(sent.len(), 400);
}

async fn a_relay_that_stops_sends_what_one_that_left_before_had(databases: &Databases) {
    const KEYS: usize = 20;
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let (first, second) =
        (open_shop(&catalogue, databases).await, open_shop(&catalogue, databases).await);
    let (outbox, orders) = (second.outbox().clone(), shop::orders(&catalogue));
    let (first, second) = (Running::start(first), Running::start(second));
    let each = "SELECT count(*) FROM (
        SELECT holder FROM outbox_lease WHERE holder IS NOT NULL GROUP BY holder HAVING count(*) = 4) AS held";
    eventually(SOON, async || equal(databases.number("shop", each).await, 2)).await;
    first.stop().await;
    commit(&outbox, (0..KEYS).map(|number| text(&orders, &format!("key {number}"), "x"))).await;
    second.stop().await;
    assert_eq!(waiting(databases).await, 0);
    assert_eq!(texts_in(&orders).await.len(), KEYS);
}

async fn a_dead_relays_rows_wait_until_its_leases_expire(databases: &Databases) {
    const LEASE: Duration = Duration::from_secs(2);
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    commit(&outbox, [text(&shop::orders(&catalogue), "k", "left behind")]).await;
    let held_at = Instant::now();
    let dead = outbox.store().hold_leases(Uuid::from_u128(1), LEASE, Share::Fair).await;
    assert!(!dead.expect("the leases are asked for").leases.is_empty());
    let running = Running::start(service);
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    assert!(held_at.elapsed() >= LEASE, "the leases did not hold");
    running.stop().await;
}

async fn what_a_killed_relay_sent_and_did_not_remove_takes_effect_once(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let selling = Running::start(service);
    let billing = shop::run_billing(&catalogue, databases, Billing::default()).await;
    let records: Vec<_> =
        (0..50).map(|number| shop::sealed(&catalogue, &order("k", number, Fate::Ok))).collect();
    commit(&outbox, records.clone()).await;
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    // The rows of a relay that died before it removed them are these, byte for byte.
    commit(&outbox, records.into_iter().skip(10)).await;
    commit(&outbox, [shop::sealed(&catalogue, &order("last", 0, Fate::Ok))]).await;
    let last = "SELECT count(*) FROM bills WHERE order_id = 'last'";
    eventually(SOON, async || equal(databases.try_number("billing", last).await.ok(), Some(1)))
        .await;
    assert_eq!(everything_in(&[shop::orders(&catalogue)]).await.len(), 50 + 40 + 1);
    assert_eq!(databases.number("billing", "SELECT count(*) FROM bills").await, 51);
    assert_eq!(databases.number("billing", "SELECT count(DISTINCT number) FROM bills").await, 50);
    assert!(everything_in(&[shop::orders(&catalogue).dead_letter()]).await.is_empty());
    selling.stop().await;
    billing.stop().await;
}

async fn rows_of_a_missing_topic_wait_and_hold_up_no_other_topic(databases: &Databases) {
    // More than a relay looks at in one round.
    const ROWS: usize = 1_500;
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let (missing, orders) = (topic(&catalogue, "missing"), shop::orders(&catalogue));
    let rows: Vec<_> = (0..ROWS).map(|number| ("k".to_owned(), number.to_string())).collect();
    commit(&outbox, rows.iter().map(|(key, number)| text(&missing, key, number))).await;
    commit(&outbox, [text(&orders, "k", "behind them")]).await;
    let running = Running::start(service);
    let left = i64::try_from(ROWS).expect("a small number");
    eventually(SOON, async || equal(waiting(databases).await, left)).await;
    assert_eq!(texts_in(&orders).await, [("k".to_owned(), "behind them".to_owned())]);
    create_topic(&missing, &[]).await;
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    assert_eq!(texts_in(&missing).await, rows);
    running.stop().await;
}

/// The topic takes so little that a batch of its records is too large where none of them is.
async fn a_row_that_kafka_refuses_for_good_halts_its_key_only(databases: &Databases) {
    let narrow = Topic { max_message_bytes: "1000", large: 3_000 };
    one_key_is_halted(databases, &narrow, [60, 60]).await;
}

/// The refused row fills a batch by itself, and the batch behind it is one that Kafka takes.
async fn rows_behind_a_refused_one_are_held_back_where_they_are_on_their_way(
    databases: &Databases,
) {
    let wide = Topic { max_message_bytes: "100000", large: 1_500_000 };
    one_key_is_halted(databases, &wide, [0, 60]).await;
}

struct Topic {
    max_message_bytes: &'static str,
    /// The length of a value that the topic does not take.
    large: usize,
}

/// Commits twice 300 rows of three keys with one that is too large at the given place, under the first key.
async fn one_key_is_halted(databases: &Databases, topic_of: &Topic, places: [usize; 2]) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let narrow = topic(&catalogue, "narrow");
    create_topic(&narrow, &[("max.message.bytes", topic_of.max_message_bytes)]).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let running = Running::start(service);
    let mut halted = 0;
    for (round, large_at) in places.into_iter().enumerate() {
        let keys = ["halted", "b", "c"].map(|key| format!("{key} {round}"));
        let row = |place: usize| {
            // What can't be compressed.
            let length = if place == large_at { topic_of.large } else { 100 };
            let filling = Alphanumeric.sample_string(&mut rand::rng(), length);
            (keys[place % keys.len()].clone(), format!("{place} {filling}"))
        };
        let rows: Vec<_> = (0..300).map(row).collect();
        commit(&outbox, rows.iter().map(|(key, value)| text(&narrow, key, value))).await;
        let sent_of_key = large_at / keys.len();
        halted += 100 - i64::try_from(sent_of_key).expect("a small number");
        eventually(SOON, async || equal(waiting(databases).await, halted)).await;
        let sent = texts_in(&narrow).await;
        for key in &keys {
            let of_key = |rows: &[(String, String)]| {
                rows.iter().filter(|row| row.0 == *key).cloned().collect::<Vec<_>>()
            };
            let mut wanted = of_key(&rows);
            if *key == keys[0] {
                wanted.truncate(sent_of_key);
            }
            assert!(
                of_key(&sent) == wanted,
                "{key}: {} rows instead of {}",
                of_key(&sent).len(),
                wanted.len()
            );
        }
    }
    let quarantined = "SELECT count(*) FROM outbox WHERE status = 'quarantined' AND error LIKE '%refuses this record for good%'";
    assert_eq!(databases.number("shop", quarantined).await, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_twenty_thousand_rows_drains_in_order() {
    const KEYS: usize = 100;
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(3, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, &databases).await;
    let outbox = service.outbox().clone();
    let orders = shop::orders(&catalogue);
    for batch in 0..10 {
        let row = |place: usize| {
            let number = batch * 2_000 + place;
            text(&orders, &(number % KEYS).to_string(), &number.to_string())
        };
        commit(&outbox, (0..2_000).map(row)).await;
    }
    let running = Running::start(service);
    eventually(SOON, async || equal(waiting(&databases).await, 0)).await;
    let sent = texts_in(&orders).await;
    assert_eq!(sent.len(), 20_000);
    let mut next: HashMap<String, usize> = HashMap::new();
    for (key, number) in sent {
        let wanted =
            next.entry(key.clone()).or_insert_with(|| key.parse().expect("the key is a number"));
        assert_eq!(number, wanted.to_string(), "key {key}");
        *wanted += KEYS;
    }
    running.stop().await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stops_in_time_and_keeps_its_rows_while_kafka_is_down() {
    let databases = Databases::sqlite();
    let catalogue = shop::catalogue(1, "");
    let nowhere = KafkaConfig::plain("127.0.0.1:1");
    let service = open_shop_with(&catalogue, &databases, nowhere).await;
    let outbox = service.outbox().clone();
    commit(&outbox, [text(&shop::orders(&catalogue), "k", "waits")]).await;
    let running = Running::start(service);
    eventually(SOON, async || equal(holders(&databases).await, 1)).await;
    running.stop().await;
    assert_eq!(waiting(&databases).await, 1);
}
