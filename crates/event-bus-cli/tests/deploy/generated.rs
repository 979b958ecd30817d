//! What is generated is as it would be generated now.

use event_bus_ops::deploy::rules::{self, Options};
use event_bus_ops::deploy::{Factor, asyncapi, kubernetes, markdown, strimzi};

use crate::{other_catalogue, read};

const RUNBOOKS: &str = "https://github.com/blindstrader/event-bus/blob/main/docs/runbooks";

pub fn options() -> Options {
    Options { durations_times: Factor::default(), runbooks: RUNBOOKS.to_owned() }
}

#[track_caller]
fn is_current(file: &str, generated: &str, command: &str) {
    let committed = read(file);
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "{file} is not what its catalogue gives (line {}): `{command} > {file}`",
        differs.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1,
    );
}

#[test]
fn the_rules_are_the_catalogues() {
    let generated = rules::file(&blindstrader::catalogue(), &options());
    is_current(
        "deploy/prometheus/rules.yml",
        &generated,
        "event-bus catalogue export prometheus-rules",
    );
}

#[test]
fn the_rules_with_thresholds_per_topic_are_their_catalogues() {
    let folder = "crates/event-bus-cli/tests/deploy/other";
    let generated = rules::file(&other_catalogue(), &options());
    let command =
        format!("event-bus --catalogue {folder}/catalogue.toml catalogue export prometheus-rules");
    is_current(&format!("{folder}/rules.yml"), &generated, &command);
}

#[test]
fn strimzis_topics_and_users_are_the_catalogues() {
    let generated = strimzi::file(&blindstrader::catalogue(), "event-bus");
    is_current(
        "deploy/kubernetes/topics-and-users.yaml",
        &generated,
        "event-bus catalogue export strimzi",
    );
}

#[test]
fn the_asyncapi_document_is_the_catalogues() {
    let options = asyncapi::Options { version: "1.0.0".to_owned(), ..asyncapi::Options::default() };
    let document = asyncapi::document(&blindstrader::catalogue(), &options).unwrap();
    let generated = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    is_current("deploy/asyncapi.json", &generated, "event-bus catalogue export asyncapi");
}

#[test]
fn the_pages_of_events_are_the_catalogues() {
    let generated = markdown::file(&blindstrader::catalogue());
    is_current("docs/EVENTS.md", &generated, "event-bus catalogue export markdown");
}

#[test]
fn a_services_document_has_its_operations_and_the_channels_of_them() {
    let names = |service: &str, of: &str| -> Vec<String> {
        let service = Some(service.parse().unwrap());
        let options =
            asyncapi::Options { service, version: "2.1.0".to_owned(), ..Default::default() };
        let document = asyncapi::document(&blindstrader::catalogue(), &options).unwrap();
        assert_eq!(document["info"]["version"], "2.1.0");
        document[of].as_object().unwrap().keys().cloned().collect()
    };
    let platform = names("platform", "operations");
    assert!(platform.contains(&"platform.consumes.PaymentCaptured".to_owned()), "{platform:?}");
    assert!(platform.iter().all(|operation| operation.starts_with("platform.")), "{platform:?}");
    let channels = names("identity", "channels");
    assert_eq!(
        channels,
        [
            "identity.organisation-created",
            "identity.organisation-created.dlq",
            "identity.organisation-terminated",
            "identity.organisation-terminated.dlq",
        ]
    );
}

#[test]
fn the_workloads_are_the_catalogues() {
    let options = kubernetes::Options {
        image: concat!("ghcr.io/blindstrader/event-bus:", env!("CARGO_PKG_VERSION")).to_owned(),
        cluster: "event-bus".to_owned(),
        postgres: "postgres".to_owned(),
    };
    let generated = kubernetes::file(&blindstrader::catalogue(), &options);
    is_current(
        "deploy/kubernetes/services.yaml",
        &generated,
        "event-bus catalogue export kubernetes",
    );
}

#[test]
fn all_durations_are_scaled_and_what_topics_keep_is_not() {
    let scaled = Options { durations_times: "0.01".parse().unwrap(), ..options() };
    let rules = rules::file(&other_catalogue(), &scaled);
    // 30 seconds, 10 minutes, an hour, 5 minutes; half of 30 days.
    for text in ["for: \"300ms\"", "[6s]", "offset 6s", ", 36)", "> 3\n", "> 1296000\""] {
        assert!(rules.contains(text), "{text} is not in\n{rules}");
    }
    for text in ["10m", "30s", "for: \"5m\""] {
        assert!(!rules.contains(text), "{text} is in\n{rules}");
    }
}
