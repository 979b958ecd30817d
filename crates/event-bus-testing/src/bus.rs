use std::sync::Arc;
use std::time::Duration;

use event_bus::envelope::Envelope;
use event_bus::kafka::Record;
use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::{EventId, TenantId, TopicName};
use event_bus::publisher::Publisher;
use event_bus::store::{Migration, Row, Value};
use event_bus::{Catalogue, EventType, KafkaConfig, Service, StatelessService, topics};
use event_bus_broker::{Broker, Config, Durability};
use tempfile::TempDir;

use crate::dead_letter::DeadLetter;
use crate::services::Services;
use crate::settle;

/// The wait before each retry: the schedule of the catalogue is for the world outside.
const RETRY: Duration = Duration::from_millis(10);

/// A bus of a test's own: a broker in memory, the catalogue's topics, and a database for each service.
///
/// It needs tokio's multi-threaded runtime: `#[tokio::test(flavor = "multi_thread")]`.
pub struct TestBus {
    // Dropped in this order: the services end before their broker and their files.
    services: Services,
    publisher: Publisher,
    _broker: Broker,
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    databases: TempDir,
}

impl TestBus {
    /// Starts a bus with the topics of a catalogue.
    ///
    /// # Panics
    /// When no broker can be started.
    pub async fn start(catalogue: Catalogue) -> TestBus {
        let catalogue = Arc::new(catalogue.with_retry_waits(RETRY));
        let config = Config { durability: Durability::Lazy, ..Config::default() };
        let broker = Broker::start(config).await.expect("a broker starts in memory");
        let properties = [("linger.ms", "0")].map(|(name, value)| (name.into(), value.into()));
        let kafka = KafkaConfig::new(broker.bootstrap(), properties)
            .expect("the properties are librdkafka's own");
        create_topics(&kafka, &catalogue).await;
        let publisher =
            Publisher::connect(Arc::clone(&catalogue), &kafka).expect("a publisher can be made");
        let databases = tempfile::tempdir().expect("a temporary folder can be made");
        let services = Services::default();
        TestBus { services, publisher, _broker: broker, catalogue, kafka, databases }
    }

    /// The catalogue, with this bus's waits before retries: for services that the test opens by itself.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// How to reach the broker.
    #[must_use]
    pub fn kafka(&self) -> KafkaConfig {
        self.kafka.clone()
    }

    /// The URL of a service's own database, an SQLite file that goes away with the bus.
    #[must_use]
    pub fn database(&self, service: &str) -> String {
        format!("sqlite://{}/{service}.db", self.databases.path().display())
    }

    /// Opens a service of the catalogue with its own database, for its handlers.
    ///
    /// # Panics
    /// When the catalogue does not have it, or its tables can't be made.
    pub async fn service(&self, name: &str, tables: &[Migration]) -> Service {
        let (catalogue, url) = (Arc::clone(&self.catalogue), self.database(name));
        let service = Service::open(name, catalogue, self.kafka(), &url, tables).await;
        service.unwrap_or_else(|error| panic!("the service {name} can't be opened: {error}"))
    }

    /// A service of the catalogue without a database, for its handlers.
    ///
    /// # Panics
    /// When the catalogue does not have it.
    #[must_use]
    pub fn stateless_service(&self, name: &str) -> StatelessService {
        let service = StatelessService::new(name, Arc::clone(&self.catalogue), self.kafka());
        service.unwrap_or_else(|error| panic!("there is no service {name}: {error}"))
    }

    /// Runs a service for as long as the bus is there.
    pub fn run(&mut self, service: Service) {
        self.services.run(service);
    }

    /// Runs a service without a database for as long as the bus is there.
    pub fn run_stateless(&mut self, service: StatelessService) {
        self.services.run_stateless(service);
    }

    /// Publishes an event as its producer would, and says which id it has.
    ///
    /// # Panics
    /// When the tenant's name is not valid, or the event breaks its schema.
    pub async fn publish<E: EventType>(&self, tenant: &str, event: &E) -> EventId {
        let tenant: TenantId = tenant.parse().unwrap_or_else(|error| panic!("{error}"));
        let published = self.publisher.publish(&tenant, event).await;
        published.unwrap_or_else(|error| panic!("{} is not published: {error}", E::NAME)).event_id
    }

