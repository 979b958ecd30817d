//! Planted changes, each with the verdict that it has to get.

mod planted;

use std::io;

use serde_json::{Value, json};

use self::planted::planted;
use super::{Change, Verdict, diff};
use crate::catalogue::{Catalogue, DIALECT};

/// `mail` reads the customer's address for mails and the articles, `billing` the total.
const TOML: &str = r#"
namespace = "acme"

[services]
shop = { title = "Shop" }
mail = { title = "Mail" }
billing = { title = "Billing" }

[events.OrderPlaced]
topic = "order.placed"
description = "A customer placed an order."
producer = "shop"
key = ["/payload/order_id"]
versions = ["1.0"]
personal-data = ["/payload/customer"]
retention = "30d"

[events.OrderPlaced.consumers.mail]
reads = ["/customer/email", "/lines/*/sku", "/means", "/kind"]

[events.OrderPlaced.consumers.billing]
reads = ["/total"]
"#;

fn order() -> Value {
    json!({
        "$schema": DIALECT,
        "type": "object",
        "required": ["order_id", "customer", "lines", "total", "unread"],
        "properties": {
            "order_id": { "type": "string" },
            "customer": { "$ref": "#/$defs/party" },
            "lines": { "type": "array", "minItems": 1, "maxItems": 9, "items": {
                "type": "object", "required": ["sku"],
                "properties": { "sku": { "type": "string", "maxLength": 40 }, "note": { "type": "string" } },
            } },
            "total": { "type": "integer", "minimum": 0, "maximum": 1000 },
            "kind": { "type": "string", "enum": ["retail", "trade"] },
            "means": { "oneOf": [
                { "type": "object", "required": ["by"], "properties": { "by": { "const": "card" }, "digits": { "type": "string" } } },
                { "type": "object", "required": ["by"], "properties": { "by": { "const": "cash" } } },
            ] },
            "unread": { "type": "string", "format": "date", "pattern": "^2" },
            "extra": { "type": "object", "additionalProperties": false, "properties": { "a": { "type": "string" } } },
            "odd": { "not": { "const": 7 } },
            "tree": { "$ref": "#/$defs/tree" },
        },
        "$defs": {
            "party": {
                "type": "object", "required": ["email"],
                "properties": { "email": { "type": "string", "format": "email" }, "name": { "type": "string" } },
            },
            "tree": { "type": "object", "properties": { "left": { "$ref": "#/$defs/tree" }, "right": { "$ref": "#/$defs/tree" } } },
        },
    })
}

fn catalogue(toml: &str, schemas: &[(&str, &Value)]) -> Catalogue {
    let read = |path: &str| {
        let version = path.trim_start_matches("OrderPlaced/").trim_end_matches(".json");
        let found = schemas.iter().find(|(known, _)| *known == version);
        found.map(|(_, schema)| schema.to_string()).ok_or_else(|| io::Error::other(path.to_owned()))
    };
    Catalogue::parse_to_compare("acme.toml", toml, read).unwrap_or_else(|error| panic!("{error}"))
}

/// What breaks, as `party code pointer`.
fn broken(changes: &[Change]) -> Vec<String> {
    let of = |change: &Change| -> Vec<String> {
        let pointer = change.pointer.clone().unwrap_or_default();
        let judged = change.judged.iter().filter(|judged| judged.verdict == Verdict::Breaking);
        judged
            .map(|judged| {
                format!("{} {} {pointer}", judged.party, change.code).trim_end().to_owned()
            })
            .collect()
    };
    let mut broken: Vec<String> = changes.iter().flat_map(of).collect();
    broken.sort();
    broken.dedup();
    broken
}

/// A schema where the value at a pointer is another; null removes it, and a field also from those that are required.
fn with(pointer: &str, value: Value) -> Value {
    let mut schema = order();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if let (Some(object), Value::Null) = (parent.strip_suffix("/properties"), &value)
        && let Some(Value::Array(required)) = schema.pointer_mut(&format!("{object}/required"))
    {
        required.retain(|required| required != name);
    }
    let parent = schema.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(name).expect(pointer)),
        (Value::Object(fields), value) => drop(fields.insert(name.to_owned(), value)),
        (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    schema
}

fn in_place(new: &Value) -> Vec<Change> {
    diff(&catalogue(TOML, &[("1.0", &order())]), &catalogue(TOML, &[("1.0", new)]))
}

