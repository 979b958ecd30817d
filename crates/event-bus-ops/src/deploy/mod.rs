//! Files for those who run the bus, written from a catalogue: what Prometheus tells people, and what Strimzi makes.
//!
//! They are generated so that no threshold, topic or group is written down twice. Nothing here is awaited.

pub mod alerts;
pub mod dashboards;
mod every;
pub mod kubernetes;
pub mod rules;
mod selector;
pub mod strimzi;
mod yaml;

pub use every::{BadFactor, Factor};
pub use yaml::Yaml;
