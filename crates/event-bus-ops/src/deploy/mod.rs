//! Files for those who run the bus, written from a catalogue: what Prometheus tells people, what Strimzi makes,
//! and who may do what.
//!
//! They are generated so that no threshold, topic or group is written down twice. Nothing here is awaited.

pub mod acls;
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
