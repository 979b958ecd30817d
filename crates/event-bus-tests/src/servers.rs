//! Where the servers are that `cargo xtask test` started.

use std::collections::BTreeMap;
use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use event_bus::KafkaConfig;
use event_bus::names::Namespace;

/// Ports below those that outgoing connections get: a client that tries the port of a dead broker again and again would
/// in the end be given that very port, and be connected with itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests by `cargo xtask test`"))
}

/// Kafka's `host:port`.
pub fn bootstrap() -> String {
    variable("EVENT_BUS_TEST_BOOTSTRAP")
}

/// A client configuration for the test's Kafka. Sessions are short, so that a killed member's partitions move soon.
pub fn kafka() -> KafkaConfig {
    kafka_with(&[])
}

/// As [`kafka`], with these properties added or changed.
///
/// # Panics
/// When they are not librdkafka's.
pub fn kafka_with(properties: &[(&str, &str)]) -> KafkaConfig {
    kafka_at(bootstrap(), properties)
}

/// As [`kafka_with`], for another broker.
///
/// # Panics
/// When the properties are not librdkafka's.
pub fn kafka_at(bootstrap: String, properties: &[(&str, &str)]) -> KafkaConfig {
    let all = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];
    let all = all.iter().chain(properties);
    let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // A later one of a name counts.
    let all: BTreeMap<_, _> = all.collect();
    KafkaConfig::new(bootstrap, all).expect("the properties are librdkafka's own")
}

/// PostgreSQL's maintenance database, `postgres://…`.
pub fn postgres() -> String {
    variable("EVENT_BUS_TEST_POSTGRES")
}

/// The words of the command that starts another PostgreSQL, a line each; the directory of its data follows.
pub fn start_postgres() -> String {
    variable("EVENT_BUS_TEST_START_POSTGRES")
}

/// The `event-bus` program.
pub fn program() -> String {
    variable("EVENT_BUS_TEST_BIN")
}

/// The class path of Kafka's own command-line tools.
pub fn kafka_tools() -> String {
    variable("EVENT_BUS_TEST_KAFKA_TOOLS")
}

/// The script of axe-core.
///
/// # Panics
/// When it can't be read.
pub fn axe() -> String {
    let path = variable("EVENT_BUS_TEST_AXE");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Prometheus program.
pub fn prometheus() -> String {
    variable("EVENT_BUS_TEST_PROMETHEUS")
}

/// The Alertmanager program.
pub fn alertmanager() -> String {
    variable("EVENT_BUS_TEST_ALERTMANAGER")
}

/// Where pictures of pages are wanted, if they are.
pub fn pictures() -> Option<PathBuf> {
    env::var_os("EVENT_BUS_TEST_PICTURES").map(PathBuf::from)
}

/// The kcat program.
pub fn kcat() -> String {
    variable("KCAT")
}

/// Whether the tests run at full length, as `cargo xtask prove` does.
pub fn at_full_length() -> bool {
    env::var_os("EVENT_BUS_TEST_FULL").is_some()
}

/// A namespace that no other test has, so that tests share a Kafka without seeing each other.
pub fn namespace() -> Namespace {
    Namespace::new(&format!("t{:010x}", rand::random::<u64>() >> 24))
        .expect("a letter and hexadecimal digits are a slug")
}

/// A port that nobody listens on.
///
/// # Panics
/// Never: it tries on.
pub fn free_port() -> u16 {
    std::iter::repeat_with(|| rand::random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("the iterator never ends")
}
