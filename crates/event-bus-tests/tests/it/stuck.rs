//! Kafka clients that do not go on by themselves are made anew, and those that only have nothing to do are not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event_bus::metrics::Metrics;
use event_bus::publisher::Publisher;
use event_bus::{
    Event, Failure, Handled, KafkaConfig, StatelessContext, StatelessHandler, StatelessService,
};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::coordinators;
use event_bus_conformance::producer::Transactional;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, create_topics_at, everything_at};
use event_bus_tests::metric::counted;
use event_bus_tests::process::Process;
use event_bus_tests::servers;
use event_bus_tests::shop::{self, Billing, Fate, OrderPlaced, Running, open_billing_at, order};
use tempfile::NamedTempFile;

use crate::selling::{Relaying, text};

const SOON: Duration = Duration::from_secs(60);
/// A consumer counts as stuck after twice this, in milliseconds.
const SOCKET_TIMEOUT: (&str, &str) = ("socket.timeout.ms", "2000");

/// A broker that goes wrong as its script says.
struct Faulty {
    kafka: KafkaConfig,
    _process: Process,
    _script: NamedTempFile,
}

impl Faulty {
    /// So many requests of an API, each with a fault.
    async fn start(api: &str, numbers: impl IntoIterator<Item = u32>, fault: &str) -> Self {
        let entry = |nth| format!("[[request]]\napi = \"{api}\"\nnth = {nth}\n{fault}\n");
        let text: String = numbers.into_iter().map(entry).collect();
        let script = NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(script.path(), text).expect("the file can be written");
        let path = script.path().to_str().expect("the path is text");
        let arguments = ["broker", "--memory", "--listen", "127.0.0.1:0", "--faults", path];
        let mut process = Process::start(&arguments);
        let line = process.line().await;
        let address = line.strip_prefix("Kafka protocol on ").unwrap_or_else(|| panic!("{line}"));
        let kafka = servers::kafka_at(address.to_owned(), &[SOCKET_TIMEOUT]);
        Self { kafka, _process: process, _script: script }
    }
}

/// Handles nothing well.
struct Refusing;

impl StatelessHandler<OrderPlaced> for Refusing {
    async fn handle(&self, _: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        Err(Failure::reject("no"))
    }
}

/// Who may not have a producer id has a producer that has ended: the first of each here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_ended_is_made_anew() {
    let fault = "error = \"CLUSTER_AUTHORIZATION_FAILED\"";
    let broker = Faulty::start("InitProducerId", [1, 3], fault).await;
    let catalogue = shop::catalogue(1, "");
    create_topics_at(&broker.kafka, &catalogue).await;
    let publisher = Publisher::connect(Arc::clone(&catalogue), &broker.kafka);
    let (publisher, tenant) = (publisher.expect("one can be made"), shop::tenant());
    let publish = async || publisher.publish(&tenant, &order("o-1", 0, Fate::Ok)).await;
    eventually(SOON, publish).await;

    let service = StatelessService::new("billing", Arc::clone(&catalogue), broker.kafka.clone());
    let service = service.expect("billing is in the contract");
    let running = Running::start_stateless(service.on::<OrderPlaced>(Refusing));
    let letters = [shop::orders(&catalogue).dead_letter()];
    eventually(SOON, async || equal(everything_at(&broker.kafka, &letters).await.len(), 1)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_fetches_are_never_answered_is_built_anew() {
    // So many that the client, which gives up each after two seconds, is not through with them before it is stuck.
    let broker = Faulty::start("Fetch", 1..=6, "delay-ms = 600000").await;
    let (catalogue, databases) = (shop::catalogue(1, ""), Databases::sqlite());
    create_topics_at(&broker.kafka, &catalogue).await;
    let publisher = Publisher::connect(Arc::clone(&catalogue), &broker.kafka);
    let publisher = publisher.expect("one can be made");
    for number in 0..3 {
        let order = order("o-1", number, Fate::Ok);
        publisher.publish(&shop::tenant(), &order).await.expect("the broker takes it");
    }
    let service = open_billing_at(&broker.kafka, &catalogue, &databases).await;
    let metrics = service.metrics().clone();
    let running = Running::start(service.on::<OrderPlaced>(Billing::default()));
    eventually(SOON, async || match counted(&metrics, "consumer_rebuilds_total") {
        None | Some(0) => Err("not built anew"),
        Some(_) => Ok(()),
    })
    .await;
    let bills = "SELECT count(*) FROM bills";
    eventually(SOON, async || equal(databases.number("billing", bills).await, 3)).await;
    running.stop().await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_producer_is_never_answered_makes_it_anew() {
    // So many that the client, which gives up each after two seconds, is not through with them before it is stuck.
    let broker = Faulty::start("Produce", 1..=6, "delay-ms = 600000").await;
    let (catalogue, databases) = (shop::catalogue(1, ""), Databases::sqlite());
    create_topics_at(&broker.kafka, &catalogue).await;
    let metrics = Metrics::default();
    let relaying = Relaying::start_at(&databases, &broker.kafka, &metrics).await;
    let orders = shop::orders(&catalogue);
    let mut tx = relaying.store.begin().await.expect("a transaction begins");
    (0..3).for_each(|number| tx.enqueue(text(&orders, "k", &number.to_string())));
    tx.commit().await.expect("it commits");
    relaying.sends_all(&databases).await;
    assert!(counted(&metrics, "relay_producer_rebuilds_total").is_some_and(|times| times > 0));
    let sent = everything_at(&broker.kafka, &[orders]).await;
    let sent: Vec<_> = sent.iter().filter_map(|record| record.value.as_deref()).collect();
    assert_eq!(sent[..3], [b"0", b"1", b"2"]);
    relaying.end().await;
    databases.drop_all().await;
}

/// One partition has more than a window of events behind an order whose handler is slow. The other ends in records of a
/// transaction that was taken back, and then in one that is open: there is something, and nothing to fetch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_with_a_full_window_or_nothing_to_fetch_is_left_alone() {
    let (catalogue, databases) =
        (shop::catalogue(2, "handler-timeout = \"4s\""), Databases::sqlite());
    create_topics(&catalogue).await;
    let topic = shop::orders(&catalogue);
    coordinators::until_ready(&mut Connection::to(&servers::bootstrap()).await).await;
    let mut producer = Transactional::new(&servers::bootstrap(), topic.as_str()).await;
    producer.add_and_write(topic.as_str(), &["taken back"]).await;
    producer.end(false).await.expect("it ends");
    producer.add_and_write(topic.as_str(), &["open"]).await;
    let mut orders = vec![order("slow", 0, Fate::Hang)];
    orders.extend((1..10_500).map(|number| order("slow", number, Fate::Ok)));
    let places = shop::publish(&catalogue, &orders).await;
    let partitions: BTreeSet<i32> = places.iter().map(|place| place.partition).collect();
    assert_eq!(partitions, [1].into(), "the open transaction is in the other");

    let kafka = servers::kafka_with(&[SOCKET_TIMEOUT]);
    let (billing, service) =
        (Billing::default(), open_billing_at(&kafka, &catalogue, &databases).await);
    let metrics = service.metrics().clone();
    let running = Running::start(service.on::<OrderPlaced>(billing.clone()));
    // Three times as long as a stuck consumer is left alone.
    eventually(SOON, async || match billing.attempts_at("slow").len() {
        few @ 0..4 => Err(few),
        _ => Ok(()),
    })
    .await;
    assert_eq!(counted(&metrics, "consumer_rebuilds_total"), Some(0));
    running.stop().await;
    databases.drop_all().await;
}
