use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::catalogue::Catalogue;
use crate::catalogue::corner::corner_with;
use crate::envelope::seal_bytes;
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::partition::partition_for;

const MAIL_SENT: &str = r#"
    [events.MailSent]
    topic = "mail.sent"
    description = "A mail was sent."
    producer = "mail"
    key = ["/tenant_id", "/payload/order_id"]
    versions = ["1.0"]
"#;
const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["order_id", "revision"],
    "properties": { "order_id": { "type": "string" }, "revision": { "type": "integer" } }
}"#;
const PARTITIONS: i32 = 6;

fn catalogue() -> Arc<Catalogue> {
    Arc::new(corner_with("mail", MAIL_SENT, SCHEMA))
}

/// An id that was made so many milliseconds after some moment.
fn made_at(ms: u64) -> String {
    let ms = 1_750_000_000_000 + ms;
    format!("{:08x}-{:04x}-7b1a-9d55-0c7a3f1f2a10", ms >> 16, ms & 0xffff)
}

fn order(id: &str) -> Value {
    json!({
        "event_id": id, "event": "OrderPlaced", "version": "1.0",
        "occurred_at": "2025-06-15T12:00:00Z", "service": "shop", "tenant_id": "north",
        "payload": { "order_id": "o-1", "revision": 1 },
    })
}

/// The record of an envelope, as its publisher should have made it, at an offset.
fn record(envelope: &Value, offset: i64) -> Record {
    let sealed = seal_bytes(&catalogue(), envelope.to_string().as_bytes(), jiff::Timestamp::now());
    let sealed = sealed.unwrap();
    let key = sealed.key.unwrap();
    Record {
        topic: sealed.topic,
        partition: partition_for(&key, PARTITIONS),
        offset,
        timestamp_ms: 0,
        key: Some(key),
        value: sealed.value,
        headers: sealed.headers,
    }
}

fn with_value(mut record: Record, value: &Value) -> Record {
    record.value = Some(Bytes::from(value.to_string()));
    record
}

fn found_by(rules: Rules, records: &[Record]) -> Report {
    let topics = ["corner.order.placed", "corner.mail.sent"];
    let partitions: BTreeMap<_, _> =
        topics.iter().map(|topic| (topic.parse().unwrap(), PARTITIONS)).collect();
    let mut inspector = Inspector::new(catalogue(), partitions, rules);
    for record in records {
        inspector.look(record);
    }
    inspector.into_report()
}

fn kinds(records: &[Record]) -> Vec<Kind> {
    found_by(Rules::default(), records).found().map(|counted| counted.kind).collect()
}

/// A good record in which one thing is changed.
fn planted(change: impl FnOnce(&mut Record)) -> [Record; 1] {
    let mut record = record(&order(&made_at(0)), 0);
    change(&mut record);
    [record]
}

/// A good record whose envelope says something else under a name.
fn saying(name: &str, said: Value) -> [Record; 1] {
    let good = record(&order(&made_at(0)), 0);
    let mut envelope = order(&made_at(0));
    envelope[name] = said;
    [with_value(good, &envelope)]
}

fn set(record: &mut Record, name: &'static str, value: &str) {
    let header = record.headers.iter_mut().find(|header| header.name == name).unwrap();
    header.value = Some(Bytes::from(value.to_owned()));
}

#[test]
fn what_our_own_publisher_makes_is_faultless_however_often_it_is_sent() {
    let records = [0, 1, 2].map(|ms| record(&order(&made_at(ms)), i64::try_from(ms).unwrap()));
    let mut sent: Vec<Record> = records.to_vec();
    sent.extend(records);
    let report = found_by(Rules::default(), &sent);
    assert_eq!((report.found().count(), report.records, report.repeats), (0, 6, 3));
}

#[test]
fn each_fault_of_a_record_is_named() {
    assert_eq!(kinds(&planted(|record| record.key = Some(Bytes::from("o-1"))))[0], Kind::WrongKey);
    assert_eq!(kinds(&planted(|record| record.key = None)), [Kind::KeyMissing]);
    assert_eq!(
        kinds(&planted(|record| record.partition = (record.partition + 1) % PARTITIONS)),
        [Kind::WrongPartition]
    );
    assert_eq!(kinds(&planted(|record| record.value = None)), [Kind::NullValue]);
    assert_eq!(
        kinds(&planted(|record| record.value = Some(Bytes::from("hello")))),
        [Kind::Malformed]
    );
    assert_eq!(
        kinds(&planted(|record| record.value = Some(Bytes::from("[".repeat(70))))),
        [Kind::OverLimit]
    );
    assert_eq!(
        kinds(&planted(|record| set(record, headers::CE_TENANTID, "south"))),
        [Kind::HeaderMismatch]
    );
    assert_eq!(
        kinds(&planted(|record| set(record, headers::CE_TIME, "2025-06-15T13:00:00+01:00"))),
        []
    );
    assert_eq!(
        kinds(&planted(|record| set(record, headers::TRACEPARENT, "00-1"))),
        [Kind::TraceMissing]
    );
    let doubled =
        |record: &mut Record| record.headers.push(Header::text(headers::CE_TYPE, "OrderPlaced"));
    assert_eq!(kinds(&planted(doubled)), [Kind::HeaderDoubled]);
    let reserved =
        |record: &mut Record| record.headers.push(Header::text(headers::DLQ_REASON, "rejected"));
    assert_eq!(kinds(&planted(reserved)), [Kind::HeaderReserved]);
    assert_eq!(
        kinds(&planted(|record| record.headers.clear())),
        [Kind::HeaderMissing, Kind::TraceMissing]
    );
}

