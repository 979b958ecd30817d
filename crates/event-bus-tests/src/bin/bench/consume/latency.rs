//! W6: from just before an event is published until its handler is called, at 500 a second, beside a bare client.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use event_bus::names::TenantId;
use event_bus::publisher::Publisher;
use event_bus::store::Migration;
use event_bus::{
    Catalogue, Context, Event, Handled, Handler, KafkaConfig, Service, StatelessContext,
    StatelessHandler, StatelessService,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};

use super::Setting;
use super::event::{OrderPlaced, bare, order};
use super::mark::Mark;
use super::running::Running;
use crate::publish::turn::Quartiles;

const RATE: u32 = 500;
/// Seconds at the beginning of each run that don't count.
const WARM_UP: u32 = 5;
/// The library's median may be so much above the bare client's, in milliseconds.
const ALLOWED: f64 = 1.0;
/// How long the last events of a run may take.
const LATE: Duration = Duration::from_secs(10);
const NUMBER: &str = "number";
const NO_TABLES: &[Migration] = &[];

/// When each event was sent and how long it took.
struct Watch {
    began: Instant,
    sent: Vec<AtomicU64>,
    took: Mutex<Vec<f64>>,
    seen: AtomicUsize,
}

impl Watch {
    fn of(events: usize) -> Arc<Watch> {
        let sent = (0..events).map(|_| AtomicU64::new(0)).collect();
        let (took, seen) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Watch { began: Instant::now(), sent, took, seen })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is short")
    }

    fn sends(&self, number: usize) {
        self.sent[number].store(self.now(), Ordering::Release);
    }

    #[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^53 nanoseconds")]
    fn sees(&self, number: usize) {
        let took = self.now() - self.sent[number].load(Ordering::Acquire);
        if number >= (RATE * WARM_UP) as usize {
            self.took.lock().expect("nobody panics while noting").push(took as f64 / 1e6);
        }
        self.seen.fetch_add(1, Ordering::Release);
    }

    fn has_seen_all(&self) -> bool {
        self.seen.load(Ordering::Acquire) >= self.sent.len()
    }

    /// Calls `send` with each number in its time, and waits for the last event.
    fn pace(&self, mut send: impl FnMut(usize)) {
        let start = Instant::now();
        for number in 0..self.sent.len() {
            let number_u32 = u32::try_from(number).expect("a run is short");
            let due = start + Duration::from_secs(1) / RATE * number_u32;
            wait_until(due);
            self.sends(number);
            send(number);
        }
        let deadline = Instant::now() + LATE;
        while !self.has_seen_all() && Instant::now() < deadline {
            wait_until(Instant::now() + Duration::from_millis(10));
        }
        assert!(self.has_seen_all(), "every event arrives");
    }

    fn latencies(&self) -> Latencies {
        let mut took = std::mem::take(&mut *self.took.lock().expect("nobody panics while noting"));
        took.sort_by(f64::total_cmp);
        Latencies(took)
    }
}

/// Returns at the time, and not before: a parked thread may be woken early.
fn wait_until(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}

/// Milliseconds, ascending.
struct Latencies(Vec<f64>);

