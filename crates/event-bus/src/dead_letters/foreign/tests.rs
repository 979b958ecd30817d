use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::catalogue::Catalogue;
use crate::dead_letters::letter::tests::dead;
use crate::kafka::admin::{Cluster, TopicState};
use crate::limits::MAX_ERROR_TEXT_BYTES;

/// A dead letter that a framework wrote, and what is to be read of it.
struct Fixture {
    name: String,
    family: String,
    says: Value,
    record: Record,
    remaining: Vec<Header>,
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/foreign");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let fixtures = paths.into_iter().map(|path| {
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let record = Record {
            topic: "somebody.elses-dlt".parse().unwrap(),
            partition: 1,
            offset: 17,
            timestamp_ms: value["timestamp_ms"].as_i64().unwrap(),
            key: bytes(&value["key"]),
            value: bytes(&value["value"]),
            headers: headers(&value["headers"]),
        };
        Fixture {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            family: value["family"].as_str().unwrap().to_owned(),
            says: value["says"].clone(),
            record,
            remaining: headers(&value["remaining"]),
        }
    });
    fixtures.collect()
}

fn headers(value: &Value) -> Vec<Header> {
    let header = |pair: &Value| Header {
        name: pair[0].as_str().unwrap().to_owned().into(),
        value: bytes(&pair[1]),
    };
    value.as_array().unwrap().iter().map(header).collect()
}

/// Text as text, other bytes in hexadecimal.
fn bytes(value: &Value) -> Option<Bytes> {
    if let Some(hex) = value.get("hex").and_then(Value::as_str) {
        let pairs = (0..hex.len()).step_by(2);
        return Some(pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect());
    }
    value.as_str().map(|text| Bytes::from(text.to_owned()))
}

fn read(record: &Record) -> Foreign {
    Foreign::read(record).expect("it is none of the bus's")
}

#[test]
fn what_each_framework_wrote_is_read_and_its_headers_are_taken_away() {
    let mut families = BTreeSet::new();
    for Fixture { name, family, says, record, remaining } in fixtures() {
        let letter = read(&record);
        assert_eq!(letter.family.as_str(), family, "{name}");
        assert_eq!(serde_json::to_value(&letter.says).unwrap(), says, "{name}");
        assert_eq!(original_headers(&record), remaining, "{name}");
        families.insert(family);
    }
    assert_eq!(families, Family::NAMES.map(str::to_owned).into(), "each has a fixture");
}

#[test]
fn this_buss_own_are_not_read_and_what_is_left_of_one_is_nobodys() {
    let mut record = dead(7, "no money", "2026-01-02T00:00:00Z");
    assert_eq!(Foreign::read(&record), None);
    record.headers.retain(|header| header.name != headers::EVENT_ID);
    assert_eq!(read(&record).family, Family::Unknown);
    assert_eq!(original_headers(&record), record.headers);
    record.headers.retain(|header| header.name != headers::DLQ_ID);
    assert_eq!(read(&record).family, Family::KafkaShareGroup);
}

#[test]
fn this_buss_own_are_somebody_elses_once_that_one_failed_at_them() {
    let own = dead(7, "no money", "2026-01-02T00:00:00Z");
    let added = letter(ENVELOPE).1.headers.split_off(2);
    let mut theirs = own.clone();
    theirs.headers.extend(added.clone());
    assert_eq!(read(&theirs).family, Family::SpringKafka);
    assert_eq!(original_headers(&theirs), own.headers);
    let mut ours = own;
    ours.headers.splice(0..0, added);
    assert_eq!(Foreign::read(&ours), None);
}

#[test]
fn a_name_is_written_as_it_is_said() {
    for name in Family::NAMES {
        let found = fixtures().into_iter().find(|fixture| fixture.family == name).unwrap();
        let family = read(&found.record).family;
        assert_eq!(serde_json::to_value(family).unwrap(), json!(name));
    }
}

#[test]
fn of_two_frameworks_the_last_one_wrote_it() {
    let all: BTreeMap<String, Fixture> =
        fixtures().into_iter().map(|fixture| (fixture.family.clone(), fixture)).collect();
    let (spring, karafka) = (&all["spring-kafka"].record, &all["karafka"].record);
    for (inner, outer, family) in
        [(spring, karafka, Family::Karafka), (karafka, spring, Family::SpringKafka)]
    {
        let mut record = inner.clone();
        let added = outer.headers.iter().filter(|header| !original_headers(outer).contains(header));
        record.headers.extend(added.cloned());
        assert_eq!(read(&record).family, family);
        assert_eq!(original_headers(&record), inner.headers);
    }
}

