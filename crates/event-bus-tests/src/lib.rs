//! What the integration tests share: where the servers are, names of their own, and waiting without sleeping.

pub mod chromium;
pub mod collector;
pub mod databases;
pub mod defaults;
pub mod kafka;
pub mod kafka_tools;
pub mod letters;
pub mod metric;
pub mod openid;
pub mod ops;
pub mod own_postgres;
pub mod platform;
pub mod process;
pub mod servers;
pub mod shop;
pub mod simulation;

pub use event_bus_conformance::eventually;
