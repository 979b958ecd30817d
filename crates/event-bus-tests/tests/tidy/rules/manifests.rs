//! Which crate may depend on which.

use crate::Violation;
use crate::source::Source;

/// Each crate of the workspace and those of the workspace that it may depend on. Neither the tests
/// nor the automation are anybody's dependency.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("event-bus", &[]),
    ("event-bus-broker", &[]),
    ("event-bus-conformance", &[]),
    // A program of its own workspace.
    ("event-bus-conformance/foreign/rust", &[]),
    ("event-bus-ops", &["event-bus"]),
    ("event-bus-testing", &["event-bus", "event-bus-broker"]),
    ("blindstrader", &["event-bus"]),
    ("event-bus-cli", &["event-bus", "event-bus-ops", "event-bus-broker", "blindstrader"]),
    (
        "event-bus-tests",
        &[
            "event-bus",
            "event-bus-ops",
            "event-bus-broker",
            "event-bus-cli",
            "event-bus-conformance",
            "blindstrader",
        ],
    ),
    ("xtask", &[]),
];

/// The crates that may depend on the Kafka client.
const CLIENT_USERS: [&str; 2] = ["event-bus", "event-bus-tests"];

pub fn dependencies(source: &Source) -> Vec<Violation> {
    let Some(package) = package_of(&source.path) else { return Vec::new() };
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package) else {
        return vec![
            source.violation(0, "a new crate: add it and what it may depend on to ALLOWED"),
        ];
    };
    let mut found = Vec::new();
    for (at, dependency) in named_dependencies(&source.text) {
        let is_ours = ALLOWED.iter().any(|(name, _)| *name == dependency);
        if is_ours && !allowed.contains(&dependency) {
            let cure = format!("{package} must not depend on {dependency}; see ARCHITECTURE.md");
            found.push(source.violation(at, cure));
        }
        if dependency.starts_with("rdkafka") && !CLIENT_USERS.contains(&package) {
            let cure = "only event-bus depends on the Kafka client: call the library's verbs";
            found.push(source.violation(at, cure));
        }
    }
    found
}

/// The crate of a manifest; `None` for the workspace's own and for other files.
fn package_of(path: &str) -> Option<&str> {
    let dir = path.strip_suffix("/Cargo.toml")?;
    match dir.strip_prefix("crates/") {
        Some(name) => Some(name),
        None if dir == "xtask" => Some(dir),
        None => None,
    }
}

/// Dependencies of every kind with their offsets.
fn named_dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    let mut at = 0;
    for line in manifest.split_inclusive('\n') {
        if let Some(header) = line.trim().strip_prefix('[') {
            let header = header.trim_end_matches(']');
            in_dependencies = header.ends_with("dependencies");
            if let Some((section, name)) = header.rsplit_once('.')
                && section.ends_with("dependencies")
            {
                found.push((at, name));
            }
        } else if in_dependencies {
            let name = line.split(['=', '.', ' ', '#']).next().unwrap_or_default().trim();
            if !name.is_empty() {
                found.push((at, name));
            }
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::planted::count;

    #[test]
    fn a_dependency_across_a_border_is_caught() {
        let text = "[dependencies]\nevent-bus.workspace = true\ntoml = \"1\"\n\
                    [dev-dependencies]\nevent-bus-tests = { path = \"../event-bus-tests\" }\n\
                    [dependencies.event-bus-cli]\nworkspace = true\n";
        assert_eq!(count(dependencies, "crates/blindstrader/Cargo.toml", text), 2);
        assert_eq!(count(dependencies, "crates/event-bus/Cargo.toml", text), 3);
    }

    #[test]
    fn the_kafka_client_is_caught_in_other_manifests() {
        let text = "[dependencies]\nrdkafka.workspace = true\n";
        assert_eq!(count(dependencies, "crates/event-bus-cli/Cargo.toml", text), 1);
        assert_eq!(count(dependencies, "crates/event-bus/Cargo.toml", text), 0);
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        assert_eq!(count(dependencies, "crates/event-bus-extra/Cargo.toml", "[package]"), 1);
    }
}
