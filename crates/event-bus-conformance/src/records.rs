//! Records into a partition and out of it.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, ListOffsetsRequest, ProduceRequest, TransactionalId,
};

use crate::batch::{Batch, records_in, values_in};
use crate::connection::Connection;
use crate::outcome::outcome;
use crate::topic::{text, topic_name};

/// The last version of Produce in which a transaction's partitions are added by a request of their own.
pub const PRODUCE: i16 = 11;
/// The last version of Fetch that names topics by name.
pub const FETCH: i16 = 12;
/// The first version of ListOffsets with the largest timestamp.
pub const LIST_OFFSETS: i16 = 7;

/// Waits for all replicas, of which there is one.
pub const ALL: i16 = -1;

/// A request to write one partition.
pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic =
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// Writes to one partition and waits for all replicas.
pub async fn produce(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(topic, partition, ALL, records);
    connection.call(PRODUCE, &request).await.responses.remove(0).partition_responses.remove(0)
}

/// Writes to one partition in a transaction.
pub async fn produce_in_transaction(
    connection: &mut Connection,
    transactional_id: &str,
    topic: &str,
    records: Bytes,
) -> Result<i64, ResponseError> {
    let request = produce_request(topic, 0, ALL, records)
        .with_transactional_id(Some(TransactionalId(text(transactional_id))));
    let mut response = connection.call(PRODUCE, &request).await;
    let partition = response.responses.remove(0).partition_responses.remove(0);
    outcome(partition.error_code).map(|()| partition.base_offset)
}

/// Writes values to the topic's first partition, one batch, and tells the first one's offset.
///
/// # Panics
/// When the broker does not take them.
pub async fn write<V: AsRef<[u8]>>(connection: &mut Connection, topic: &str, values: &[V]) -> i64 {
    let produced = produce(connection, topic, 0, Batch::of(values).bytes()).await;
    assert_eq!(outcome(produced.error_code), Ok(()), "{:?}", produced.error_message);
    produced.base_offset
}

/// What of a partition is wanted.
#[derive(Clone, Debug)]
pub struct Fetch {
    topic: String,
    partition: i32,
    offset: i64,
    max_wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32,
    partition_max_bytes: i32,
    committed_only: bool,
}

impl Fetch {
    /// What is in the topic's first partition from an offset on, without waiting for more.
    pub fn from(topic: &str, offset: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: 0,
            offset,
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 50 << 20,
            committed_only: false,
        }
    }

    /// The same of another partition.
    #[must_use]
    pub fn of_partition(mut self, partition: i32) -> Self {
        self.partition = partition;
        self
    }

    /// The same, waiting for this many bytes.
    #[must_use]
    pub fn waiting(mut self, min_bytes: i32, max_wait_ms: i32) -> Self {
        self.min_bytes = min_bytes;
        self.max_wait_ms = max_wait_ms;
        self
    }

    /// The same, at most this many bytes in all, and of the partition.
    #[must_use]
    pub fn at_most(mut self, max_bytes: i32, partition_max_bytes: i32) -> Self {
        self.max_bytes = max_bytes;
        self.partition_max_bytes = partition_max_bytes;
        self
    }

    /// The same without what belongs to open transactions.
    #[must_use]
    pub fn committed_only(mut self) -> Self {
        self.committed_only = true;
        self
    }

    /// The request, naming its topic by name, outside of any session.
    pub fn request(&self) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(self.partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(self.offset)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(self.partition_max_bytes);
        let topic = FetchTopic::default()
            .with_topic(topic_name(&self.topic))
            .with_partitions(vec![partition]);
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.max_wait_ms)
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.max_bytes)
            .with_isolation_level(i8::from(self.committed_only))
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }

    /// Asks for it.
    ///
    /// # Panics
    /// When the whole request fails.
    pub async fn send(&self, connection: &mut Connection) -> PartitionData {
        let mut response = connection.call(FETCH, &self.request()).await;
        assert_eq!(outcome(response.error_code), Ok(()));
        response.responses.remove(0).partitions.remove(0)
    }
}

/// The values in a topic's first partition.
///
/// # Panics
/// When it can't be read.
pub async fn values(connection: &mut Connection, topic: &str) -> Vec<String> {
    let data = Fetch::from(topic, 0).send(connection).await;
    assert_eq!(outcome(data.error_code), Ok(()));
    values_in(data.records.unwrap_or_default())
}

/// The values of a topic's first partition that a consumer of committed records is shown: it leaves out what the
/// response says was aborted, as clients do.
///
/// # Panics
/// When it can't be read.
pub async fn committed_values(connection: &mut Connection, topic: &str) -> Vec<String> {
    let data = Fetch::from(topic, 0).committed_only().send(connection).await;
    assert_eq!(outcome(data.error_code), Ok(()));
    let mut aborted = data.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|transaction| transaction.first_offset);
    let mut open = Vec::new();
    let mut shown = Vec::new();
    for record in records_in(data.records.unwrap_or_default()) {
        while aborted.first().is_some_and(|first| first.first_offset <= record.offset) {
            open.push(aborted.remove(0).producer_id.0);
        }
        let producer = record.producer_id;
        if record.control {
            open.retain(|id| *id != producer);
        } else if !(record.transactional && open.contains(&producer)) {
            let value = record.value.expect("the tests' records have values");
            shown.push(String::from_utf8(value.to_vec()).expect("the tests' values are text"));
        }
    }
    shown
}

/// What ListOffsets is asked for instead of a time.
pub mod special {
    /// The end: the offset of the next record.
    pub const LATEST: i64 = -1;
    /// The first record that is there.
    pub const EARLIEST: i64 = -2;
    /// The record with the largest timestamp.
    pub const MAX_TIMESTAMP: i64 = -3;
}

/// The offset of a time in milliseconds, or of one of [`special`].
pub async fn offset_at(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    time: i64,
    committed_only: bool,
) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(time);
    let topic =
        ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(committed_only))
        .with_topics(vec![topic]);
    connection.call(LIST_OFFSETS, &request).await.topics.remove(0).partitions.remove(0)
}