#[test]
fn each_fault_of_an_envelope_is_named() {
    let mut without_id = order("");
    without_id.as_object_mut().unwrap().remove("event_id");
    let [good] = planted(|_| {});
    assert_eq!(kinds(&[with_value(good, &without_id)]), [Kind::IdMissing]);
    let four = "0197f3b4-7c1e-4b1a-9d55-0c7a3f1f2a10";
    assert_eq!(kinds(&[record(&order(four), 0)]), [Kind::IdVersion]);
    assert_eq!(kinds(&saying("tenant_id", json!("")))[0], Kind::TenantMissing);
    assert_eq!(kinds(&saying("tenant_id", json!(7)))[0], Kind::Malformed);
    assert!(kinds(&saying("event", json!("OrderEaten"))).contains(&Kind::UnknownEvent));
    assert!(kinds(&saying("event", json!("MailSent"))).contains(&Kind::WrongTopic));
    assert_eq!(kinds(&saying("version", json!("1.1"))), [Kind::UnknownVersion]);
    let payload = json!({ "order_id": "o-1", "revision": "one" });
    assert_eq!(kinds(&saying("payload", payload)), [Kind::SchemaViolation]);
    let foreign = found_by(Rules::default(), &saying("service", json!("mail")));
    let found: Vec<_> = foreign.found().map(|counted| (counted.service, counted.kind)).collect();
    let mail = || "mail".to_owned();
    assert_eq!(found, [(mail(), Kind::WrongService), (mail(), Kind::HeaderMismatch)]);
}

#[test]
fn an_id_on_two_values_is_reused() {
    let mut other = order(&made_at(0));
    other["payload"]["revision"] = json!(2);
    let records = [record(&order(&made_at(0)), 0), record(&other, 1)];
    assert_eq!(kinds(&records), [Kind::IdReused]);
}

#[test]
fn an_earlier_event_behind_a_later_one_is_out_of_order_for_certain_or_perhaps() {
    let two = |first: u64, second: u64| {
        [record(&order(&made_at(first)), 0), record(&order(&made_at(second)), 1)]
    };
    assert_eq!(kinds(&two(5, 5)), []);
    assert_eq!(kinds(&two(500, 5)), [Kind::OrderDoubtful]);
    assert_eq!(kinds(&two(3_600_000, 5)), [Kind::OrderBroken]);
    // Events of other keys don't matter.
    let mut other = order(&made_at(5));
    other["payload"]["order_id"] = json!("o-2");
    assert_eq!(kinds(&[record(&order(&made_at(3_600_000)), 0), record(&other, 1)]), []);
    let mut earlier = order(&made_at(9));
    earlier["occurred_at"] = json!("2025-06-15T11:00:00Z");
    assert_eq!(
        kinds(&[record(&order(&made_at(5)), 0), record(&earlier, 1)]),
        [Kind::OrderDoubtful]
    );
}

#[test]
fn a_number_that_is_said_to_go_up_must_not_go_down() {
    let numbered = |ms: u64, revision: u32| {
        let mut envelope = order(&made_at(ms));
        envelope["payload"]["revision"] = json!(revision);
        record(&envelope, i64::try_from(ms).unwrap())
    };
    let records = [numbered(0, 1), numbered(1, 3), numbered(2, 2), numbered(3, 3)];
    assert_eq!(kinds(&records), []);
    let sequences = vec!["OrderPlaced=/revision".parse().unwrap()];
    let report = found_by(Rules { sequences, ..Rules::default() }, &records);
    let [found] = report.found().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((found.kind, found.count, found.example.offset), (Kind::OrderBroken, 1, 2));
}

#[test]
fn replays_are_counted_and_passed_over_and_other_services_may_be_left_out() {
    let replayed = planted(|record| {
        record.value = Some(Bytes::from("edited"));
        for (name, value) in [
            (headers::REPLAY_ID, made_at(7)),
            (headers::REPLAY_OF, made_at(8)),
            (headers::REPLAY_FOR, "corner-mail-order-placed".to_owned()),
            (headers::EVENT_ID, made_at(0)),
        ] {
            record.headers.push(Header::text(name, value));
        }
    });
    let report = found_by(Rules::default(), &replayed);
    assert_eq!((report.found().count(), report.replays), (0, 1));

    let service = Some("mail".parse().unwrap());
    let wrong = planted(|record| record.headers.clear());
    let report = found_by(Rules { service, ..Rules::default() }, &wrong);
    assert_eq!((report.found().count(), report.records), (0, 1));
}

#[test]
fn kinds_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}
