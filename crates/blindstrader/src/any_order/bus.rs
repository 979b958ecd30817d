//! A bus in memory: every service with its own database, and their events in between, delivered one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use event_bus::envelope::Envelope;
use event_bus::names::EventId;
use event_bus::outbox::Outbox;
use event_bus::partition::partition_for;
use event_bus::{Catalogue, Context, Event, EventType, Handled, Handler, KafkaConfig, Service};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::catalogue;
use crate::services::{Subscriber, definitions};

/// Partitions of every topic.
const PARTITIONS: i32 = 3;

/// What came out of an outbox, on its way to one consumer.
struct Delivery {
    consumer: String,
    topic: String,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// All services on one bus. Which delivery is next is drawn from the seed; only a consumer's deliveries of the same
/// topic and key keep their order.
pub(super) struct Bus {
    catalogue: Arc<Catalogue>,
    outboxes: HashMap<&'static str, Outbox>,
    handlers: HashMap<&'static str, Arc<Handlers>>,
    deliveries: Vec<Delivery>,
    /// The topics that the services have published to.
    pub(super) published: BTreeSet<String>,
    /// How many batches had to be handled again.
    pub(super) failures: u32,
    random: StdRng,
}

impl Bus {
    /// Opens the services' databases, each at the URL that `store` gives for its name.
    pub(super) async fn new(seed: u64, store: impl Fn(&str) -> String) -> Self {
        let catalogue = Arc::new(catalogue());
        let mut outboxes = HashMap::new();
        let mut handlers = HashMap::new();
        for definition in definitions::<Handlers>() {
            let kafka = KafkaConfig::plain("nobody.invalid:9092");
            let (name, store) = (definition.name, store(definition.name));
            let service =
                Service::open(name, Arc::clone(&catalogue), kafka, &store, definition.migrations)
                    .await;
            outboxes.insert(name, service.unwrap().outbox().clone());
            handlers.insert(name, Arc::new((definition.attach)(Handlers::default())));
        }
        let random = StdRng::seed_from_u64(seed);
        Self {
            catalogue,
            outboxes,
            handlers,
            deliveries: Vec::new(),
            published: BTreeSet::new(),
            failures: 0,
            random,
        }
    }

    pub(super) fn outbox(&self, service: &str) -> &Outbox {
        &self.outboxes[service]
    }

    /// Sends what the service's outbox holds to all consumers.
    pub(super) async fn relay(&mut self, service: &str) {
        let mut tx = self.outboxes[service].begin().await.unwrap();
        // One statement: a transaction may commit between a SELECT and its DELETE.
        let sql = "DELETE FROM outbox RETURNING id, topic, record_key, record_value";
        let mut rows = tx.fetch_all(sql, &[]).await.unwrap();
        rows.sort_by_key(|row| row.get::<i64>("id").unwrap());
        for row in rows {
            let topic: String = row.get("topic").unwrap();
            let key: Vec<u8> = row.get("record_key").unwrap();
            let value: Vec<u8> = row.get("record_value").unwrap();
            self.send(&topic, &key, &value);
            self.published.insert(topic);
        }
        tx.commit().await.unwrap();
    }

    fn send(&mut self, topic: &str, key: &[u8], value: &[u8]) {
        let event = self.catalogue.event_of_topic(topic).unwrap();
        for consumer in &event.consumers {
            let (topic, key, value) = (topic.to_owned(), key.to_vec(), value.to_vec());
            self.deliveries.push(Delivery {
                consumer: consumer.service.to_string(),
                topic,
                key,
                value,
            });
        }
    }

    /// Publishes an event from outside the services.
    pub(super) fn publish<E: EventType>(&mut self, tenant: &str, payload: &E) {
        let event = Arc::clone(self.catalogue.event(E::NAME).unwrap());
        let tenant = tenant.parse().unwrap();
        let now = jiff::Timestamp::now();
        let draft = event_bus::envelope::Draft::typed(&event, &tenant, payload, now).unwrap();
        let record = draft.seal().unwrap();
        self.send(record.topic.as_str(), &record.key.unwrap(), &record.value.unwrap());
    }

    /// Delivers until nothing is under way.
    pub(super) async fn drain(&mut self) {
        while !self.deliveries.is_empty() {
            let delivery = self.draw();
            self.deliver(&delivery).await;
            self.relay(&delivery.consumer).await;
        }
    }

    fn draw(&mut self) -> Delivery {
        let drawn = &self.deliveries[self.random.random_range(..self.deliveries.len())];
        let same_lane = |other: &Delivery| {
            (&other.consumer, &other.topic, &other.key)
                == (&drawn.consumer, &drawn.topic, &drawn.key)
        };
        let first = self.deliveries.iter().position(same_lane).unwrap();
        self.deliveries.remove(first)
    }

