//! A good catalogue, and what loading says when one thing in it is wrong.

mod naming;
mod schemas;
mod settings;

use std::io;

use serde_json::{Value, json};

use crate::catalogue::{Catalogue, DIALECT, Execution, LoadError, Retention, Version};

const GOOD: &str = r#"
namespace = "acme"

[services]
shop = { title = "Shop" }
mail = { title = "Mail" }

[events.OrderPlaced]
topic = "order.placed"
description = "A customer placed an order."
producer = "shop"
key = ["/tenant_id", "/payload/order_id"]
versions = ["1.0"]
personal-data = ["/payload/customer/email"]

[events.OrderPlaced.consumers.mail]
reads = ["/order_id", "/lines/*/sku"]
"#;

fn order_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "type": "object",
        "required": ["order_id"],
        "properties": {
            "order_id": { "type": "string", "minLength": 1 },
            "customer": { "type": "object", "properties": { "email": { "type": "string", "format": "email" } } },
            "lines": { "type": "array", "items": { "type": "object", "properties": { "sku": { "type": "string" } } } },
        },
    })
}

fn load_with(toml: &str, schema: &Value) -> Result<Catalogue, LoadError> {
    let schema = schema.to_string();
    Catalogue::parse("acme.toml", toml, |path| match path {
        "OrderPlaced/1.0.json"
        | "OrderPlaced/1.2.json"
        | "OrderPlaced/2.0.json"
        | "OrderLost/1.0.json" => Ok(schema.clone()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    })
}

/// The problems of the good catalogue after replacing `old` by `new`.
fn problems(old: &str, new: &str) -> Vec<String> {
    assert!(GOOD.contains(old), "{old}");
    problems_of(&GOOD.replacen(old, new, 1))
}

fn problems_of(toml: &str) -> Vec<String> {
    listed(load_with(toml, &order_schema()))
}

fn listed(loaded: Result<Catalogue, LoadError>) -> Vec<String> {
    let error = loaded.expect_err("the catalogue contradicts a rule");
    error.problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn one(old: &str, new: &str, expected: &str) {
    assert_eq!(problems(old, new), [expected]);
}

const TOPIC: &str = r#"topic = "order.placed""#;
const READS: &str = r#"reads = ["/order_id", "/lines/*/sku"]"#;

#[test]
fn a_catalogue_without_contradictions_loads_with_the_built_in_defaults() {
    let catalogue = load_with(GOOD, &order_schema()).unwrap();
    let event = catalogue.event("OrderPlaced").unwrap();
    assert_eq!((event.partitions, event.replication, event.min_insync_replicas), (6, 3, 2));
    assert_eq!((event.retention.millis(), event.dlq_retention), (-1, Retention::Unlimited));
    assert_eq!(event.key.pointers().collect::<Vec<_>>(), ["/tenant_id", "/payload/order_id"]);
    assert_eq!(event.consumers[0].execution, Execution::Batched);
    assert_eq!(event.consumers[0].reads, ["/order_id", "/lines/*/sku"]);
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let problems = problems("[services]", "[services");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("acme.toml:4: is not TOML: "), "{problems:?}");
}

#[test]
fn unknown_keys_are_named_wherever_they_stand() {
    one(
        "namespace = \"acme\"",
        "namespace = \"acme\"\nname = \"x\"",
        "acme.toml:3: name: is not a known key; remove it, or use one of `namespace`, `services`, `defaults`, `events`",
    );
    one(
        "title = \"Shop\"",
        "title = \"Shop\", team = 1",
        "acme.toml:5: services.shop.team: is not a known key; remove it, or use one of `title`",
    );
    one(
        READS,
        "parallel = 3",
        "acme.toml:17: events.OrderPlaced.consumers.mail.parallel: is not a known key; remove it, or use one of `reads`, \
         `major`, `retry`, `execution`, `behind-dead-letter`, `handler-timeout`",
    );
    let problems = problems(TOPIC, "topic = \"order.placed\"\npartition = 3\n");
    assert!(
        problems[0].starts_with("acme.toml:10: events.OrderPlaced.partition: is not a known key"),
        "{problems:?}"
    );
}

#[test]
fn all_problems_are_found_in_one_go() {
    let toml = GOOD
        .replace("namespace = \"acme\"", "namespace = \"Acme\"")
        .replace("producer = \"shop\"", "producer = \"shopp\"\npartitions = 0")
        .replace("versions = [\"1.0\"]", "versions = [\"1.0\", \"one\"]");
    let problems = problems_of(&toml);
    for entry in [
        "2: namespace:",
        "11: events.OrderPlaced.producer:",
        "12: events.OrderPlaced.partitions:",
        "14: events.OrderPlaced.versions[1]:",
        "5: services.shop:",
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(&format!("acme.toml:{entry}"))),
            "{entry} {problems:?}"
        );
    }
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn the_error_lists_each_problem_on_a_line_of_its_own() {
    let error = load_with(&GOOD.replace("placed", "lost").replace("Shop\"", "\""), &order_schema())
        .unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1 + error.problems.len());
    assert!(
        error.problems.iter().all(|problem| !problem.cure.is_empty() && !problem.what.is_empty())
    );
}

#[test]
fn an_event_says_in_a_sentence_what_happened() {
    one(
        "A customer placed an order.",
        " ",
        "acme.toml:10: events.OrderPlaced.description: is empty; write what people should read there",
    );
}

#[test]
fn a_catalogue_without_events_is_refused() {
    let problems = problems_of("namespace = \"acme\"\nservices = {}\nevents = {}\n");
    assert_eq!(
        problems,
        ["acme.toml:3: events: has no event; add one as [events.SomethingHappened]"]
    );
    assert_eq!(problems_of("").len(), 3);
}

#[test]
fn a_catalogue_file_that_is_not_there_is_one_problem() {
    let error = Catalogue::load("no/such/catalogue.toml".as_ref()).unwrap_err();
    assert_eq!(error.problems.len(), 1);
    assert!(error.to_string().contains("no/such/catalogue.toml: can't be read: "), "{error}");
}