/// A retry topic's dead letter that a listener of the dead letter topic failed at.
#[test]
fn of_two_places_the_first_is_the_original_and_of_two_errors_the_last_is_told() {
    let (_, mut record) = letter(ENVELOPE);
    let retry =
        fixtures().into_iter().find(|fixture| fixture.name == "spring-kafka-retry").unwrap();
    let added = std::mem::replace(&mut record.headers, retry.record.headers);
    record.headers.extend(added);
    record.headers.push(Header::text("kafka_dlt-exception-message", "nobody looks"));
    let says = read(&record).says;
    assert_eq!((says.topic.as_deref(), says.partition), (Some("spring-retry"), Some(1)));
    assert_eq!(says.message.as_deref(), Some("nobody looks"));
}

#[test]
fn an_error_text_is_as_long_as_ours_at_most() {
    for Fixture { name, mut record, .. } in fixtures() {
        let before = read(&record).says.message;
        for header in &mut record.headers {
            let is_message = header.value.as_ref().is_some_and(|value| {
                before.as_ref().is_some_and(|message| value.as_ref() == message.as_bytes())
            });
            if is_message {
                header.value = Some(Bytes::from("é".repeat(MAX_ERROR_TEXT_BYTES)));
            }
        }
        let after = read(&record).says.message;
        assert_eq!(before.is_some(), after.is_some(), "{name}");
        assert!(after.is_none_or(|text| text.len() == MAX_ERROR_TEXT_BYTES), "{name}");
    }
}

proptest! {
    /// Any bytes in any header, also none: nothing panics, and of the headers only theirs are gone.
    #[test]
    fn hostile_bytes_are_read_as_far_as_they_go(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..12)), 64),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..4)),
    ) {
        for Fixture { name, family, mut record, remaining, .. } in fixtures() {
            for (header, value) in record.headers.iter_mut().zip(&values) {
                header.value = value.clone().map(Bytes::from);
            }
            record.key = key.clone().map(Bytes::from);
            prop_assert_eq!(read(&record).family.as_str(), family, "{}", &name);
            let names = |list: Vec<Header>| list.into_iter().map(|header| header.name).collect::<Vec<_>>();
            let (left, kept) = (names(original_headers(&record)), names(remaining));
            // Watermill's own name of a message is the message's unless it is empty.
            prop_assert!(left == kept || name.starts_with("watermill"), "{}: {:?}", name, left);
        }
    }
}

fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let topic = |(name, partitions): &(&str, i32)| {
        let state = TopicState {
            partitions: *partitions,
            replication: 1,
            has_leaders: true,
            configs: BTreeMap::new(),
        };
        (name.parse().unwrap(), state)
    };
    Cluster { brokers: 1, topics: topics.iter().map(topic).collect() }
}

/// A letter of Spring's with an envelope, or what else is given, that came from `shop.order.placed`.
fn letter(value: &str) -> (Foreign, Record) {
    let original = dead(7, "x", "2026-01-02T00:00:00Z");
    let header = |name: &'static str, value: &[u8]| Header {
        name: name.into(),
        value: Some(Bytes::copy_from_slice(value)),
    };
    let record = Record {
        topic: "spring-dlt".parse().unwrap(),
        headers: vec![
            Header::text("a", "b"),
            Header::text(headers::REPLAY_FOR, "some-group"),
            header("kafka_dlt-original-topic", b"shop.order.placed"),
            header("kafka_dlt-original-partition", &4_i32.to_be_bytes()),
        ],
        value: Some(Bytes::from(value.to_owned())),
        ..original
    };
    (read(&record), record)
}

fn shop() -> Catalogue {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let toml = r#"
        namespace = "shop"
        [services]
        retailer = { title = "Retailer" }
        payment = { title = "Payment" }
        [events.OrderPlaced]
        topic = "order.placed"
        description = "An order was placed."
        producer = "retailer"
        key = ["/tenant_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.payment]
        reads = []
    "#;
    write("shop.toml", toml);
    write(
        "schemas/OrderPlaced/1.0.json",
        r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" }"#,
    );
    Catalogue::load(&folder.path().join("shop.toml")).unwrap()
}

const ENVELOPE: &str = r#"{"event":"OrderPlaced","version":"1.0","occurred_at":"2026-01-01T00:00:00Z",
    "service":"retailer","tenant_id":"acme","payload":{}}"#;

