//! The only place that names the Kafka client (librdkafka through `rdkafka`).
//!
//! Everything above this module speaks in the library's own types, so that the client's rules
//! (one consumer per thread, a revoke that is awaited, an explicit start position) are kept in one place.

pub mod admin;
mod admin_native;
mod config;
mod context;
pub(crate) mod fetch;
mod header_list_native;
mod headers_native;
mod heap_native;
pub(crate) mod lasting_producer;
mod polled_native;
mod produce_native;
mod properties;
pub mod producer;
pub mod reader;
mod record;

pub use config::{ConfigError, KafkaConfig};
pub use heap_native::keep_heap_small;
pub use properties::Properties;
pub use record::Record;

/// What librdkafka wants as a group id where nothing is committed and no group is joined.
pub(crate) const READER_GROUP: &str = "event-bus-reader";
