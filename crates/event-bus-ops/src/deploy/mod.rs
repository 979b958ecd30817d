//! Files for those who run the bus or join it, written from a catalogue: what Prometheus tells people, what Strimzi makes, who may
//! do what, and what others may rely on.
//!
//! They are generated so that no threshold, topic or group is written down twice. Nothing here is awaited.

pub mod acls;
pub mod alerts;
pub mod asyncapi;
pub mod dashboards;
mod envelope;
mod every;
pub mod json_schema;
pub mod kubernetes;
pub mod markdown;
pub mod rules;
mod selector;
pub mod strimzi;
mod yaml;

pub use every::{BadFactor, Factor};
pub use yaml::Yaml;