impl Latencies {
    fn at_percent(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

struct Sees(Arc<Watch>);

impl Sees {
    fn see(&self, event: &Event<OrderPlaced>) {
        let number = event.payload.order_id.strip_prefix("o-").map(str::parse);
        self.0.sees(number.expect("an order has a number").expect("an order has a number"));
    }
}

impl StatelessHandler<OrderPlaced> for Sees {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.see(&event);
        Ok(())
    }
}

impl Handler<OrderPlaced> for Sees {
    async fn handle(&self, event: Event<OrderPlaced>, _: &mut Context<'_>) -> Handled {
        self.see(&event);
        Ok(())
    }
}

/// Runs that take turns: the bare client, a handler without a database, one with.
pub async fn run(setting: &Setting, rounds: usize, seconds: u32) -> Vec<Mark> {
    let events = (RATE * (WARM_UP + seconds)) as usize;
    let mut medians: [Vec<f64>; 3] = Default::default();
    for round in 0..rounds {
        for turn in 0..3 {
            let side = (round + turn) % 3;
            let latencies = match side {
                0 => bare_client(setting, events).await,
                1 => stateless(setting, events).await,
                _ => in_database(setting, events).await,
            };
            let name = ["bare client", "handler without a database", "handler with one"][side];
            let [p50, p99] = [50, 99].map(|percent| latencies.at_percent(percent));
            println!("W6 {name}: p50 {p50:.2} ms, p99 {p99:.2} ms");
            medians[side].push(p50);
        }
    }
    let [bare, stateless, database] =
        medians.map(|medians| Quartiles::of(medians.into_iter()).median());
    vec![
        Mark::at_most(
            "W6 p50 without a database, ms above the bare client's",
            stateless - bare,
            ALLOWED,
        ),
        Mark::at_most(
            "W6 p50 with a database, ms above the bare client's",
            database - bare,
            ALLOWED,
        ),
    ]
}

/// Nothing waits for company.
fn eager(setting: &Setting) -> KafkaConfig {
    let properties = [("linger.ms".to_owned(), "0".to_owned())];
    KafkaConfig::new(&setting.bootstrap, properties).expect("it is librdkafka's own property")
}

async fn stateless(setting: &Setting, events: usize) -> Latencies {
    let kafka = eager(setting);
    let catalogue = setting.catalogue().await;
    let watch = Watch::of(events);
    let service = StatelessService::new("payment", Arc::clone(&catalogue), kafka.clone());
    let service =
        service.expect("it is in the contract").on::<OrderPlaced>(Sees(Arc::clone(&watch)));
    publish(catalogue, &kafka, watch, Running::start_stateless(service)).await
}

async fn in_database(setting: &Setting, events: usize) -> Latencies {
    let kafka = eager(setting);
    let catalogue = setting.catalogue().await;
    let watch = Watch::of(events);
    let (contract, database) = (Arc::clone(&catalogue), setting.new_database().await);
    let service = Service::open("payment", contract, kafka.clone(), &database, NO_TABLES).await;
    let service = service.expect("the database opens").on::<OrderPlaced>(Sees(Arc::clone(&watch)));
    publish(catalogue, &kafka, watch, Running::start(service)).await
}

async fn publish(
    catalogue: Arc<Catalogue>,
    kafka: &KafkaConfig,
    watch: Arc<Watch>,
    running: Running,
) -> Latencies {
    let publisher = Publisher::connect(catalogue, kafka).expect("a publisher can be made");
    let tenant: TenantId = "louvolite".parse().expect("a valid tenant");
    let (runtime, paced) = (tokio::runtime::Handle::current(), Arc::clone(&watch));
    let publishing = tokio::task::spawn_blocking(move || {
        paced.pace(|number| {
            let mut order = order(number, 1, false);
            order.order_id = format!("o-{number}");
            let begun = runtime.block_on(publisher.begin(&tenant, &order));
            drop(begun.expect("the client takes it"));
        });
    });
    publishing.await.expect("publishing does not panic");
    running.stop().await;
    watch.latencies()
}

async fn bare_client(setting: &Setting, events: usize) -> Latencies {
    let catalogue = setting.catalogue().await;
    let topic = catalogue.event("OrderPlaced").expect("it has the event").topic.to_string();
    let watch = Watch::of(events);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .set("group.id", &topic)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer can be made");
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "0")
        .create()
        .expect("a producer can be made");
    let (seen, read) = (Arc::clone(&watch), topic.clone());
    let reading = tokio::task::spawn_blocking(move || {
        consumer.subscribe(&[&read]).expect("the topic can be subscribed to");
        while !seen.has_seen_all() {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let header = message.headers().map(|headers| headers.get(0));
            let number = header.and_then(|header| header.value).expect("it has a number");
            seen.sees(usize::from_be_bytes(number.try_into().expect("it has a number")));
        }
    });
    let paced = Arc::clone(&watch);
    let sending = tokio::task::spawn_blocking(move || {
        paced.pace(|number| {
            let event = bare(number, 1_000, 0);
            let value = number.to_be_bytes();
            let headers = OwnedHeaders::new().insert(Header { key: NUMBER, value: Some(&value) });
            let record =
                BaseRecord::to(&topic).key(&event.key).payload(&event.value).headers(headers);
            producer.send(record).map_err(|(error, _)| error).expect("the client has room");
        });
    });
    sending.await.expect("sending does not panic");
    reading.await.expect("reading does not panic");
    watch.latencies()
}