    /// Publishes an envelope byte for byte: for events that come twice, and for those of other versions.
    ///
    /// # Panics
    /// When it is no envelope, or breaks its schema.
    pub async fn publish_envelope(&self, envelope: &[u8]) -> EventId {
        let published = self.publisher.publish_envelope(envelope).await;
        published.unwrap_or_else(|error| panic!("the envelope is not published: {error}")).event_id
    }

    /// Returns once the running services have handled everything, and what followed from it.
    ///
    /// # Panics
    /// When a service has ended, or that takes longer than half a minute; it says who is behind on what.
    pub async fn settled(&mut self) {
        settle::settled(&mut self.services, &self.catalogue, &self.kafka).await;
    }

    /// All published events of a kind, oldest first within a key.
    ///
    /// # Panics
    /// When the catalogue does not have the event, or a payload is not of this type.
    pub async fn events<E: EventType>(&self) -> Vec<E> {
        let records = self.records(self.event(E::NAME).topic.clone()).await;
        records.iter().map(payload).collect()
    }

    /// All dead letters of a kind of event, of any service.
    ///
    /// # Panics
    /// When the catalogue does not have the event.
    pub async fn dead_letters<E: EventType>(&self) -> Vec<DeadLetter> {
        let records = self.records(self.event(E::NAME).dead_letter_topic.clone()).await;
        records.into_iter().map(DeadLetter::of).collect()
    }

    /// The rows of a query in the database of a running service, with `$1`, `$2`, … for the values.
    ///
    /// # Panics
    /// When no such service runs, or the query fails.
    pub async fn rows(&self, service: &str, sql: &'static str, values: &[Value]) -> Vec<Row> {
        let mut tx = self.services.outbox(service).begin().await.expect("the database answers");
        let rows = tx.fetch_all(sql, values).await;
        rows.unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// The number that a query gives as its column `count`, as `SELECT count(*) AS count FROM mails` does.
    ///
    /// # Panics
    /// As [`Self::rows`], and when the query has no such number.
    pub async fn count(&self, service: &str, sql: &'static str) -> i64 {
        let rows = self.rows(service, sql, &[]).await;
        let row = rows.first().unwrap_or_else(|| panic!("{service}: {sql}: no row"));
        row.get("count").unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    fn event(&self, name: &str) -> &event_bus::catalogue::Event {
        let event = self.catalogue.event(name);
        event.unwrap_or_else(|| panic!("the catalogue has no event {name}"))
    }

    async fn records(&self, topic: TopicName) -> Vec<Record> {
        let topics = [topic];
        let mut reader = Reader::start(&self.kafka, &topics, Position::Start, Until::CaughtUp)
            .await
            .expect("the bus's own topics can be read");
        let mut records = Vec::new();
        while let Some(batch) = reader.next().await.expect("the bus's own broker answers") {
            records.extend(batch);
        }
        records
    }
}

fn payload<E: EventType>(record: &Record) -> E {
    let envelope = Envelope::parse(record.value.as_deref().unwrap_or_default());
    let envelope = envelope.unwrap_or_else(|error| panic!("{} is no envelope: {error}", E::NAME));
    let payload = envelope.payload.read();
    payload.unwrap_or_else(|error| panic!("a payload of {} is of another type: {error}", E::NAME))
}

async fn create_topics(kafka: &KafkaConfig, catalogue: &Catalogue) {
    let admin = Admin::connect(kafka).expect("an admin client can be made");
    let cluster = admin.cluster().await.expect("the bus's own broker answers");
    let options = topics::Options { replication: Some(1), ..topics::Options::default() };
    let plan = topics::plan(catalogue, &cluster, options);
    let report = |applied: topics::Applied| {
        let step = applied.step.to_string();
        applied.outcome.unwrap_or_else(|error| panic!("{step}: {error}"));
    };
    topics::apply(&admin, &plan, report).await.expect("the bus's own broker answers");
}
