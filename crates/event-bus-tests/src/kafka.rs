//! The test's own dealings with Kafka: topics, raw records in, everything out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use event_bus::envelope::OutgoingRecord;
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::producer::{Delivered, OnDelivery, Producer};
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::{EventId, GroupName, TopicName};
use event_bus::publisher::Publisher;
use event_bus::topics;
use event_bus::{Catalogue, KafkaConfig};
use tokio::sync::oneshot;

use crate::servers;

/// A publisher that also takes records which are no events.
///
/// # Panics
/// When the client can't be made.
pub fn publisher(catalogue: &Arc<Catalogue>) -> Publisher {
    Publisher::connect(Arc::clone(catalogue), &servers::kafka()).expect("a publisher can be made")
}

/// A record of any bytes.
pub fn raw(
    topic: &TopicName,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: Vec<Header>,
) -> OutgoingRecord {
    OutgoingRecord {
        topic: topic.clone(),
        partition: None,
        key: key.map(Bytes::copy_from_slice),
        value: value.map(Bytes::copy_from_slice),
        headers,
        event_id: EventId::at(jiff::Timestamp::now()),
    }
}

/// Sends records in their order, without waiting for one before the next, and says where each went.
///
/// # Panics
/// When Kafka does not take one.
pub async fn send_all(records: Vec<OutgoingRecord>) -> Vec<Delivered> {
    send_all_at(&servers::kafka(), records).await
}

/// As [`send_all`], to this Kafka.
///
/// # Panics
/// When it does not take one.
pub async fn send_all_at(kafka: &KafkaConfig, records: Vec<OutgoingRecord>) -> Vec<Delivered> {
    let producer = Producer::connect(kafka).expect("a producer can be made");
    let mut reports = Vec::with_capacity(records.len());
    for record in &records {
        let (report, reported) = oneshot::channel();
        // The receiver is kept until all reports are in.
        let on_delivery = OnDelivery::Tell(report);
        if let Err((error, _)) = producer.send(record, on_delivery) {
            panic!("the client does not take a record: {error}");
        }
        reports.push(reported);
    }
    let mut delivered = Vec::with_capacity(records.len());
    for reported in reports {
        let result = reported.await.expect("each record has its report");
        delivered.push(result.expect("Kafka takes the record"));
    }
    delivered
}

/// What a group has committed in each partition of its topics, as Kafka says.
///
/// # Panics
/// When Kafka does not say.
pub async fn committed(group: &GroupName) -> BTreeMap<i32, i64> {
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let offsets = admin.committed_offsets(group).await.expect("Kafka answers");
    offsets
        .into_iter()
        .filter_map(|(partition, offset)| {
            Some((partition.partition, offset.expect("the partition is there")?))
        })
        .collect()
}

/// How many events a group has not settled.
///
/// # Panics
/// When Kafka does not say.
pub async fn lag(group: &GroupName, topic: &TopicName) -> u64 {
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let lags = admin.lag(&[(group.clone(), topic.clone())]).await.expect("Kafka answers");
    lags.iter().map(event_bus::lag::GroupLag::total).sum()
}

/// The names of the members that a group has now.
///
/// # Panics
/// When Kafka does not say.
pub async fn members(group: &GroupName) -> Vec<String> {
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let groups = admin.groups().await.expect("Kafka answers");
    let found = groups.into_iter().find(|state| state.name == group.as_str());
    found.map_or_else(Vec::new, |state| state.members.into_iter().map(|member| member.id).collect())
}

/// All records that the topics hold now.
///
/// # Panics
/// When they can't be read.
pub async fn everything_in(topics: &[TopicName]) -> Vec<Record> {
    everything_at(&servers::kafka(), topics).await
}

/// As [`everything_in`], on this Kafka.
///
/// # Panics
/// When they can't be read.
pub async fn everything_at(kafka: &KafkaConfig, topics: &[TopicName]) -> Vec<Record> {
    let mut reader = Reader::start(kafka, topics, Position::Start, Until::CaughtUp)
        .await
        .expect("the topics can be read");
    let mut records = Vec::new();
    while let Some(batch) = reader.next().await.expect("reading goes on") {
        records.extend(batch);
    }
    records
}

/// Creates the catalogue's topics, one copy of each.
///
/// # Panics
/// When Kafka refuses one.
pub async fn create_topics(catalogue: &Catalogue) {
    create_topics_at(&servers::kafka(), catalogue).await;
}

/// As [`create_topics`], on this Kafka.
///
/// # Panics
/// When it refuses one.
pub async fn create_topics_at(kafka: &KafkaConfig, catalogue: &Catalogue) {
    let admin = Admin::connect(kafka).expect("an admin client can be made");
    let cluster = admin.cluster().await.expect("Kafka answers");
    let options = topics::Options { replication: Some(1), ..topics::Options::default() };
    let plan = topics::plan(catalogue, &cluster, options);
    let report = |applied: topics::Applied| applied.outcome.expect("Kafka takes the step");
    topics::apply(&admin, &plan, report).await.expect("Kafka answers");
}
