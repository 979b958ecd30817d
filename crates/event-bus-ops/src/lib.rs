//! What operators see of the bus.
//!
//! [`watch`](Watch::run) asks Kafka again and again how far topics and groups are, [`health`] judges by progress, and
//! [`http`] answers those who ask; [`api`] and [`panel`] are what operators ask an ops process for, [`desk`] does it for both
//! where [`access`] allows it, and [`client`] asks the API; [`otlp`] exports the spans of traces;
//! [`deploy`] writes files for Prometheus and Kubernetes. Nothing is decided here that the library decides: this crate calls its verbs.

pub mod access;
pub mod api;
pub mod client;
pub mod condition;
pub mod deploy;
pub mod desk;
pub mod effects;
mod exchange;
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
mod history;
pub mod http;
mod lag;
pub mod otlp;
pub mod panel;
pub mod patch;
mod progress;
pub mod seen;
mod serving;
pub mod snapshot;
mod stream;
mod stretch;
pub mod trace;
mod watch;

pub use health::{Health, Problem};
pub use history::{Moment, STEP};
pub use lag::{Exposition, LagCollector};
pub use progress::STALLED_AFTER;
pub use snapshot::{Snapshot, TopicCount};
pub use watch::Watch;
