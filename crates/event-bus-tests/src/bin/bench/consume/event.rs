//! The workloads' event, and topics full of them.

use std::fmt::Write as _;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::envelope::EventType;
use event_bus::names::EventId;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::{Deserialize, Serialize};

use crate::contract::Contract;

const SEED: u64 = 20_250_601;
/// Where the clock of the events begins: 2025-06-01T10:30:00Z.
const BEGIN: i64 = 1_748_773_800;
/// How long Kafka may take to acknowledge a whole topic.
const FLUSH: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub poison: bool,
    pub order_id: String,
    pub currency: String,
    pub total: String,
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    pub sku: String,
    pub qty: u32,
    pub width_mm: u32,
    pub drop_mm: u32,
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
    "poison": { "type": "boolean" },
    "order_id": { "type": "string", "pattern": "^o-[0-9]+$" },
    "currency": { "enum": ["GBP", "EUR"] },
    "total": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$" },
    "lines": {
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "required": ["sku", "qty", "width_mm", "drop_mm"],
        "properties": {
          "sku": { "type": "string", "minLength": 1 },
          "qty": { "type": "integer", "minimum": 1 },
          "width_mm": { "type": "integer", "minimum": 1 },
          "drop_mm": { "type": "integer", "minimum": 1 }
        }
      }
    }
  }
}"#;

/// The contract that the events keep.
pub fn contract() -> Contract {
    Contract { schema: SCHEMA, key: r#"["/payload/order_id"]"# }
}

/// The payload of a number, over so many keys.
pub fn order(number: usize, keys: u32, is_poison: bool) -> OrderPlaced {
    let mut random = SmallRng::seed_from_u64(SEED ^ number as u64);
    let order_id = format!("o-{}", random.random_range(0..keys));
    let lines = (0..2)
        .map(|_| Line {
            sku: format!("BLIND-{:05}", random.random_range(0..100_000)),
            qty: random.random_range(1..5),
            width_mm: random.random_range(400..2400),
            drop_mm: random.random_range(400..2400),
        })
        .collect();
    let total = format!("{}.{:02}", random.random_range(20..920), random.random_range(0..100));
    OrderPlaced { poison: is_poison, order_id, currency: "GBP".to_owned(), total, lines }
}

/// An event as any Kafka client publishes it: an envelope under its key, without headers.
pub struct Bare {
    pub id: EventId,
    pub key: String,
    pub value: String,
}

/// The event of a number. One in `poison_every` is poison; 0: none.
pub fn bare(number: usize, keys: u32, poison_every: usize) -> Bare {
    let is_poison = poison_every > 0 && number % poison_every == poison_every / 2;
    let order = order(number, keys, is_poison);
    let millis = i64::try_from(number).expect("there are fewer events than milliseconds");
    let begin = Timestamp::from_second(BEGIN).expect("a time in 2025");
    let at = begin + SignedDuration::from_millis(millis);
    let id = EventId::at(at);
    let payload = serde_json::to_string(&order).expect("an order is JSON");
    let mut value = String::with_capacity(400);
    write!(
        value,
        r#"{{"event_id":"{id}","event":"OrderPlaced","version":"1.0","occurred_at":"{at:.3}","service":"retailer","tenant_id":"louvolite","payload":{payload}}}"#
    )
    .expect("a string takes all");
    Bare { id, key: order.order_id, value }
}

/// Fills the topic of a catalogue's orders.
pub fn preload(
    bootstrap: &str,
    catalogue: &Catalogue,
    events: usize,
    keys: u32,
    poison_every: usize,
) {
    let topic = catalogue.event(OrderPlaced::NAME).expect("the catalogue has it").topic.clone();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer can be made");
    for number in 0..events {
        let event = bare(number, keys, poison_every);
        let record = BaseRecord::to(topic.as_ref()).key(&event.key).payload(&event.value);
        producer.send(record).map_err(|(error, _)| error).expect("the client has room");
    }
    producer.flush(FLUSH).expect("Kafka takes the events");
}
