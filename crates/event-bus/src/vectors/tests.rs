//! The golden vectors of `compat/vectors`, which services in other languages are held to, hold for this library.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::catalogue::{Catalogue, OrderingKey};
use crate::consumer::receive::Received;
use crate::dead_letter::{Cause, Obituary, Reason, dlq_id};
use crate::envelope::{Payload, seal_bytes};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::names::{CONTRACT_ID_NAMESPACE, EventId, GroupName, ServiceName, TenantId, TopicName};
use crate::partition::{murmur2, partition_for};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = root().join("compat/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn catalogue() -> Catalogue {
    Catalogue::load(&root().join("catalogue/blindstrader.toml")).unwrap()
}

#[derive(Deserialize)]
struct KeyVector {
    pointers: Vec<String>,
    tenant_id: TenantId,
    payload: String,
    key: Option<String>,
}

#[test]
fn keys_are_those_of_the_vectors() {
    for KeyVector { pointers, tenant_id, payload, key } in vectors::<Vec<KeyVector>>("keys.json") {
        let of = OrderingKey::new(pointers.iter().map(String::as_str)).unwrap();
        let mut bytes = Vec::new();
        let made = of.write(&tenant_id, &Payload::parse(payload.clone()).unwrap(), &mut bytes);
        let made = made.ok().map(|()| String::from_utf8(bytes).unwrap());
        assert_eq!(made, key, "{tenant_id} {payload}");
    }
}

#[derive(Deserialize)]
struct PartitionVector {
    key: String,
    murmur2: i32,
    of_6: i32,
    of_12: i32,
}

#[test]
fn partitions_are_those_of_the_vectors() {
    for vector in vectors::<Vec<PartitionVector>>("partitions.json") {
        let key = vector.key.as_bytes();
        assert_eq!(murmur2(key).cast_signed(), vector.murmur2, "{}", vector.key);
        assert_eq!(partition_for(key, 6), vector.of_6, "{}", vector.key);
        assert_eq!(partition_for(key, 12), vector.of_12, "{}", vector.key);
    }
}

#[derive(Deserialize)]
struct IdVectors {
    namespace: uuid::Uuid,
    emitted: Vec<EmittedVector>,
    of_position: Vec<PositionVector>,
    dead_letter: Vec<LetterIdVector>,
}

#[derive(Deserialize)]
struct EmittedVector {
    handled: EventId,
    group: GroupName,
    ordinal: u32,
    id: EventId,
}

#[derive(Deserialize)]
struct PositionVector {
    topic: TopicName,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    value: String,
    id: EventId,
}

#[derive(Deserialize)]
struct LetterIdVector {
    group: GroupName,
    topic: TopicName,
    partition: i32,
    offset: i64,
    id: uuid::Uuid,
}

#[test]
fn derived_ids_are_those_of_the_vectors() {
    let ids: IdVectors = vectors("ids.json");
    assert_eq!(ids.namespace, CONTRACT_ID_NAMESPACE);
    for EmittedVector { handled, group, ordinal, id } in ids.emitted {
        assert_eq!(EventId::emitted(handled, &group, ordinal), id, "{ordinal}");
    }
    for PositionVector { topic, partition, offset, timestamp_ms, value, id } in ids.of_position {
        let made = EventId::of_position(&topic, partition, offset, timestamp_ms, value.as_bytes());
        assert_eq!(made, id, "{offset}");
    }
    for LetterIdVector { group, topic, partition, offset, id } in ids.dead_letter {
        let (timestamp_ms, key, value, headers) = (0, None, None, Vec::new());
        let record = Record { topic, partition, offset, timestamp_ms, key, value, headers };
        assert_eq!(dlq_id(&group, &record), id, "{offset}");
    }
}

#[derive(Deserialize)]
struct FirstPublishVector {
    envelope: String,
    topic: TopicName,
    key: String,
    headers: std::collections::BTreeMap<String, String>,
}

#[test]
fn records_of_a_first_publish_are_those_of_the_vectors() {
    let catalogue = catalogue();
    for vector in vectors::<Vec<FirstPublishVector>>("records.json") {
        let now = Timestamp::UNIX_EPOCH;
        let record = seal_bytes(&catalogue, vector.envelope.as_bytes(), now).unwrap();
        assert_eq!(record.topic, vector.topic);
        assert_eq!(record.key.as_deref(), Some(vector.key.as_bytes()));
        assert_eq!(record.value.as_deref(), Some(vector.envelope.as_bytes()));
        let mut made = record.headers;
        made.retain(|header| header.name != headers::TRACEPARENT);
        let wanted = vector.headers.iter();
        let wanted = wanted.map(|(name, value)| Header::text(name.clone(), value.clone()));
        made.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(made, wanted.collect::<Vec<_>>(), "{}", vector.topic);
    }
}

