//! One suite for Apache Kafka and for the embedded broker, with equal results on both.
//!
//! `cargo xtask test` starts each and says in `EVENT_BUS_TEST_BOOTSTRAP` where it is. A difference that is meant is in
//! docs/BROKER-DIFFERENCES.md, and the test that meets it asks for the kind of broker by name.

mod versions;
mod cluster;
mod topics;
mod configs;
mod produce;
mod idempotence;
mod fetch;
mod sessions;
mod times;
mod deletion;
mod committed;
mod membership;
mod rebalances;
mod static_members;
mod storm;
mod groups;
mod transactions;
mod transaction_epochs;
mod transaction_offsets;
mod restart;
