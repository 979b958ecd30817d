//! Records are produced, fetched, looked for and deleted over the wire, in every version.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    BrokerId, DeleteRecordsRequest, FetchRequest, FetchResponse, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::partition::Batch;
use crate::{Broker, Config};

pub(super) const TOPIC: &str = "orders";

pub(super) fn name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

/// A broker in memory with a topic of two partitions, and the topic's id.
pub(super) async fn broker() -> (Broker, Client, Uuid) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(create(&mut client, vec![topic(TOPIC, 2)]).await, [0]);
    let id = broker.node().topics.id_of(TOPIC).unwrap();
    (broker, client, id)
}

/// A batch whose records are dated now.
pub(super) fn batch() -> Batch {
    Batch::of(1).at(crate::clock::now_ms())
}

pub(super) fn produce(version: i16, id: Uuid, acks: i16, batch: Batch) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.encode()));
    let topic = TopicProduceData::default().with_partition_data(vec![data]);
    let topic = if version < 13 { topic.with_name(name()) } else { topic.with_topic_id(id) };
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

pub(super) async fn produced(
    client: &mut Client,
    request: ProduceRequest,
    version: i16,
) -> PartitionProduceResponse {
    let response = client.ask(request, version).await;
    response.responses[0].partition_responses[0].clone()
}

pub(super) fn fetch(version: i16, id: Uuid, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(i32::MAX);
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    let topic = if version < 13 { topic.with_topic(name()) } else { topic.with_topic_id(id) };
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(i32::MAX)
        .with_isolation_level(1)
        .with_session_epoch(-1)
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic])
}

fn records(response: &FetchResponse) -> &Bytes {
    response.responses[0].partitions[0].records.as_ref().unwrap()
}

#[tokio::test]
async fn every_version_of_produce_and_fetch_is_understood() {
    let (_broker, mut client, id) = broker().await;
    for (offset, version) in (0..).zip(3..=13) {
        let answer = produced(&mut client, produce(version, id, -1, batch()), version).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, offset), "version {version}");
    }
    for version in 4..=18 {
        let response = client.ask(fetch(version, id, 10), version).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, 11), "{version}");
        assert!(!records(&response).is_empty(), "version {version}");
    }
}

#[tokio::test]
async fn an_unknown_topic_id_is_named_so() {
    let (_broker, mut client, _) = broker().await;
    let unknown = Uuid::from_u128(7);
    let error = ResponseError::UnknownTopicId.code();
    let answer = produced(&mut client, produce(13, unknown, -1, batch()), 13).await;
    assert_eq!((answer.error_code, answer.base_offset), (error, -1));
    let response = client.ask(fetch(13, unknown, 0), 13).await;
    assert_eq!(response.responses[0].partitions[0].error_code, error);
}

#[tokio::test]
async fn what_nobody_acknowledges_is_there_all_the_same() {
    let (_broker, mut client, id) = broker().await;
    client.send(&produce(9, id, 0, batch()), 9).await;
    let response = client.ask(fetch(12, id, 0), 12).await;
    assert!(!records(&response).is_empty());
}

#[tokio::test]
async fn an_error_that_nobody_hears_of_closes_the_connection() {
    let (_broker, mut client, id) = broker().await;
    let far_ahead = Batch::of(1).at(i64::MAX / 2);
    client.send(&produce(9, id, 0, far_ahead), 9).await;
    assert_eq!(client.receive_bytes().await, None);
}

#[tokio::test]
async fn requests_that_overlap_are_appended_and_answered_in_order() {
    let (_broker, mut client, id) = broker().await;
    for sequence in 0..5 {
        let batch = batch().by(7, 0, sequence);
        client.send(&produce(9, id, -1, batch), 9).await;
    }
    for offset in 0..5 {
        let response = client.receive::<ProduceRequest>(9).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
}

#[tokio::test]
async fn every_version_of_the_offset_apis_is_understood() {
    let (_broker, mut client, id) = broker().await;
    for _ in 0..3 {
        produced(&mut client, produce(9, id, -1, batch()), 9).await;
    }
    for version in 1..=10 {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let partition = partition.with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default().with_name(name());
        let request =
            ListOffsetsRequest::default().with_topics(vec![topic.with_partitions(vec![partition])]);
        let response = client.ask(request, version).await;
        assert_eq!(response.topics[0].partitions[0].offset, 3, "version {version}");
    }
    for version in 2..=4 {
        let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(0);
        let topic = OffsetForLeaderTopic::default().with_topic(name());
        let topics = vec![topic.with_partitions(vec![partition])];
        let request = OffsetForLeaderEpochRequest::default().with_topics(topics);
        let response = client.ask(request, version).await;
        let end = &response.topics[0].partitions[0];
        assert_eq!((end.leader_epoch, end.end_offset), (0, 3), "version {version}");
    }
    for (version, offset) in (0..=2).zip(1..) {
        let partition = DeleteRecordsPartition::default().with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(name());
        let topics = vec![topic.with_partitions(vec![partition])];
        let request = DeleteRecordsRequest::default().with_topics(topics);
        let response = client.ask(request, version).await;
        assert_eq!(response.topics[0].partitions[0].low_watermark, offset, "version {version}");
    }
}