#[test]
fn a_dead_letter_goes_to_its_own_partition_or_by_its_key() {
    let catalogue = shop();
    let there = cluster(&[("shop.order.placed", 5), ("elsewhere", 9)]);
    let planned = |cluster: &Cluster, to: Option<&str>| {
        let to = to.map(|to| to.parse().unwrap());
        let plan = Redrive::plan(&catalogue, cluster, to.as_ref(), [letter(ENVELOPE)]);
        assert_eq!(plan.refused, []);
        plan.records.into_iter().next().unwrap().record
    };
    let record = planned(&there, None);
    assert_eq!((record.topic.as_str(), record.partition), ("shop.order.placed", Some(4)));
    // Nothing of an earlier replay either, which all other groups would pass over.
    assert_eq!(record.headers, [Header::text("a", "b")]);
    assert_eq!(record.value.as_deref(), Some(ENVELOPE.as_bytes()));
    assert_eq!(planned(&there, Some("shop.order.placed")).partition, Some(4));
    assert_eq!(planned(&there, Some("elsewhere")).partition, None);
    assert_eq!(planned(&cluster(&[("shop.order.placed", 4)]), None).partition, None);
}

#[test]
fn what_cannot_go_there_is_left_out_with_the_reason() {
    let catalogue = shop();
    let topics =
        ["shop.order.placed", "shop.order.placed.dlq", "shop.event-bus.audit", "spring-dlt"];
    let there = cluster(&topics.map(|topic| (topic, 1)));
    let refusal = |to: Option<&str>, letter: (Foreign, Record)| {
        let to = to.map(|to| to.parse().unwrap());
        let plan = Redrive::plan(&catalogue, &there, to.as_ref(), [letter]);
        assert_eq!(plan.records.len(), 0);
        plan.refused[0].1.to_string()
    };
    let mut nameless = letter(ENVELOPE).1;
    nameless.headers.clear();
    let nameless = (read(&nameless), nameless);
    let mut empty = letter("").1;
    empty.headers = vec![
        Header::text(headers::DLQ_ERRORS_TOPIC, "shop.order.placed"),
        Header::text(headers::DLQ_ERRORS_GROUP, "g"),
    ];
    (empty.key, empty.value) = (None, None);
    let empty = (read(&empty), empty);
    let other = ENVELOPE.replace("OrderPlaced", "OrderLost");
    for (to, letter, why) in [
        (None, nameless, "--to"),
        (Some("nowhere"), letter(ENVELOPE), "topic nowhere does not exist"),
        (Some("spring-dlt"), letter(ENVELOPE), "the topic that it is on"),
        (Some("shop.order.placed.dlq"), letter(ENVELOPE), "the bus's own topics"),
        (Some("shop.event-bus.audit"), letter(ENVELOPE), "the bus's own topics"),
        (None, letter(&other), "the envelope says OrderLost"),
        (None, letter("{}"), "would be dead on shop.order.placed at once"),
        (None, empty, "errors.deadletterqueue.copy.record.enable"),
    ] {
        let said = refusal(to, letter);
        assert!(said.contains(why), "{why} is not in: {said}");
    }
}

#[test]
fn each_kind_of_condition_can_leave_a_letter_out() {
    let (letter, _) = letter(ENVELOPE);
    let list = |value: &str| vec!["other".to_owned(), value.to_owned()];
    let good = ForeignFilter {
        partition: Some(letter.dead_letter_partition),
        offset: Some(letter.dead_letter_offset),
        families: list("spring-kafka"),
        topics: list("shop.order.placed"),
        text: Some("ACME/o-1".to_owned()),
    };
    assert!(good.matches(&letter) && ForeignFilter::default().matches(&letter));
    for bad in [
        ForeignFilter { partition: Some(77), ..good.clone() },
        ForeignFilter { offset: Some(77), ..good.clone() },
        ForeignFilter { families: vec!["karafka".to_owned()], ..good.clone() },
        ForeignFilter { topics: vec!["shop.order.lost".to_owned()], ..good.clone() },
        ForeignFilter { text: Some("no such text".to_owned()), ..good.clone() },
    ] {
        assert!(!bad.matches(&letter), "{bad:?}");
    }
}

#[test]
fn what_is_shown_of_a_letter_has_no_level_between() {
    let shown = serde_json::to_value(letter(ENVELOPE).0).unwrap();
    let shown: &Map<String, Value> = shown.as_object().unwrap();
    assert_eq!(shown["topic"], json!("shop.order.placed"));
    assert_eq!(shown["dead_letter_topic"], json!("spring-dlt"));
}
