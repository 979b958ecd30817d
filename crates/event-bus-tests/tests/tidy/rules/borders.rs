//! What may be named where: the borders inside the library.

use crate::Violation;
use crate::source::{Source, words};

/// The library's sources.
const LIBRARY: &str = "crates/event-bus/src/";

/// Where the Kafka client may be named.
const KAFKA: [&str; 2] = ["crates/event-bus/src/kafka/", "crates/event-bus/src/kafka.rs"];

/// The benchmark compares the library with bare calls of the client; the embedded broker, and the lag of what others do, are
/// tested with calls that the library does not make; so are the doctor's faults planted, and what nobody may do is tried.
const BARE_CLIENT: [&str; 5] = [
    "crates/event-bus-tests/src/bin/bench",
    "crates/event-bus-tests/tests/durability/",
    "crates/event-bus-tests/tests/it/doctor/",
    "crates/event-bus-tests/tests/it/lags/",
    "crates/event-bus-tests/tests/it/secured/",
];

/// Modules that take `now` as an argument and never wait: files and directories of these names.
const PURE: [&str; 41] = [
    "access/grants",
    "access/plan",
    "catalogue",
    "conform/consumer/letter",
    "conform/kind",
    "conform/order",
    "conform/recent",
    "conform/record",
    "conform/report",
    "conform/topics",
    "consumer/batch",
    "consumer/command",
    "consumer/commits",
    "consumer/drain",
    "consumer/gauges",
    "consumer/job",
    "consumer/lane",
    "consumer/moment",
    "consumer/outage",
    "consumer/ownership",
    "consumer/partition",
    "consumer/receive",
    "consumer/session",
    "consumer/settings",
    "consumer/stuck",
    "consumer/track",
    "doctor/access",
    "doctor/brokers",
    "doctor/client",
    "doctor/code",
    "doctor/groups",
    "doctor/inbox",
    "doctor/topics",
    "envelope",
    "flaw",
    "headers",
    "lag",
    "limits",
    "names",
    "partition",
    "retry",
];

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

pub fn kafka_client(source: &Source) -> Vec<Violation> {
    let is_allowed =
        [&KAFKA[..], &BARE_CLIENT].iter().any(|paths| starts_with_any(&source.path, paths));
    if !source.is_rust() || is_allowed {
        return Vec::new();
    }
    ["rdkafka", "rdkafka_sys"]
        .iter()
        .flat_map(|name| words(&source.code, name))
        .map(|at| {
            let cure = "only crates/event-bus/src/kafka/ names the Kafka client: give that module a \
                        function for what is needed here";
            source.violation(at, cure)
        })
        .collect()
}

pub fn unsafe_code(source: &Source) -> Vec<Violation> {
    if !source.is_rust() || starts_with_any(&source.path, &KAFKA) {
        return Vec::new();
    }
    words(&source.code, "unsafe")
        .map(|at| source.violation(at, "only crates/event-bus/src/kafka/ may have unsafe code"))
        .collect()
}

pub fn sql(source: &Source) -> Vec<Violation> {
    const SQL: [&str; 7] = [
        "sqlx::query",
        "sqlx::raw_sql",
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
    ];
    let in_store = starts_with_any(
        &source.path,
        &["crates/event-bus/src/store/", "crates/event-bus/src/store.rs"],
    );
    if !source.is_rust() || !source.path.starts_with(LIBRARY) || in_store {
        return Vec::new();
    }
    SQL.iter()
        .flat_map(|token| words(&source.uncommented, token))
        .filter(|at| !source.is_test_at(*at))
        .map(|at| {
            let cure = "SQL is in crates/event-bus/src/store/ only, behind a function named as a \
                        sentence";
            source.violation(at, cure)
        })
        .collect()
}

pub fn pure_modules(source: &Source) -> Vec<Violation> {
    const BANNED: [&str; 6] =
        [".await", "Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"];
    let Some(module) = source.path.strip_prefix(LIBRARY) else { return Vec::new() };
    let is_pure = PURE.iter().any(|pure| {
        module.strip_prefix(pure).is_some_and(|rest| rest.starts_with(['/', '.', '_']))
    });
    if !is_pure {
        return Vec::new();
    }
    BANNED
        .iter()
        .flat_map(|token| words(&source.code, token))
        .filter(|at| !source.is_test_at(*at))
        .map(|at| {
            let cure = "this module is pure: take `now` as an argument, and leave waiting to the \
                        caller";
            source.violation(at, cure)
        })
        .collect()
}

pub fn organisation(source: &Source) -> Vec<Violation> {
    if !source.is_rust() || !source.path.starts_with(LIBRARY) {
        return Vec::new();
    }
    let text = source.uncommented.to_ascii_lowercase();
    text.match_indices("blindstrader")
        .filter(|(at, _)| !source.is_test_at(*at))
        .map(|(at, _)| {
            let cure = "the library serves any organisation: this belongs into a catalogue file or \
                        crates/blindstrader";
            source.violation(at, cure)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::planted::count;

    #[test]
    fn the_kafka_client_is_caught_outside_its_module() {
        let text = "use rdkafka::Offset; // librdkafka\nuse rdkafka_sys as sys;";
        assert_eq!(count(kafka_client, "crates/event-bus/src/relay.rs", text), 2);
        assert_eq!(count(kafka_client, "crates/event-bus/src/kafka/admin.rs", text), 0);
        assert_eq!(count(kafka_client, "crates/event-bus-tests/src/bin/bench/main.rs", text), 0);
    }

    #[test]
    fn unsafe_code_is_caught_outside_its_module() {
        let text = "// unsafe in a comment\nfn f() { unsafe { g() } }";
        assert_eq!(count(unsafe_code, "crates/event-bus/src/relay.rs", text), 1);
        assert_eq!(count(unsafe_code, "crates/event-bus/src/kafka/admin.rs", text), 0);
        assert_eq!(count(unsafe_code, "a.rs", "#[expect(unsafe_code)]"), 0);
    }

    #[test]
    fn sql_is_caught_outside_the_store() {
        let text = "fn f() { sqlx::query(\"SELECT 1\"); }";
        assert_eq!(count(sql, "crates/event-bus/src/inbox.rs", text), 2);
        assert_eq!(count(sql, "crates/event-bus/src/store/sqlite.rs", text), 0);
        assert_eq!(count(sql, "crates/blindstrader/src/brand.rs", text), 0);
    }

    #[test]
    fn a_clock_and_an_await_are_caught_in_pure_modules() {
        let text =
            "fn f() { g().await; Instant::now(); }\n#[cfg(test)] mod t { fn h() { x.await } }";
        for path in ["retry.rs", "catalogue/load.rs", "consumer/track.rs", "consumer/lane_set.rs"] {
            assert_eq!(count(pure_modules, &format!("{LIBRARY}{path}"), text), 2, "{path}");
        }
        assert_eq!(count(pure_modules, &format!("{LIBRARY}relay.rs"), text), 0);
    }

    #[test]
    fn one_organisation_is_caught_in_the_library() {
        let text = "/// As in blindstrader.toml.\nconst A: &str = \"Blindstrader\";";
        assert_eq!(count(organisation, "crates/event-bus/src/names.rs", text), 1);
        assert_eq!(count(organisation, "crates/event-bus-cli/src/lib.rs", text), 0);
    }
}
