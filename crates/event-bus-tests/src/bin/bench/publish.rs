//! Validated envelopes through the publisher, beside a bare librdkafka producer that sends the same bytes.
//!
//! Both wait for all replicas, are idempotent and batch alike. They take turns, and each round gives one ratio.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_bus::envelope::{Draft, EventType, OutgoingRecord};
use event_bus::kafka::admin::Admin;
use event_bus::names::{Namespace, TenantId};
use event_bus::publisher::{Publisher, UnderWay};
use event_bus::{Catalogue, KafkaConfig, topics};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// Events under way in each task before the oldest is waited for.
const UNDER_WAY: usize = 10_000;
/// Different events, sent in turn.
const POOL: usize = 10_000;
/// The publisher must reach this share of the bare client's rate.
const WANTED: f64 = 0.85;

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// Events in each round of each side
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// Tasks that publish at once, and threads of the bare client
    #[arg(long, default_value_t = 2)]
    tasks: usize,
    /// Rounds, after one that is not counted
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// An order of about 250 bytes, whose envelope has about 400.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OrderPlaced {
    order_id: String,
    currency: String,
    total: String,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    unit_price: String,
}

impl EventType for OrderPlaced {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order_id", "currency", "total", "lines"],
  "properties": {
    "order_id": { "type": "string", "pattern": "^o-[0-9]+$" },
    "currency": { "enum": ["GBP", "EUR"] },
    "total": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$" },
    "lines": {
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "required": ["sku", "quantity", "unit_price"],
        "properties": {
          "sku": { "type": "string", "minLength": 1 },
          "quantity": { "type": "integer", "minimum": 1 },
          "unit_price": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$" }
        }
      }
    }
  }
}"#;

const CATALOGUE: &str = r#"
namespace = "bench"
[services]
retailer = { title = "Retailer" }
payment = { title = "Payment" }
[defaults]
partitions = 6
replication = 1
min-insync-replicas = 1
retention = "unlimited"
dlq-retention = "unlimited"
retry = ["500ms", "2s", "8s"]
execution = "batched"
behind-dead-letter = "continue"
handler-timeout = "30s"
[events.OrderPlaced]
topic = "order.placed"
description = "An order was placed."
producer = "retailer"
key = ["/tenant_id", "/payload/order_id"]
versions = ["1.0"]
[events.OrderPlaced.consumers.payment]
reads = ["/order_id"]
"#;

