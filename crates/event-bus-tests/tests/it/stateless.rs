//! Handlers without a database on a real Kafka: at least once, in order, with retries and dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::kafka::admin::Admin;
use event_bus::names::{EventId, IdempotencyKey};
use event_bus::service::RunError;
use event_bus::{
    Catalogue, Event, Failure, Handled, StatelessContext, StatelessHandler, StatelessService,
};
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{
    committed, create_topics, create_topics_at, everything_at, everything_in, lag, send_all_at,
};
use event_bus_tests::kafka_tools::reset_to_earliest;
use event_bus_tests::letters::{self, Expected};
use event_bus_tests::servers::{self, kafka_at};
use event_bus_tests::shop::{self, Fate, OrderPlaced, Running, order};

use crate::coordinator::{broker_with, stop};

const SOON: Duration = Duration::from_secs(60);

/// Notes what it handled, and the keys that it was given for it.
#[derive(Clone, Default)]
struct Mail {
    notes: Arc<Mutex<Vec<Note>>>,
}

#[derive(Clone)]
struct Note {
    order: OrderPlaced,
    id: EventId,
    key: IdempotencyKey,
}

impl Mail {
    fn notes(&self) -> Vec<Note> {
        self.notes.lock().expect("no handler panics while it notes").clone()
    }
}

