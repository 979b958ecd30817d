//! Each user, each topic and group, each operation: allowed exactly where the catalogue has it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use event_bus::Catalogue;
use event_bus::kafka::admin::Admin;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cluster::{ADMIN, Cluster, credentials, password};

/// How long one cell may take, on a machine that does other work too.
const CELL: Duration = Duration::from_secs(60);

/// Somebody, what may be done or not, and to which topic or group.
type Cell = (String, &'static str, String);

const WRITE: &str = "write";
const READ: &str = "read";
const JOIN: &str = "join";

/// What the catalogue lets each do, by its own rule.
fn wanted(catalogue: &Catalogue) -> BTreeSet<Cell> {
    let mut cells = BTreeSet::new();
    let mut allow = |user: &str, operation, what: String| {
        cells.insert((user.to_owned(), operation, what));
    };
    let own = |name: &str| format!("{}.event-bus.{name}", catalogue.namespace());
    let (outcomes, commands, audit) = (own("outcomes"), own("commands"), own("audit"));
    for event in catalogue.events() {
        let (topic, letters) = (event.topic.to_string(), format!("{}.dlq", event.topic));
        allow(event.producer.as_str(), WRITE, topic.clone());
        for consumer in &event.consumers {
            allow(consumer.service.as_str(), READ, topic.clone());
            allow(consumer.service.as_str(), WRITE, letters.clone());
            allow(consumer.service.as_str(), JOIN, consumer.group.to_string());
            allow("event-bus-ops", JOIN, consumer.group.to_string());
        }
        allow("event-bus-ops", WRITE, topic.clone());
        allow("event-bus-ops", READ, topic);
        allow("event-bus-ops", READ, letters);
    }
    for (service, _) in catalogue.services() {
        allow(service.as_str(), WRITE, outcomes.clone());
        allow(service.as_str(), WRITE, commands.clone());
        allow(service.as_str(), READ, commands.clone());
    }
    for topic in [outcomes, commands, audit] {
        allow("event-bus-ops", READ, topic.clone());
        allow("event-bus-ops", WRITE, topic);
    }
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_may_do_is_exact_in_every_cell() {
    let catalogue = blindstrader::catalogue();
    let mut users: Vec<String> =
        catalogue.services().map(|(service, _)| service.to_string()).collect();
    users.extend(["event-bus-ops", "event-bus-kafbat", "stranger"].map(str::to_owned));
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let cluster = Cluster::start(&names).await;
    let applied =
        cluster.program(ADMIN, &["topics", "apply", "--replication", "1", "--acls"]).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    seed(&cluster);

    let all: Vec<_> = users
        .into_iter()
        .map(|user| {
            let address = cluster.address().to_owned();
            let catalogue = Arc::clone(&cluster.catalogue);
            thread::spawn(move || allowed(&User { name: user, address }, &catalogue))
        })
        .collect();
    let all = tokio::task::spawn_blocking(move || {
        let cells = all.into_iter().flat_map(|user| user.join().expect("no cell panicked"));
        cells.collect::<BTreeSet<_>>()
    });
    let seen = all.await.expect("it ran");
    let wanted = wanted(&cluster.catalogue);
    let too_much: Vec<_> = seen.difference(&wanted).collect();
    let too_little: Vec<_> = wanted.difference(&seen).collect();
    assert!(too_much.is_empty() && too_little.is_empty(), "{too_much:#?} {too_little:#?}");

    // A second time there is nothing to do, and what was given by hand is seen and, when told so, taken away.
    let planned = cluster.program(ADMIN, &["topics", "plan", "--replication", "1", "--acls"]).await;
    assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stdout));
    let admin = Admin::connect(&cluster.kafka(ADMIN)).expect("an admin client can be made");
    let acls = admin.acls().await.expect("Kafka answers").expect("there are lists");
    let mut extra = acls.iter().find(|acl| acl.principal == "User:brand").expect("one").clone();
    extra.operation = "ALL".to_owned();
    for outcome in admin.create_acls(vec![extra.clone()]).await.expect("Kafka answers") {
        outcome.expect("it is made");
    }
    let planned = cluster.program(ADMIN, &["topics", "plan", "--replication", "1", "--acls"]).await;
    let told = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(
        planned.status.success() && told.contains(&format!("left as it is: {extra}")),
        "{told}"
    );
    let arguments = ["topics", "apply", "--replication", "1", "--acls", "--revoke"];
    let applied = cluster.program(ADMIN, &arguments).await;
    let told = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert!(applied.status.success() && told.contains(&format!("done: revoke: {extra}")), "{told}");
    let mut left = admin.acls().await.expect("Kafka answers").expect("there are lists");
    let mut before = acls;
    left.sort();
    before.sort();
    assert_eq!(left, before);
}