fn in_a_minor(new: &Value) -> Vec<Change> {
    let toml = TOML.replace(r#"["1.0"]"#, r#"["1.0", "1.1"]"#);
    diff(
        &catalogue(TOML, &[("1.0", &order())]),
        &catalogue(&toml, &[("1.0", &order()), ("1.1", new)]),
    )
}

#[test]
fn each_planted_change_of_a_published_schema_is_judged_for_whom_it_hurts() {
    for (pointer, value, expected, _) in planted() {
        assert_eq!(broken(&in_place(&with(pointer, value.clone()))), expected, "{pointer} {value}");
    }
    assert!(planted().len() >= 30);
}

#[test]
fn in_a_new_minor_the_producer_decides_when_and_consumers_meet_both() {
    for (pointer, value, _, expected) in planted() {
        assert_eq!(
            broken(&in_a_minor(&with(pointer, value.clone()))),
            expected,
            "{pointer} {value}"
        );
    }
}

#[test]
fn a_breaking_change_names_the_consumer_the_field_and_the_cure() {
    let changes = in_place(&with("/$defs/party/properties/email", Value::Null));
    let change = changes.iter().find(|change| change.is_breaking()).unwrap();
    let judged = change.judged.iter().find(|judged| judged.verdict == Verdict::Breaking).unwrap();
    assert_eq!(change.id(&judged.party), "OrderPlaced@1.0:mail:field-gone/customer/email");
    assert_eq!(
        judged.advice.as_deref(),
        Some(
            "mail reads it: have mail stop reading /customer/email first, or make this major 2 and publish both until mail has moved"
        )
    );
}

#[test]
fn who_checks_whole_payloads_by_the_schema_of_before_is_named_where_nothing_breaks() {
    let changes = in_place(&with("/properties/unread", Value::Null));
    assert!(broken(&changes).is_empty());
    let advice: Vec<_> = changes
        .iter()
        .flat_map(|change| &change.judged)
        .filter_map(|judged| judged.advice.as_deref())
        .collect();
    assert!(
        advice
            .iter()
            .any(|advice| advice.starts_with("give mail the new catalogue before the producer")),
        "{advice:?}"
    );
}

#[test]
fn a_consumer_that_declares_nothing_may_read_anything() {
    let toml = TOML.replace("reads = [\"/total\"]", "");
    let old = catalogue(&toml, &[("1.0", &order())]);
    let new = catalogue(&toml, &[("1.0", &with("/properties/unread", Value::Null))]);
    assert_eq!(broken(&diff(&old, &new)), ["billing field-gone /unread"]);
}

#[test]
fn it_is_no_way_out_that_a_consumer_stops_reading_in_the_same_change() {
    let toml = TOML.replace("reads = [\"/total\"]", "reads = [\"/order_id\"]");
    let old = catalogue(TOML, &[("1.0", &order())]);
    let new = catalogue(&toml, &[("1.0", &with("/properties/total", Value::Null))]);
    assert_eq!(broken(&diff(&old, &new)), ["billing field-gone /total"]);
    let before = catalogue(&toml, &[("1.0", &order())]);
    assert!(broken(&diff(&before, &new)).is_empty());
}

const BOTH: &str = r#"versions = ["1.0", "2.0"]"#;

/// With both majors, and these handled by mail and billing.
fn both(mail: u32, billing: u32) -> String {
    let toml = TOML.replace(r#"versions = ["1.0"]"#, BOTH);
    let toml = toml.replace(".consumers.mail]", &format!(".consumers.mail]\nmajor = {mail}"));
    toml.replace(".consumers.billing]", &format!(".consumers.billing]\nmajor = {billing}"))
}

#[test]
fn majors_stand_side_by_side_until_the_last_consumer_has_moved() {
    let second = order();
    let of = |toml: &str| catalogue(toml, &[("1.0", &order()), ("2.0", &second)]);
    let steps = [of(TOML), of(&both(1, 1)), of(&both(2, 1)), of(&both(2, 2))];
    for pair in steps.windows(2) {
        let changes = diff(&pair[0], &pair[1]);
        assert!(!changes.is_empty() && broken(&changes).is_empty(), "{changes:?}");
    }
    let only_second = of(&both(2, 2).replace(BOTH, r#"versions = ["2.0"]"#));
    assert!(broken(&diff(&steps[3], &only_second)).is_empty());
    // Not while somebody handles the first, and not before the second is published.
    let alone = of(&TOML.replace(r#"["1.0"]"#, r#"["2.0"]"#));
    assert_eq!(broken(&diff(&of(&both(2, 1)), &alone)), ["billing major-gone"]);
    assert_eq!(
        broken(&diff(&steps[0], &alone)),
        [
            "billing consumer-major",
            "billing major-gone",
            "mail consumer-major",
            "mail major-gone",
            "shop major-gone"
        ]
    );
    assert_eq!(broken(&diff(&steps[0], &of(&both(2, 1)))), ["mail consumer-major"]);
}

#[test]
fn a_minor_may_go_where_its_records_stay_valid() {
    let toml = |versions: &str| TOML.replace(r#"["1.0"]"#, versions);
    let with_note = with("/properties/note", json!({ "type": "string" }));
    let strict = with("/properties/total/maximum", json!(10));
    let of = |versions: &str, second: &Value| {
        catalogue(&toml(versions), &[("1.0", &order()), ("1.1", second)])
    };
    assert!(
        broken(&diff(&of(r#"["1.0", "1.1"]"#, &with_note), &of(r#"["1.1"]"#, &with_note)))
            .is_empty()
    );
    assert_eq!(
        broken(&diff(&of(r#"["1.0", "1.1"]"#, &strict), &of(r#"["1.1"]"#, &strict))),
        ["billing minor-gone", "mail minor-gone"]
    );
    assert_eq!(
        broken(&diff(&of(r#"["1.0", "1.1"]"#, &with_note), &of(r#"["1.0"]"#, &with_note))),
        ["shop minor-gone"]
    );
}

#[test]
fn what_topics_promise_is_judged_too() {
    let old = catalogue(TOML, &[("1.0", &order())]);
    let all =
        |code: &str| ["billing", "mail", "shop"].map(|party| format!("{party} {code}")).to_vec();
    let consumers =
        |code: &str| ["billing", "mail"].map(|party| format!("{party} {code}")).to_vec();
    for (from, to, expected) in [
        ("namespace = \"acme\"", "namespace = \"other\"", vec!["everyone namespace".to_owned()]),
        ("topic = \"order.placed\"", "topic = \"shop.order-placed\"", all("topic")),
        ("producer = \"shop\"", "producer = \"mail\"", vec!["shop producer".to_owned()]),
        ("[\"/payload/order_id\"]", "[\"/tenant_id\", \"/payload/order_id\"]", all("key")),
        ("retention = \"30d\"", "retention = \"29d\"", consumers("retention")),
        ("retention = \"30d\"", "retention = \"unlimited\"", vec![]),
        (
            "retention = \"30d\"",
            "retention = \"30d\"\ndlq-retention = \"40d\"",
            consumers("dlq-retention"),
        ),
        ("retention = \"30d\"", "retention = \"30d\"\npartitions = 12", consumers("partitions")),
        ("retention = \"30d\"", "retention = \"30d\"\npartitions = 3", vec![]),
        (
            "retention = \"30d\"",
            "retention = \"30d\"\nmin-insync-replicas = 1",
            vec!["shop copies".to_owned()],
        ),
        (
            "[\"/payload/customer\"]",
            "[\"/payload/customer/email\"]",
            vec!["everyone personal-data /customer".to_owned()],
        ),
        ("[\"/payload/customer\"]", "[\"/payload/customer\", \"/payload/total\"]", vec![]),
        ("reads = [\"/total\"]", "reads = [\"/total\", \"/kind\"]", vec![]),
        ("A customer placed", "Somebody placed", vec![]),
        (
            "[events.OrderPlaced.consumers.billing]\nreads = [\"/total\"]\n",
            "",
            vec!["billing consumer-gone".to_owned()],
        ),
    ] {
        assert!(TOML.contains(from), "{from}");
        let toml = TOML.replacen(from, to, 1);
        let toml = if toml.contains(".consumers.billing") {
            toml
        } else {
            toml.replace("billing = { title = \"Billing\" }\n", "")
        };
        let toml = if to.starts_with("producer") {
            toml.replace("shop = { title = \"Shop\" }\n", "")
        } else {
            toml
        };
        let changes = diff(&old, &catalogue(&toml, &[("1.0", &order())]));
        assert_eq!(broken(&changes), expected, "{to}");
        assert!(!changes.is_empty(), "{to}");
    }
}

#[test]
fn an_event_that_goes_breaks_all_who_have_to_do_with_it_and_a_new_one_nobody() {
    let other = TOML.replace("OrderPlaced", "OrderLost").replace("order.placed", "order.lost");
    let both = format!(
        "{TOML}{}",
        other.split_once("[events.").map(|(_, events)| format!("[events.{events}")).unwrap()
    );
    let read =
        |toml: &str| Catalogue::parse("acme.toml", toml, |_| Ok(order().to_string())).unwrap();
    assert!(broken(&diff(&read(TOML), &read(&both))).is_empty());
    let gone = diff(&read(&both), &read(TOML));
    assert_eq!(broken(&gone), ["billing event-gone", "mail event-gone", "shop event-gone"]);
    assert!(diff(&read(TOML), &read(TOML)).is_empty());
}