#[derive(Deserialize)]
struct ReceivedVector {
    what: String,
    topic: TopicName,
    key: Option<String>,
    value: Option<String>,
    value_hex: Option<String>,
    reason: Option<String>,
    event_id: Option<EventId>,
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn records_are_received_as_the_vectors_say() {
    let catalogue = catalogue();
    let group: GroupName = "blindstrader-notification-order-placed".parse().unwrap();
    for vector in vectors::<Vec<ReceivedVector>>("received.json") {
        let value = vector.value.map(String::into_bytes);
        let value = value.or_else(|| vector.value_hex.as_deref().map(unhex)).map(Bytes::from);
        let record = Record {
            topic: vector.topic.clone(),
            partition: 2,
            offset: 5,
            timestamp_ms: 1_749_580_927_000,
            key: vector.key.map(Bytes::from),
            value: value.clone(),
            headers: Vec::new(),
        };
        let event = catalogue.event_of_topic(vector.topic.as_str()).unwrap();
        let received = Received::read(record, event, &group);
        let event_id = received.claim.event_id;
        let reason = received.envelope.as_ref().err().map(|cause| cause.reason.to_string());
        assert_eq!(reason, vector.reason, "{}", vector.what);
        if reason.is_none() {
            let value = value.unwrap_or_default();
            let derived = || EventId::of_position(&vector.topic, 2, 5, 1_749_580_927_000, &value);
            assert_eq!(event_id, vector.event_id.unwrap_or_else(derived), "{}", vector.what);
        }
    }
}

#[derive(Deserialize)]
struct LetterVector {
    what: String,
    record: RecordVector,
    group: GroupName,
    service: ServiceName,
    reason: String,
    attempts: u32,
    error_type: String,
    message: String,
    first_failed_at: Timestamp,
    failed_at: Timestamp,
    event_id: EventId,
    letter: LetterRecordVector,
}

#[derive(Deserialize)]
struct RecordVector {
    topic: TopicName,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct LetterRecordVector {
    topic: TopicName,
    partition_of_6: i32,
    partition_of_12: i32,
    headers: Vec<(String, Option<String>)>,
}

fn headers_of(list: Vec<(String, Option<String>)>) -> Vec<Header> {
    let header = |(name, value): (String, _)| Header {
        name: name.into(),
        value: Option::map(value, Bytes::from),
    };
    list.into_iter().map(header).collect()
}

#[test]
fn dead_letters_are_those_of_the_vectors() {
    const REASONS: [Reason; 3] = [Reason::RetriesExhausted, Reason::Malformed, Reason::Rejected];
    for vector in vectors::<Vec<LetterVector>>("dead-letters.json") {
        let RecordVector { topic, partition, offset, timestamp_ms, key, value, headers } =
            vector.record;
        let (key, value) = (key.map(Bytes::from), value.map(Bytes::from));
        let headers = headers_of(headers);
        let record = Record { topic, partition, offset, timestamp_ms, key, value, headers };
        let reason = REASONS.into_iter().find(|reason| reason.as_str() == vector.reason).unwrap();
        let letter = Obituary {
            id: dlq_id(&vector.group, &record),
            record: &record,
            event_id: vector.event_id,
            group: &vector.group,
            service: &vector.service,
            cause: &Cause::new(reason, &vector.error_type, vector.message),
            attempts: vector.attempts,
            first_failed_at: vector.first_failed_at,
            failed_at: vector.failed_at,
            chain_seq: None,
            previous: headers::last(&record.headers, headers::REPLAY_OF)
                .map(|of| of.parse().unwrap()),
        };
        let letter = letter.record(&record.topic.dead_letter());
        assert_eq!(letter.topic, vector.letter.topic);
        assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
        // The relay folds the partition into those that there are.
        assert_eq!(letter.partition.unwrap() % 6, vector.letter.partition_of_6);
        assert_eq!(letter.partition.unwrap() % 12, vector.letter.partition_of_12);
        let mut made = letter.headers;
        // What looks alike is for each to say.
        made.retain(|header| header.name != headers::DLQ_FINGERPRINT);
        assert_eq!(made, headers_of(vector.letter.headers), "{}", vector.what);
    }
}