/// A record in each topic, to be read.
fn seed(cluster: &Cluster) {
    let admin = User { name: ADMIN.to_owned(), address: cluster.address().to_owned() };
    let topics: Vec<String> = topics(&cluster.catalogue);
    assert_eq!(admin.writes(&topics).len(), topics.len(), "the admin may write all");
}

fn topics(catalogue: &Catalogue) -> Vec<String> {
    catalogue.topics().iter().map(ToString::to_string).collect()
}

/// All that a user may do.
fn allowed(user: &User, catalogue: &Catalogue) -> Vec<Cell> {
    let topics = topics(catalogue);
    let cell = |operation, what: String| (user.name.clone(), operation, what);
    let mut cells: Vec<Cell> =
        user.writes(&topics).into_iter().map(|topic| cell(WRITE, topic)).collect();
    let read = topics.into_iter().filter(|topic| user.reads(topic));
    cells.extend(read.map(|topic| cell(READ, topic)));
    let joined = catalogue.subscriptions().filter(|subscription| {
        user.joins(subscription.consumer.group.as_str(), subscription.event.topic.as_str())
    });
    cells.extend(joined.map(|joined| cell(JOIN, joined.consumer.group.to_string())));
    cells
}

struct User {
    name: String,
    address: String,
}

/// The topics whose records were taken, and those whose were refused for want of rights.
#[derive(Default)]
struct Deliveries {
    taken: Mutex<Vec<String>>,
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        match result {
            Ok(record) => {
                let mut taken = self.taken.lock().expect("nobody panicked");
                taken.push(record.topic().to_owned());
            }
            Err((error, record)) => assert_eq!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::TopicAuthorizationFailed),
                "{}",
                record.topic()
            ),
        }
    }
}

impl User {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        for (name, value) in credentials(&self.name, &password(&self.name)) {
            config.set(name, value);
        }
        config
    }

    /// Those of the topics that it may write.
    fn writes(&self, topics: &[String]) -> Vec<String> {
        let made = self.config().create_with_context(Deliveries::default());
        let producer: ThreadedProducer<Deliveries> = made.expect("a producer can be made");
        for topic in topics {
            let record = BaseRecord::<(), _>::to(topic).partition(0).payload("{}");
            producer.send(record).map_err(|(error, _)| error).expect("the client takes it");
        }
        producer.flush(CELL).expect("all are decided");
        let mut taken = producer.context().taken.lock().expect("nobody panicked");
        std::mem::take(&mut *taken)
    }

    /// Whether it may read the topic's first record.
    fn reads(&self, topic: &str) -> bool {
        let consumer = self.consumer("event-bus-reader");
        // The client says nothing of an assigned topic that it may not even see.
        let metadata = consumer.fetch_metadata(Some(topic), CELL).expect("the broker answers");
        let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
        if metadata.topics().iter().any(|topic| topic.error().map(Into::into) == Some(denied)) {
            return false;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).expect("the offset is one");
        consumer.assign(&list).expect("it can be assigned");
        self.decided(&consumer, topic, |_, polled| match polled {
            Some(Ok(_)) => Some(true),
            Some(Err(RDKafkaErrorCode::TopicAuthorizationFailed)) => Some(false),
            _ => None,
        })
    }

    /// Whether it may be a member of the group.
    fn joins(&self, group: &str, topic: &str) -> bool {
        let consumer = self.consumer(group);
        consumer.subscribe(&[topic]).expect("it can be subscribed");
        self.decided(&consumer, group, |consumer, polled| match polled {
            Some(Err(RDKafkaErrorCode::GroupAuthorizationFailed)) => Some(false),
            _ => {
                let assigned = consumer.assignment().is_ok_and(|list| list.count() > 0);
                assigned.then_some(true)
            }
        })
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = self.config();
        config.set("group.id", group).set("enable.auto.commit", "false");
        config.create().expect("a consumer can be made")
    }

    fn decided(
        &self,
        consumer: &BaseConsumer,
        what: &str,
        look: impl Fn(&BaseConsumer, Option<Result<(), RDKafkaErrorCode>>) -> Option<bool>,
    ) -> bool {
        let deadline = Instant::now() + CELL;
        loop {
            let polled = match consumer.poll(Duration::from_millis(20)) {
                None => None,
                Some(Ok(_)) => Some(Ok(())),
                Some(Err(KafkaError::MessageConsumption(code))) => Some(Err(code)),
                Some(Err(error)) => panic!("{} on {what}: {error}", self.name),
            };
            if let Some(decided) = look(consumer, polled) {
                return decided;
            }
            assert!(Instant::now() < deadline, "{} on {what}: nothing was decided", self.name);
        }
    }
}
