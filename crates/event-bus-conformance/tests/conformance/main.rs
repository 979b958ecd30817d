//! One suite for Apache Kafka and for the embedded broker, with equal results on both.
//!
//! `cargo xtask test` starts each and says in `EVENT_BUS_TEST_BOOTSTRAP` where it is. A difference that is meant is in
//! docs/BROKER-DIFFERENCES.md, and the test that meets it asks for the kind of broker by name.

mod versions;