    async fn deliver(&self, delivery: &Delivery) {
        let consumer = delivery.consumer.as_str();
        let batch = std::slice::from_ref(delivery);
        handle(&self.outboxes[consumer], &self.handlers[consumer], batch).await.unwrap();
    }

    /// Delivers until nothing is under way, each partition of each topic in a transaction of its own and all of them
    /// side by side, as the runtime does. A batch that fails is handled again.
    pub(super) async fn drain_side_by_side(&mut self) {
        while !self.deliveries.is_empty() {
            let mut running = JoinSet::new();
            for batch in self.draw_batches() {
                let consumer = batch[0].consumer.as_str();
                let (outbox, handlers) =
                    (self.outboxes[consumer].clone(), Arc::clone(&self.handlers[consumer]));
                running.spawn(async move {
                    let failed = handle(&outbox, &handlers, &batch).await.err();
                    if let Some(failure) = &failed {
                        eprintln!("{} {}: {:?}", batch[0].consumer, batch[0].topic, failure);
                    }
                    (batch, failed.is_some())
                });
            }
            while let Some(ended) = running.join_next().await {
                let (batch, failed) = ended.unwrap();
                let consumer = batch[0].consumer.clone();
                if failed {
                    self.failures += 1;
                    self.deliveries.splice(..0, batch);
                }
                self.relay(&consumer).await;
            }
        }
    }

    /// Takes some of the partitions that have deliveries, at random, and all that they have.
    fn draw_batches(&mut self) -> Vec<Vec<Delivery>> {
        let mut partitions = BTreeMap::<_, Vec<Delivery>>::new();
        for delivery in self.deliveries.drain(..) {
            let partition = partition_for(&delivery.key, PARTITIONS);
            partitions
                .entry((delivery.consumer.clone(), delivery.topic.clone(), partition))
                .or_default()
                .push(delivery);
        }
        let mut batches: Vec<_> = partitions.into_values().collect();
        let last = batches.len() - 1;
        batches.swap(self.random.random_range(..=last), last);
        let drawn = batches.split_off(self.random.random_range(..=last));
        self.deliveries = batches.into_iter().flatten().collect();
        drawn
    }

    /// What a query says in the service's database: its column `n`.
    pub(super) async fn number(&self, service: &str, sql: &'static str) -> i64 {
        let mut tx = self.outboxes[service].begin().await.unwrap();
        tx.fetch_optional(sql, &[]).await.unwrap().unwrap().get("n").unwrap()
    }
}

/// Handles a batch in one transaction.
async fn handle(outbox: &Outbox, handlers: &Handlers, batch: &[Delivery]) -> Handled {
    let mut tx = outbox.begin().await?;
    for delivery in batch {
        let envelope = Envelope::parse(&delivery.value).unwrap();
        let handler = &handlers.0[envelope.event.as_str()];
        handler.handle(envelope, &mut outbox.command(&mut tx)).await?;
    }
    Ok(outbox.commit(tx).await?)
}

#[derive(Default)]
struct Handlers(HashMap<&'static str, Box<dyn AnyHandler>>);

impl Subscriber for Handlers {
    fn on<E: EventType>(mut self, handler: impl Handler<E>) -> Self {
        self.0.insert(E::NAME, Box::new(Typed(handler, PhantomData)));
        self
    }
}

type Handling<'a> = Pin<Box<dyn Future<Output = Handled> + Send + 'a>>;

trait AnyHandler: Send + Sync {
    fn handle<'a>(&'a self, envelope: Envelope, context: &'a mut Context<'_>) -> Handling<'a>;
}

struct Typed<E, H>(H, PhantomData<fn(E)>);

impl<E: EventType, H: Handler<E>> AnyHandler for Typed<E, H> {
    fn handle<'a>(&'a self, envelope: Envelope, context: &'a mut Context<'_>) -> Handling<'a> {
        let event = Event {
            id: envelope.event_id.unwrap_or_else(|| EventId::at(jiff::Timestamp::now())),
            tenant: envelope.tenant_id,
            occurred_at: envelope.occurred_at,
            version: envelope.version,
            service: envelope.service,
            attempt: 1,
            trace: event_bus::trace_context::TraceContext::start(),
            payload: envelope.payload.read::<E>().unwrap(),
        };
        // The handler borrows the context for as long as it runs, whatever the context itself borrows.
        Box::pin(async move { self.0.handle(event, context).await })
    }
}
