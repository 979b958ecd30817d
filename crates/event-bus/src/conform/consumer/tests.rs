use bytes::Bytes;
use jiff::Timestamp;

use super::cases::{Maker, Wanted};
use super::letter::{Told, faults};
use super::*;
use crate::catalogue::corner::corner;
use crate::consumer::doom_of;
use crate::dead_letter::{Cause, Obituary, Reason, dlq_id};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::names::EventId;

fn trial<'a>(catalogue: &'a Catalogue, kafka: &'a KafkaConfig, payload: &str) -> Trial<'a> {
    Trial {
        kafka,
        catalogue,
        subscription: catalogue.subscription("mail", "OrderPlaced").unwrap(),
        payload: Some(payload.to_owned()),
        poison: Some(r#"{"order_id":"poison"}"#.to_owned()),
        within: Duration::ZERO,
        used_topics: false,
    }
}

#[test]
fn what_is_sent_is_what_it_is_said_to_be() {
    let catalogue = corner("mail");
    let kafka = KafkaConfig::plain("localhost:1");
    let trial = trial(&catalogue, &kafka, r#"{"order_id":"o-1"}"#);
    let mut maker = Maker::of(&trial).unwrap();
    let cases = maker.cases(6, 4).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let record = Record {
            topic: case.record.topic,
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: case.record.key,
            value: case.record.value,
            headers: case.record.headers,
        };
        let doom =
            doom_of(&record, trial.subscription.event, Some(&trial.subscription.consumer.group))
                .map(|cause| cause.reason);
        let wanted = match case.wanted {
            // Of these the handler and the inbox decide.
            Wanted::Effect(_) => None,
            Wanted::Dead { reason: Reason::RetriesExhausted | Reason::IdCollision, .. } => None,
            Wanted::Dead { reason, .. } => Some(reason),
        };
        assert_eq!(doom, wanted, "{}", case.name);
    }
}

#[test]
fn a_payload_that_is_none_is_refused_by_what_is_wrong() {
    let catalogue = corner("mail");
    let kafka = KafkaConfig::plain("localhost:1");
    let error = Maker::of(&trial(&catalogue, &kafka, r#"{"order_id":7}"#)).err().unwrap();
    assert!(error.to_string().contains("/order_id"), "{error}");
    let sampleless = Trial { payload: None, ..trial(&catalogue, &kafka, "") };
    assert!(matches!(Maker::of(&sampleless).err(), Some(TrialError::NoSample { .. })));
}

/// A record that died, and its dead letter as we write it.
fn dead() -> (Record, Record) {
    let original = Record {
        topic: "corner.order.placed".parse().unwrap(),
        partition: 8,
        offset: 17,
        timestamp_ms: 0,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"\xff")),
        headers: vec![Header::text("a", "1"), Header { name: "b".into(), value: None }],
    };
    let group = "corner-mail-order-placed".parse().unwrap();
    let at = Timestamp::UNIX_EPOCH;
    let letter = Obituary {
        id: dlq_id(&group, &original),
        record: &original,
        event_id: event_id(),
        group: &group,
        service: &"mail".parse().unwrap(),
        cause: &Cause::new(Reason::Malformed, "NotUtf8", "not UTF-8"),
        attempts: 0,
        first_failed_at: at,
        failed_at: at,
        chain_seq: None,
        previous: None,
    };
    let letter = letter.record(&original.topic.dead_letter());
    let (topic, key, value, headers) = (letter.topic, letter.key, letter.value, letter.headers);
    let letter = Record { topic, partition: 2, offset: 0, timestamp_ms: 0, key, value, headers };
    (original, letter)
}

fn event_id() -> EventId {
    "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap()
}

fn faults_after(change: impl FnOnce(&mut Record)) -> Vec<String> {
    let (original, mut letter) = dead();
    change(&mut letter);
    let told = Told {
        original: &original,
        group: &"corner-mail-order-placed".parse().unwrap(),
        service: &"mail".parse().unwrap(),
        reason: Reason::Malformed,
        attempts: Some(0),
        event_id: event_id(),
        previous: None,
        replays: 0,
    };
    faults(&letter, &told, 6)
}

#[test]
fn a_dead_letter_of_ours_is_faultless_and_each_thing_that_is_wrong_with_one_is_named() {
    assert_eq!(faults_after(|_| {}), Vec::<String>::new());
    let names = |faults: &[String], word: &str| faults.len() == 1 && faults[0].contains(word);
    assert!(names(&faults_after(|letter| letter.key = None), "key"));
    assert!(names(&faults_after(|letter| letter.value = None), "value"));
    assert!(names(&faults_after(|letter| letter.partition = 3), "partition 3, not 2"));
    assert!(names(&faults_after(|letter| drop(letter.headers.remove(0))), "headers"));
    let set = |name: &'static str, value: &'static str| {
        faults_after(move |letter| {
            let header = letter.headers.iter_mut().find(|header| header.name == name).unwrap();
            header.value = Some(Bytes::from(value));
        })
    };
    for name in [
        headers::DLQ_ERRORS_TOPIC,
        headers::DLQ_ERRORS_PARTITION,
        headers::DLQ_ERRORS_OFFSET,
        headers::DLQ_ERRORS_GROUP,
        headers::DLQ_ERRORS_DELIVERY_COUNT,
        headers::DLQ_ID,
        headers::DLQ_REASON,
        headers::DLQ_SERVICE,
        headers::DLQ_REPLAYS,
        headers::EVENT_ID,
    ] {
        assert!(names(&set(name, "x"), name), "{name}");
    }
    assert!(names(&set(headers::DLQ_ERRORS_MESSAGE, ""), "message"));
    assert!(names(&set(headers::DLQ_FAILED_AT, "yesterday"), "attempt"));
    assert!(names(
        &faults_after(|letter| letter.headers.push(Header::text(headers::DLQ_PREVIOUS, "x"))),
        "previous"
    ));
    assert!(names(
        &faults_after(|letter| letter.headers.push(Header::text(headers::REPLAY_OF, "x"))),
        "replay"
    ));
}
