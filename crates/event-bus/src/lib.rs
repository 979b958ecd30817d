//! An event bus on Apache Kafka: typed publishing, a transactional outbox, handlers whose effects happen once per
//! event, retries on a schedule, and dead letters.
//!
//! The modules stand in the order of an event's path.

pub mod names;
pub mod limits;
pub mod catalogue;
pub mod envelope;
pub mod headers;
pub mod trace_context;
pub mod partition;
pub mod publisher;
pub mod outbox;
pub mod relay;
mod shutdown;
pub mod service;
pub mod handler;
pub mod consumer;
pub mod retry;
pub mod dead_letter;
pub mod lag;
pub mod topics;
pub mod store;
pub mod kafka;

pub use catalogue::Catalogue;
pub use envelope::EventType;
pub use handler::{Context, Event, Failure, Handled, Handler};
pub use kafka::KafkaConfig;
pub use service::Service;
