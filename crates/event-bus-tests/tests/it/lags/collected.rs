//! A collector that runs in the test, and what it tells of the test's own topics and groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::kafka::admin::{Admin, NewTopic, TopicPartition, Wanted};
use event_bus::names::{GroupName, TopicName};
use event_bus::store::ops::OpsStore;
use event_bus::{Catalogue, KafkaConfig};
use event_bus_ops::LagCollector;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::{servers, shop};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::producer::{DefaultProducerContext, NoCustomPartitioner};
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

type Producer = ThreadedProducer<DefaultProducerContext, NoCustomPartitioner>;

/// A collector of what the test makes.
pub struct Collected {
    pub catalogue: Arc<Catalogue>,
    pub admin: Admin,
    bootstrap: String,
    namespace: String,
    collector: LagCollector,
    _running: JoinSet<()>,
}

impl Collected {
    pub async fn start() -> Self {
        Self::at(servers::bootstrap(), servers::kafka()).await
    }

    /// One of another cluster.
    pub async fn at(bootstrap: String, kafka: KafkaConfig) -> Self {
        let catalogue = shop::catalogue(1, "");
        let namespace = catalogue.namespace().to_string();
        let prefix = namespace.clone();
        let is_ours: Arc<dyn Fn(&str) -> bool + Send + Sync> =
            Arc::new(move |name| name.starts_with(&prefix));
        let wanted = Wanted { group: Arc::clone(&is_ours), topic: is_ours };
        let collector = LagCollector::new(Arc::clone(&catalogue), wanted, PAUSE);
        let admin = Admin::connect(&kafka).expect("an admin client can be made");
        let (collecting, asking) = (collector.clone(), admin.clone());
        let mut running = JoinSet::new();
        let databases = Databases::sqlite();
        let store = OpsStore::open(&databases.url("ops")).await.expect("the ops store opens");
        running.spawn(async move {
            // It goes with the collector.
            let _databases = databases;
            collecting.run(asking, kafka, &store, std::future::pending()).await;
        });
        Self { catalogue, admin, bootstrap, namespace, collector, _running: running }
    }

    /// A name that only this test has.
    pub fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.namespace)
    }

    pub async fn topic(
        &self,
        rest: &str,
        partitions: i32,
        configs: &[(&'static str, &str)],
    ) -> TopicName {
        let name = TopicName::new(&self.name(rest)).expect("it is a topic's");
        let configs = configs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let new = NewTopic { name: name.clone(), partitions, replication: 1, configs };
        let made = self.admin.create_topics(&[new]).await.expect("Kafka answers");
        for (_, outcome) in made {
            outcome.expect("it is made");
        }
        eventually(SOON, async || {
            let cluster = self.admin.cluster().await.map_err(|error| error.to_string())?;
            match cluster.topics.get(&name) {
                Some(topic) if topic.has_leaders => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        name
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "0");
        config
    }

    /// Kafka's own admin verbs.
    pub fn tool(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client can be made")
    }

    pub async fn delete(&self, topic: &TopicName) {
        let deleted = self.tool().delete_topics(&[topic.as_str()], &AdminOptions::new()).await;
        for outcome in deleted.expect("Kafka answers") {
            outcome.expect("it is deleted");
        }
    }

    pub fn producer(&self) -> Producer {
        self.config().create().expect("a producer can be made")
    }

    pub fn transactional(&self, id: &str) -> Producer {
        let mut config = self.config();
        config.set("transactional.id", self.name(id));
        let producer: Producer = config.create().expect("a producer can be made");
        producer.init_transactions(SOON).expect("Kafka answers");
        producer
    }

    pub async fn commits(&self, group: &str, topic: &TopicName, partition: i32, offset: i64) {
        let group = GroupName::new(group).expect("it is a group's");
        let at = TopicPartition { topic: topic.clone(), partition };
        let offsets = BTreeMap::from([(at, offset)]);
        self.admin.commit_offsets(&group, &offsets).await.expect("Kafka commits");
    }

    /// What is told now, as Prometheus would get it.
    pub fn text(&self) -> String {
        self.collector.exposition().collect()
    }

    /// The value of a series, its labels in the order in which they are told.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.text().lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().expect("it is a number"))
        })
    }

    /// Waits until a group's series of partition 0 of a topic has this value, or is not there.
    pub async fn tells(&self, metric: &str, group: &str, topic: &TopicName, wanted: Option<f64>) {
        self.tells_of(metric, group, topic, 0, wanted).await;
    }

    pub async fn tells_of(
        &self,
        metric: &str,
        group: &str,
        topic: &TopicName,
        partition: i32,
        wanted: Option<f64>,
    ) {
        let labels =
            format!("consumergroup=\"{group}\",topic=\"{topic}\",partition=\"{partition}\"");
        self.says(&format!("{metric}{{{labels}}}"), wanted).await;
    }

    /// Waits until a series has this value, or is not there.
    pub async fn says(&self, series: &str, wanted: Option<f64>) {
        eventually(SOON, async || {
            // Before the first collection nothing is there, which proves nothing.
            let has_begun = self.value("kafka_brokers").is_some();
            equal((has_begun, self.value(series)), (true, wanted))
                .map_err(|seen| format!("{series}: {seen:?}, not {wanted:?}"))
        })
        .await;
    }
}

/// Sends this many records, and waits until they are there.
pub fn send(producer: &Producer, topic: &TopicName, partition: i32, records: usize) {
    for nth in 0..records {
        let (key, value) = ("key", format!("{nth}"));
        let record = BaseRecord::to(topic.as_str()).partition(partition).key(key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("it is taken");
    }
    producer.flush(SOON).expect("they are there");
}
