//! A catalogue with an event for each fault, its topics on a cluster, and members of its groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::doctor::{Client, Code, Finding, examine, observe};
use event_bus::kafka::Properties;
use event_bus::kafka::admin::{Admin, NewTopic};
use event_bus::names::{GroupName, TopicName};
use event_bus::store::Store;
use event_bus::topics;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::servers;
use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, NoCustomPartitioner};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub const SCHEMA: &str = r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
    "required": ["bed"], "properties": { "bed": { "type": "string" } } }"#;

const SOON: Duration = Duration::from_secs(60);

/// A catalogue as TOML: an event for each of `events`, and a group for each of `read` among them.
pub fn toml(events: &[&str], read: &[&str], copies: i32) -> String {
    // A service that has nothing to do has no place in a catalogue.
    let nurse = if read.is_empty() { "" } else { "nurse = { title = \"Nurse\" }" };
    let mut toml = format!(
        r#"
        namespace = "clinic"
        [services]
        ward = {{ title = "Ward" }}
        {nurse}
        [defaults]
        partitions = 2
        replication = {copies}
        min-insync-replicas = 1
        retention = "7d"
        dlq-retention = "14d"
        retry = ["100ms"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "5s"
        lag-warning = 2
        lag-critical = 5
        "#
    );
    for event in events {
        let mut letters = event.chars();
        let name: String =
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().collect();
        let name = format!("Ward{name}{}", letters.as_str());
        write!(
            toml,
            r#"
            [events.{name}]
            topic = "ward.{event}"
            description = "Something happened in the ward."
            producer = "ward"
            key = ["/tenant_id", "/payload/bed"]
            versions = ["1.0"]
            "#
        )
        .expect("writing to a String cannot fail");
        if read.contains(event) {
            write!(toml, "[events.{name}.consumers.nurse]\nreads = [\"/bed\"]\n")
                .expect("writing to a String cannot fail");
        }
    }
    toml
}

/// What a finding is, and what about.
pub type Fault = (&'static str, String);

pub struct Clinic {
    pub catalogue: Catalogue,
    pub admin: Admin,
    pub bootstrap: String,
    members: Members,
}

impl Clinic {
    /// The topics on the cluster, and a member in each group.
    pub async fn open(bootstrap: String, toml: &str) -> Self {
        let catalogue = Catalogue::parse("clinic.toml", toml, |_| Ok(SCHEMA.to_owned()));
        let catalogue = catalogue.expect("it is a catalogue").with_namespace(servers::namespace());
        let kafka = servers::kafka_at(bootstrap.clone(), &[]);
        let admin = Admin::connect(&kafka).expect("an admin client can be made");
        let cluster = admin.cluster().await.expect("Kafka answers");
        let plan = topics::plan(&catalogue, &cluster, topics::Options::default());
        assert_eq!(plan.refused, [], "all can be made");
        let report = |applied: topics::Applied| applied.outcome.expect("Kafka takes the step");
        topics::apply(&admin, &plan, report).await.expect("Kafka answers");
        let members = catalogue.subscriptions().map(|found| {
            let (group, topic) = (&found.consumer.group, &found.event.topic);
            (group.clone(), Arc::new(member(config(&bootstrap), group, topic)))
        });
        let members = Members::of(members.collect());
        Self { catalogue, admin, bootstrap, members }
    }

    /// Kafka's own admin verbs.
    pub fn tool(&self) -> AdminClient<DefaultClientContext> {
        config(&self.bootstrap).create().expect("an admin client can be made")
    }

    /// The topic of an event.
    pub fn topic(&self, event: &str) -> TopicName {
        self.name(&format!("ward.{event}"))
    }

    /// A topic of the namespace.
    pub fn name(&self, rest: &str) -> TopicName {
        let name = format!("{}.{rest}", self.catalogue.namespace());
        TopicName::new(&name).expect("it is a topic's")
    }

    /// The group on an event.
    pub fn group(&self, event: &str) -> GroupName {
        let name = format!("{}-nurse-ward-{event}", self.catalogue.namespace());
        GroupName::new(&name).expect("it is a group's")
    }

    pub async fn delete(&self, topic: &TopicName) {
        let deleted = self.tool().delete_topics(&[topic.as_str()], &AdminOptions::new()).await;
        for outcome in deleted.expect("Kafka answers") {
            outcome.expect("it is deleted");
        }
        eventually(SOON, async || {
            equal(self.admin.topic_id(topic).await.expect("Kafka answers"), None)
        })
        .await;
    }

    pub async fn create(&self, topic: &TopicName, partitions: i32) {
        let configs = BTreeMap::new();
        let new = NewTopic { name: topic.clone(), partitions, replication: 1, configs };
        let made = self.admin.create_topics(&[new]).await.expect("Kafka answers");
        for (_, outcome) in made {
            outcome.expect("it is made");
        }
    }

    pub async fn configure(&self, topic: &TopicName, name: &'static str, value: &str) {
        let configs = vec![(topic.clone(), vec![(name, value.to_owned())])];
        for (_, outcome) in self.admin.set_configs(configs).await.expect("Kafka answers") {
            outcome.expect("it is set");
        }
    }

    /// Sends so many records to partition 0, as if it were this time in milliseconds since the Unix epoch.
    pub fn send(&self, topic: &TopicName, records: usize, at: Timestamp) {
        let producer: ThreadedProducer<DefaultProducerContext, NoCustomPartitioner> =
            config(&self.bootstrap).create().expect("a producer can be made");
        for _ in 0..records {
            let record = BaseRecord::to(topic.as_str()).partition(0).key("bed").payload("{}");
            let record = record.timestamp(at.as_millisecond());
            producer.send(record).map_err(|(error, _)| error).expect("it is taken");
        }
        producer.flush(SOON).expect("they are there");
    }

    /// Commits in partition 0, as the group's member.
    pub async fn commit(&self, event: &str, offset: i64) {
        let (group, topic) = (self.group(event), self.topic(event));
        // A member whose group is just being balanced may not.
        eventually(SOON, async || self.members.commit(&group, &topic, offset)).await;
    }

    /// Has the member leave.
    pub fn leave(&self, event: &str) {
        self.members.leave(&self.group(event));
    }

    /// Waits until this is found and nothing else.
    pub async fn finds(&self, wanted: &BTreeSet<Fault>) {
        self.finds_with(&[], wanted).await;
    }

    /// As [`Self::finds`], with inboxes.
    pub async fn finds_with(&self, stores: &[Store], wanted: &BTreeSet<Fault>) {
        eventually(SOON, async || {
            let found = self.found(stores).await?;
            let differing: Vec<_> = found.symmetric_difference(wanted).collect();
            if differing.is_empty() { Ok(()) } else { Err(format!("{differing:?}")) }
        })
        .await;
    }

    /// What is found now; what could not be looked at, as partitions that are just made, where there is such.
    async fn found(&self, stores: &[Store]) -> Result<BTreeSet<Fault>, String> {
        let (now, bootstrap) = (Timestamp::now(), self.bootstrap.clone());
        let client = Client { bootstrap, properties: Properties::default() };
        let observed = observe(&self.catalogue, client, stores, now).await;
        let observed = observed.map_err(|error| error.to_string())?;
        if !observed.unseen.is_empty() {
            return Err(format!("not looked at: {:?}", observed.unseen));
        }
        let findings = examine(&self.catalogue, &observed, now);
        let fault = |finding: &Finding| (finding.code.as_str(), finding.subject.to_string());
        Ok(findings.iter().map(fault).collect())
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "0");
    config
}

/// A fault of a topic.
pub fn of_topic(code: Code, topic: &TopicName) -> Fault {
    (code.as_str(), format!("topic {topic}"))
}

/// A fault of a group.
pub fn of_group(code: Code, group: &str) -> Fault {
    (code.as_str(), format!("group {group}"))
}

type Consumers = BTreeMap<GroupName, Arc<BaseConsumer>>;

/// Members of groups, which handle nothing. They are polled until this is dropped.
struct Members {
    consumers: Arc<Mutex<Consumers>>,
}

impl Members {
    fn of(consumers: Consumers) -> Self {
        let consumers = Arc::new(Mutex::new(consumers));
        let weak = Arc::downgrade(&consumers);
        let present = move || {
            let consumers = weak.upgrade()?;
            let consumers = consumers.lock().unwrap_or_else(PoisonError::into_inner);
            let consumers: Vec<_> = consumers.values().cloned().collect();
            (!consumers.is_empty()).then_some(consumers)
        };
        std::thread::spawn(move || {
            while let Some(consumers) = present() {
                for consumer in consumers {
                    drop(consumer.poll(Duration::from_millis(10)));
                }
            }
        });
        Self { consumers }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Consumers) -> T) -> T {
        act(&mut self.consumers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn commit(&self, group: &GroupName, topic: &TopicName, offset: i64) -> Result<(), String> {
        let mut offsets = TopicPartitionList::new();
        let added = offsets.add_partition_offset(topic.as_str(), 0, Offset::Offset(offset));
        added.expect("it is an offset");
        let consumer = self.with(|consumers| Arc::clone(&consumers[group]));
        consumer.commit(&offsets, CommitMode::Sync).map_err(|error| error.to_string())
    }

    fn leave(&self, group: &GroupName) {
        self.with(|consumers| drop(consumers.remove(group)));
    }
}

fn member(mut config: ClientConfig, group: &GroupName, topic: &TopicName) -> BaseConsumer {
    config
        .set("group.id", group.as_str())
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "30000");
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    consumer.subscribe(&[topic.as_str()]).expect("it subscribes");
    consumer
}
