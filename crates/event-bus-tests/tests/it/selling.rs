//! The shop's own service: commands that place orders through its outbox, and a relay that sends them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::envelope::OutgoingRecord;
use event_bus::kafka::admin::{Admin, NewTopic};
use event_bus::metrics::Metrics;
use event_bus::names::TopicName;
use event_bus::outbox::Outbox;
use event_bus::relay::Relay;
use event_bus::store::{Migration, Store};
use event_bus::{Catalogue, Context, Event, Handled, Handler, KafkaConfig, Service};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{everything_in, raw};
use event_bus_tests::servers;
use event_bus_tests::shop::OrderBilled;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(60);

/// The last order number of each key, whose row's lock puts the orders of a key in their order.
const TABLES: &[Migration] = &[Migration::same(
    1,
    "numbers",
    "CREATE TABLE numbers (order_id text PRIMARY KEY, last bigint NOT NULL)",
)];

/// Takes bills and does nothing about them.
struct Bookkeeper;

impl Handler<OrderBilled> for Bookkeeper {
    async fn handle(&self, _: Event<OrderBilled>, _: &mut Context<'_>) -> Handled {
        Ok(())
    }
}

/// The shop's service, not running yet.
pub async fn open_shop(catalogue: &Arc<Catalogue>, databases: &Databases) -> Service {
    open_shop_with(catalogue, databases, servers::kafka()).await
}

/// As [`open_shop`], with another Kafka.
pub async fn open_shop_with(
    catalogue: &Arc<Catalogue>,
    databases: &Databases,
    kafka: KafkaConfig,
) -> Service {
    let opened =
        Service::open("shop", Arc::clone(catalogue), kafka, &databases.url("shop"), TABLES).await;
    opened.expect("the shop's database opens").on::<OrderBilled>(Bookkeeper)
}

/// Commits records of any kind into the outbox, in one transaction.
pub async fn commit(outbox: &Outbox, records: impl IntoIterator<Item = OutgoingRecord>) {
    let mut tx = outbox.begin().await.expect("a transaction begins");
    for record in records {
        tx.enqueue(record);
    }
    outbox.commit(tx).await.expect("it commits");
}

/// A topic of the catalogue's namespace that the catalogue does not have.
pub fn topic(catalogue: &Catalogue, name: &str) -> TopicName {
    format!("{}.{name}", catalogue.namespace()).parse().expect("the name is one of a topic")
}

/// Creates a topic of one partition.
pub async fn create_topic(topic: &TopicName, configs: &[(&'static str, &str)]) {
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let configs: BTreeMap<_, _> =
        configs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let new = NewTopic { name: topic.clone(), partitions: 1, replication: 1, configs };
    for (_, outcome) in admin.create_topics(&[new]).await.expect("Kafka answers") {
        outcome.expect("the topic is made");
    }
    let wanted = [(topic.clone(), 1)];
    admin.await_topics(&wanted, Duration::from_secs(20)).await.expect("it gets its leader");
}

/// A record with a text as its value.
pub fn text(topic: &TopicName, key: &str, value: &str) -> OutgoingRecord {
    raw(topic, Some(key.as_bytes()), Some(value.as_bytes()), Vec::new())
}

/// The keys and values of a topic of one partition as text, in the order of their offsets.
pub async fn texts_in(topic: &TopicName) -> Vec<(String, String)> {
    let as_text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = everything_in(std::slice::from_ref(topic)).await;
    let texts = records.iter().map(|record| {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        (as_text(key.expect("each has a key")), as_text(value.expect("each has a value")))
    });
    texts.collect()
}

/// How many rows wait in the shop's outbox.
pub async fn waiting(databases: &Databases) -> i64 {
    databases.number("shop", "SELECT count(*) FROM outbox").await
}

/// A relay of the shop's database without the shop's service.
pub struct Relaying {
    pub store: Store,
    stop: watch::Sender<bool>,
    relay: JoinHandle<()>,
}

impl Relaying {
    pub async fn start(databases: &Databases) -> Self {
        Self::start_at(databases, &servers::kafka(), &Metrics::default()).await
    }

    /// As [`Self::start`], to this Kafka and counting in these metrics.
    pub async fn start_at(databases: &Databases, kafka: &KafkaConfig, metrics: &Metrics) -> Self {
        let store = Store::open(&databases.url("shop"), &[]).await.expect("the store opens");
        let (stop, stopping) = watch::channel(false);
        let relay = Relay::new(store.clone(), kafka.clone(), "shop").counting_in(metrics);
        Self { store, stop, relay: tokio::spawn(relay.run(stopping)) }
    }

    /// Waits until everything is sent.
    pub async fn sends_all(&self, databases: &Databases) {
        eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    }

    pub async fn end(self) {
        self.stop.send(true).expect("the relay runs");
        self.relay.await.expect("the relay ends");
    }
}
