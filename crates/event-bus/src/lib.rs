//! An event bus on Apache Kafka: typed publishing, a transactional outbox, handlers whose effects happen once per
//! event, retries on a schedule, and dead letters.
//!
//! The modules stand in the order of an event's path.
//!
//! # The contract is data
//!
//! A [`Catalogue`] names the events, who publishes and who consumes them, and the schema of each version. From it
//! follow all names, and every event is checked against it:
//!
//! ```
//! use event_bus::envelope::{Draft, Envelope};
//! use event_bus::{Catalogue, EventType};
//! use serde::{Deserialize, Serialize};
//!
//! let toml = r#"
//!     namespace = "corner"
//!     [services]
//!     shop = { title = "Shop" }
//!     billing = { title = "Billing" }
//!     [defaults]
//!     partitions = 3
//!     replication = 1
//!     min-insync-replicas = 1
//!     retention = "unlimited"
//!     dlq-retention = "unlimited"
//!     retry = ["500ms", "2s", "8s"]
//!     execution = "batched"
//!     behind-dead-letter = "continue"
//!     handler-timeout = "30s"
//!     [events.OrderPlaced]
//!     topic = "order.placed"
//!     description = "A customer placed an order."
//!     producer = "shop"
//!     key = ["/tenant_id", "/payload/order_id"]
//!     versions = ["1.0"]
//!     [events.OrderPlaced.consumers.billing]
//!     reads = ["/total_pence"]
//! "#;
//! let schema = r#"{
//!     "$schema": "https://json-schema.org/draft/2020-12/schema",
//!     "type": "object",
//!     "required": ["order_id", "total_pence"],
//!     "properties": {
//!         "order_id": { "type": "string" },
//!         "total_pence": { "type": "integer", "minimum": 1 }
//!     }
//! }"#;
//! let catalogue = Catalogue::parse("corner.toml", toml, |_file| Ok(schema.to_owned()))?;
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced {
//!     order_id: String,
//!     total_pence: i64,
//! }
//!
//! impl EventType for OrderPlaced {
//!     const NAME: &'static str = "OrderPlaced";
//!     const VERSION: &'static str = "1.0";
//! }
//!
//! let now = jiff::Timestamp::now();
//! let event = catalogue.event(OrderPlaced::NAME).ok_or("the catalogue has it")?;
//! let tenant = "blinds-direct".parse()?;
//! let order = OrderPlaced { order_id: "o/7".into(), total_pence: 1299 };
//! let record = Draft::typed(event, &tenant, &order, now)?.seal()?;
//! assert_eq!(record.topic, "corner.order.placed");
//! assert_eq!(record.key.as_deref(), Some(&b"blinds-direct/o%2F7"[..]));
//! let envelope = Envelope::parse(record.value.as_deref().unwrap_or_default())?;
//! assert_eq!(envelope.payload.to_value()["total_pence"], 1299);
//!
//! let free = OrderPlaced { order_id: "o/8".into(), total_pence: 0 };
//! let refused = Draft::typed(event, &tenant, &free, now)?.seal().unwrap_err();
//! assert!(refused.to_string().contains("/total_pence"), "{refused}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A service
//!
//! A service has a database and handlers. What a handler writes and emits is committed with the event's row in
//! `processed_events`, so it takes effect once however often the event comes:
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct OrderPlaced { order_id: String, total_pence: i64 }
//! # impl event_bus::EventType for OrderPlaced {
//! #     const NAME: &'static str = "OrderPlaced";
//! #     const VERSION: &'static str = "1.0";
//! # }
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use event_bus::store::Migration;
//! use event_bus::{Catalogue, Context, Event, Failure, Handled, Handler, KafkaConfig, Service};
//!
//! struct Billing;
//!
//! impl Handler<OrderPlaced> for Billing {
//!     async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
//!         if event.payload.total_pence > 1_000_000 {
//!             // A dead letter at once: trying again can't help.
//!             return Err(Failure::reject("nobody buys blinds for that much"));
//!         }
//!         // Any `?` error is tried again on the catalogue's schedule.
//!         let bill = [event.payload.order_id.into(), event.payload.total_pence.into()];
//!         context.tx().execute("INSERT INTO bills (order_id, pence) VALUES ($1, $2)", &bill).await?;
//!         Ok(())
//!     }
//! }
//!
//! const TABLES: &[Migration] =
//!     &[Migration::same(1, "bills", "CREATE TABLE bills (order_id text NOT NULL, pence bigint NOT NULL)")];
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let catalogue = Arc::new(Catalogue::load(Path::new("corner.toml"))?);
//! let kafka = KafkaConfig::plain("localhost:9092");
//! let service = Service::open("billing", catalogue, kafka, "sqlite://billing.db", TABLES).await?;
//! service.on::<OrderPlaced>(Billing).run(async { drop(tokio::signal::ctrl_c().await) }).await?;
//! # Ok(())
//! # }
//! ```

pub mod names;
pub mod limits;
pub mod catalogue;
pub mod envelope;
pub mod headers;
pub mod trace_context;
pub mod tracer;
pub mod partition;
pub mod publisher;
pub mod outbox;
pub mod relay;
pub mod service;
pub mod handler;
pub mod middleware;
pub mod consumer;
pub mod inbox;
pub mod retry;
pub mod dead_letter;
pub mod personal;
pub mod replay;
pub mod rerun;
pub mod dead_letters;
pub mod lag;
pub mod reset;
pub mod control;
pub mod audit;
pub mod metrics;
pub mod topics;
pub mod access;
pub mod doctor;
pub mod conform;
pub mod usage;
pub mod store;
pub mod kafka;
mod flaw;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod shutdown;

pub use catalogue::Catalogue;
pub use envelope::EventType;
pub use handler::{
    BatchContext, BatchHandler, Context, Event, Failure, Handled, Handler, StatelessContext,
    StatelessHandler,
};
pub use kafka::KafkaConfig;
pub use middleware::{Call, Middleware, Next};
pub use service::{Service, StatelessService};

#[cfg(test)]
mod vectors {
    mod tests;
}