impl StatelessHandler<OrderPlaced> for Mail {
    async fn handle(&self, event: Event<OrderPlaced>, context: &StatelessContext<'_>) -> Handled {
        let (id, key, order) = (event.id, context.idempotency_key(), event.payload);
        let fate = order.fate;
        self.notes.lock().expect("no handler panics while it notes").push(Note { order, id, key });
        match fate {
            Fate::Fail => Err(Failure::retry("no mail server")),
            Fate::FailOnce if event.attempt == 1 => Err(Failure::retry("no mail server yet")),
            Fate::Panic => panic!("an order makes mail panic"),
            Fate::Reject => Err(Failure::reject("no address")),
            Fate::Hang => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn run(catalogue: &Arc<Catalogue>, mail: &Mail) -> Running {
    let service = StatelessService::new("billing", Arc::clone(catalogue), servers::kafka());
    let service = service.expect("billing is in the contract");
    Running::start_stateless(service.on::<OrderPlaced>(mail.clone()))
}

/// Waits until billing has committed so many events.
async fn settled(catalogue: &Catalogue, events: i64) {
    let (group, orders) = (shop::billing_group(catalogue), shop::orders(catalogue));
    eventually(SOON, async || {
        let settled: i64 = committed(&group).await.values().sum();
        equal((settled, lag(&group, &orders).await), (events, 0))
    })
    .await;
}

async fn each_event_is_handled_in_the_order_of_its_key(settings: &str) {
    let catalogue = shop::catalogue(3, settings);
    create_topics(&catalogue).await;
    let fate = |n| if n % 23 == 5 { Fate::FailOnce } else { Fate::Ok };
    let orders: Vec<_> =
        (0..200).map(|n| order(&format!("o-{}", n % 20), n / 20, fate(n))).collect();
    shop::publish(&catalogue, &orders).await;
    let mail = Mail::default();
    let running = run(&catalogue, &mail);
    settled(&catalogue, 200).await;
    running.stop().await;
    let mut keys: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for note in mail.notes() {
        let numbers = keys.entry(note.order.order_id).or_default();
        // A second attempt comes before anything else of its key.
        if numbers.last() != Some(&note.order.number) {
            numbers.push(note.order.number);
        }
    }
    assert_eq!(keys.len(), 20);
    for (key, numbers) in keys {
        assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_handled_in_the_order_of_its_key_one_at_a_time() {
    each_event_is_handled_in_the_order_of_its_key("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_handled_in_the_order_of_its_key_concurrently() {
    each_event_is_handled_in_the_order_of_its_key("execution = \"concurrent(64)\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offset_moves_behind_a_dead_letter_that_kafka_has() {
    let catalogue = shop::catalogue(2, "handler-timeout = \"300ms\"");
    create_topics(&catalogue).await;
    let fates = [
        (Fate::Fail, "retries-exhausted", 4),
        (Fate::Reject, "rejected", 1),
        (Fate::Panic, "retries-exhausted", 4),
        (Fate::Hang, "retries-exhausted", 4),
    ];
    let mut orders: Vec<_> = (0..10).map(|n| order(&format!("good-{n}"), n, Fate::Ok)).collect();
    orders.extend(fates.iter().map(|(fate, ..)| order(&format!("{fate:?}"), 0, *fate)));
    shop::publish(&catalogue, &orders).await;
    let running = run(&catalogue, &Mail::default());
    settled(&catalogue, 14).await;
    let topic = shop::orders(&catalogue);
    let dead = everything_in(&[topic.dead_letter()]).await;
    running.stop().await;
    assert_eq!(dead.len(), 4, "what is committed has its dead letter");
    let (originals, group) = (everything_in(&[topic]).await, shop::billing_group(&catalogue));
    for (fate, reason, attempts) in fates {
        let is_its = |letter: &&event_bus::kafka::Record| {
            let key = letter.key.as_deref().unwrap_or_default();
            String::from_utf8_lossy(key).ends_with(&format!("{fate:?}"))
        };
        let letter = dead.iter().find(is_its).expect("it has a dead letter");
        let original = originals.iter().find(is_its).expect("it was published");
        let event_id = letters::text(original, event_bus::headers::CE_ID);
        let event_id = event_id.parse().expect("it has an id");
        letters::check(letter, original, Expected { group: &group, reason, attempts, event_id });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_idempotency_key_outlives_attempts_restarts_and_resets() {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let orders: Vec<_> = (0..5).map(|n| order(&format!("o-{n}"), n, Fate::FailOnce)).collect();
    shop::publish(&catalogue, &orders).await;
    let mail = Mail::default();
    let running = run(&catalogue, &mail);
    settled(&catalogue, 5).await;
    running.stop().await;
    reset_to_earliest(&shop::billing_group(&catalogue), &shop::orders(&catalogue)).await;
    let running = run(&catalogue, &mail);
    eventually(SOON, async || equal(mail.notes().len(), 20)).await;
    running.stop().await;
    let pairs: BTreeSet<_> =
        mail.notes().iter().map(|note| (note.id, note.key.to_string())).collect();
    let keys: BTreeSet<_> = pairs.iter().map(|(_, key)| key).collect();
    assert_eq!((pairs.len(), keys.len()), (5, 5), "one key for each event, whenever it is handled");
}

#[tokio::test]
async fn a_key_cannot_be_parked_without_a_database() {
    let catalogue = shop::catalogue(1, "behind-dead-letter = \"park\"");
    let service = StatelessService::new("billing", catalogue, servers::kafka());
    let service = service.expect("billing is in the contract").on::<OrderPlaced>(Mail::default());
    let ended = service.run(std::future::ready(())).await;
    assert!(matches!(ended, Err(RunError::ParkNeedsDatabase { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_waits_for_the_report_of_its_dead_letter() {
    // The first append is the order's; those of its dead letter are refused for a while.
    let refused = (2..=12).map(|nth| {
        format!("[[request]]\napi = \"Produce\"\nnth = {nth}\nerror = \"NOT_ENOUGH_REPLICAS\"\n")
    });
    let (broker, address) = broker_with(&refused.collect::<String>()).await;
    let kafka = kafka_at(address, &[]);
    let catalogue = shop::catalogue(1, "");
    create_topics_at(&kafka, &catalogue).await;
    let (topic, group) = (shop::orders(&catalogue), shop::billing_group(&catalogue));
    let order = shop::sealed(&catalogue, &order("o", 0, Fate::Reject));
    send_all_at(&kafka, vec![order]).await;
    let service = StatelessService::new("billing", Arc::clone(&catalogue), kafka.clone());
    let service = service.expect("billing is in the catalogue").on::<OrderPlaced>(Mail::default());
    let running = Running::start_stateless(service);
    let admin = Admin::connect(&kafka).expect("an admin client can be made");
    eventually(SOON, async || {
        let offsets = admin.committed_offsets(&group).await.expect("Kafka answers");
        let committed = offsets.values().any(|offset| matches!(offset, Ok(Some(1))));
        if committed { Ok(()) } else { Err(offsets) }
    })
    .await;
    let dead = everything_at(&kafka, &[topic.dead_letter()]).await;
    assert_eq!(dead.len(), 1, "what is committed has its dead letter");
    running.stop().await;
    stop(broker).await;
}