/// Counts what Kafka acknowledged.
#[derive(Default)]
struct Acknowledged(Arc<AtomicUsize>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "the bare client lost an event: {result:?}");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the rounds and prints each side's rate and the ratio; fails when the median ratio is below [`WANTED`].
pub async fn run(args: &Args) -> ExitCode {
    let kafka = KafkaConfig::plain(&args.bootstrap);
    let catalogue = catalogue(&kafka).await;
    let tenant: TenantId = "louvolite".parse().expect("a valid tenant");
    let orders: Arc<Vec<OrderPlaced>> = Arc::new((0..POOL).map(order).collect());
    let records = sealed(&catalogue, &tenant, &orders);
    let bytes = records[0].value.as_ref().map_or(0, bytes::Bytes::len);
    println!(
        "{} events of {bytes} bytes a round from {} tasks, {} headers each",
        args.events,
        args.tasks,
        records[0].headers.len()
    );
    let publisher =
        Publisher::connect(Arc::clone(&catalogue), &kafka).expect("a publisher can be made");
    let acknowledged = Acknowledged::default();
    let count = Arc::clone(&acknowledged.0);
    let bare = bare_producer(&args.bootstrap, acknowledged);
    let mut ratios = Vec::new();
    for round in 0..=args.rounds {
        let ours = through_publisher(&publisher, &tenant, &orders, args).await;
        let theirs = through_bare_client(&bare, &records, args, &count);
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        println!(
            "round {round}{}: publisher {:.0}/s, bare client {:.0}/s, ratio {ratio:.3}",
            if round == 0 { " (warm-up)" } else { "" },
            rate(args.events, ours),
            rate(args.events, theirs),
        );
        if round > 0 {
            ratios.push(ratio);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!(
        "median ratio {median:.3} ({:.3} to {:.3}), wanted at least {WANTED}",
        ratios[0],
        ratios[ratios.len() - 1]
    );
    if median >= WANTED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn catalogue(kafka: &KafkaConfig) -> Arc<Catalogue> {
    let namespace =
        Namespace::new(&format!("bench-{:08x}", rand::random::<u32>())).expect("a valid namespace");
    let catalogue = Catalogue::parse("bench.toml", CATALOGUE, |_| Ok(SCHEMA.to_owned()));
    let catalogue =
        catalogue.expect("the benchmark's catalogue is right").with_namespace(namespace);
    let admin = Admin::connect(kafka).expect("an admin client can be made");
    let cluster = admin.cluster().await.expect("Kafka answers");
    let plan = topics::plan(&catalogue, &cluster, topics::Options::default());
    let report = |applied: topics::Applied| applied.outcome.expect("Kafka takes the step");
    topics::apply(&admin, &plan, report).await.expect("Kafka answers");
    Arc::new(catalogue)
}

fn order(number: usize) -> OrderPlaced {
    let line = |sku: &str, quantity| Line {
        sku: sku.to_owned(),
        quantity,
        unit_price: "32.45".to_owned(),
    };
    OrderPlaced {
        order_id: format!("o-{number}"),
        currency: "GBP".to_owned(),
        total: "129.80".to_owned(),
        lines: vec![line("ROLLER-BLACKOUT-WHITE", 1), line("VENETIAN-ALU-25-SILVER", 3)],
    }
}

fn sealed(catalogue: &Catalogue, tenant: &TenantId, orders: &[OrderPlaced]) -> Vec<OutgoingRecord> {
    let event = catalogue.event(OrderPlaced::NAME).expect("the catalogue has it");
    orders
        .iter()
        .map(|order| {
            let draft = Draft::typed(event, tenant, order, jiff::Timestamp::now())
                .expect("the order fits its event");
            draft.seal().expect("the order is valid")
        })
        .collect()
}

fn bare_producer(bootstrap: &str, acknowledged: Acknowledged) -> ThreadedProducer<Acknowledged> {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", bootstrap),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("partitioner", "murmur2_random"),
        ("message.timeout.ms", "0"),
        ("linger.ms", "5"),
        ("compression.type", "lz4"),
    ] {
        config.set(name, value);
    }
    ThreadedProducer::from_config_and_context(&config, acknowledged)
        .expect("a bare producer can be made")
}

/// Publishes from several tasks at once, as the handlers of a service do.
async fn through_publisher(
    publisher: &Publisher,
    tenant: &TenantId,
    orders: &Arc<Vec<OrderPlaced>>,
    args: &Args,
) -> Duration {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..args.tasks {
        let (publisher, tenant, orders) = (publisher.clone(), tenant.clone(), Arc::clone(orders));
        tasks.spawn(publish(publisher, tenant, orders, args.events / args.tasks));
    }
    tasks.join_all().await;
    started.elapsed()
}

async fn publish(
    publisher: Publisher,
    tenant: TenantId,
    orders: Arc<Vec<OrderPlaced>>,
    events: usize,
) {
    let mut under_way: VecDeque<UnderWay> = VecDeque::with_capacity(UNDER_WAY);
    for order in orders.iter().cycle().take(events) {
        if under_way.len() == UNDER_WAY {
            // Waiting for one at a time would wake this task for each.
            for oldest in under_way.drain(..UNDER_WAY / 2) {
                oldest.receipt().await.expect("Kafka acknowledges");
            }
        }
        under_way.push_back(publisher.begin(&tenant, order).await.expect("the event is valid"));
    }
    for event in under_way {
        event.receipt().await.expect("Kafka acknowledges");
    }
}

/// Sends the same bytes from as many threads.
fn through_bare_client(
    producer: &ThreadedProducer<Acknowledged>,
    records: &[OutgoingRecord],
    args: &Args,
    acknowledged: &AtomicUsize,
) -> Duration {
    acknowledged.store(0, Ordering::Relaxed);
    let events = args.events / args.tasks;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.tasks {
            scope.spawn(|| {
                records.iter().cycle().take(events).for_each(|record| send(producer, record));
            });
        }
    });
    producer.flush(Duration::from_secs(120)).expect("Kafka acknowledges");
    while acknowledged.load(Ordering::Relaxed) < events * args.tasks {
        std::thread::yield_now();
    }
    started.elapsed()
}

fn send(producer: &ThreadedProducer<Acknowledged>, record: &OutgoingRecord) {
    while let Err((error, _)) = producer.send(bare_record(record)) {
        assert!(
            matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
            "the bare client refused an event: {error}"
        );
        std::thread::yield_now();
    }
}

fn bare_record(record: &OutgoingRecord) -> BaseRecord<'_, [u8], [u8], ()> {
    let mut bare = BaseRecord::to(record.topic.as_ref());
    bare.key = record.key.as_deref();
    bare.payload = record.value.as_deref();
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new_with_capacity(record.headers.len()), |list, header| {
            list.insert(Header { key: &header.name, value: header.value.as_deref() })
        });
    bare.headers = Some(headers);
    bare
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
fn rate(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}
