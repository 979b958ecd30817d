//! Producer ids and transactions.

use std::fmt::Debug;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId,
    InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId,
    TxnOffsetCommitRequest,
};

use crate::batch::Batch;
use crate::connection::Connection;
use crate::eventually::eventually;
use crate::outcome::outcome;
use crate::records::{ALL, PRODUCE, produce_request};
use crate::topic::{text, topic_name};

/// How long the coordinator may take to finish what came before.
const FINISHED_WITHIN: Duration = Duration::from_secs(30);

/// A producer's id and epoch for idempotent writes.
///
/// # Panics
/// When the broker gives none.
pub async fn idempotent(connection: &mut Connection) -> (i64, i16) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    // Apache Kafka's first producer waits for a block of ids from the controller.
    eventually(FINISHED_WITHIN, async || {
        let given = connection.call(4, &request).await;
        outcome(given.error_code).map(|()| (given.producer_id.0, given.producer_epoch))
    })
    .await
}

/// Which of the two protocols of transactions a producer speaks (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Partitions and groups are added by requests of their own, and the epoch stays.
    First,
    /// Writing adds them, and each transaction has an epoch of its own.
    Second,
}

impl Protocol {
    fn produce(self) -> i16 {
        if self == Self::First { PRODUCE } else { PRODUCE + 1 }
    }

    /// The version of EndTxn and of TxnOffsetCommit.
    fn end(self) -> i16 {
        if self == Self::First { 3 } else { 5 }
    }
}

/// A transactional producer.
#[derive(Debug)]
pub struct Transactional {
    connection: Connection,
    protocol: Protocol,
    transactional_id: String,
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    next_sequence: i32,
}

/// Asks for the producer id of a transactional id once.
pub async fn init(
    connection: &mut Connection,
    transactional_id: &str,
    timeout_ms: i32,
    had: (i64, i16),
) -> InitProducerIdResponse {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(transactional_id))))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(had.0))
        .with_producer_epoch(had.1);
    connection.call(4, &request).await
}

impl Transactional {
    /// Takes a transactional id over, whose transactions are aborted after a minute.
    pub async fn new(address: &str, transactional_id: &str) -> Self {
        Self::with_timeout(address, transactional_id, 60_000).await
    }

    /// Takes a transactional id over.
    ///
    /// # Panics
    /// When the broker does not give it.
    pub async fn with_timeout(address: &str, transactional_id: &str, timeout_ms: i32) -> Self {
        let mut connection = Connection::to(address).await;
        let given = eventually(FINISHED_WITHIN, async || {
            let given = init(&mut connection, transactional_id, timeout_ms, (-1, -1)).await;
            outcome(given.error_code).map(|()| given)
        })
        .await;
        Self {
            connection,
            protocol: Protocol::First,
            transactional_id: transactional_id.to_owned(),
            producer_id: given.producer_id.0,
            epoch: given.producer_epoch,
            next_sequence: 0,
        }
    }

    /// The same in the protocol's second version.
    #[must_use]
    pub fn second(mut self) -> Self {
        self.protocol = Protocol::Second;
        self
    }

    /// Goes on over a new connection.
    pub async fn reconnect(&mut self, address: &str) {
        self.connection = Connection::to(address).await;
    }

    /// Adds a topic's first partition to the transaction, waiting for the one before to be finished.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn add(&mut self, topic: &str) -> Result<(), ResponseError> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_v3_and_below_producer_id(ProducerId(self.producer_id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        self.until_finished(async |connection| {
            let response = connection.call(3, &request).await;
            let topics = response.results_by_topic_v3_and_below;
            outcome(topics[0].results_by_partition[0].partition_error_code)
        })
        .await
    }

    /// Writes one batch to a topic's first partition, which in the first protocol was added before.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn write<V: AsRef<[u8]>>(
        &mut self,
        topic: &str,
        values: &[V],
    ) -> Result<i64, ResponseError> {
        let batch = Batch::of(values)
            .from_producer(self.producer_id, self.epoch, self.next_sequence)
            .transactional();
        let request = produce_request(topic, 0, ALL, batch.bytes())
            .with_transactional_id(Some(TransactionalId(text(&self.transactional_id))));
        let version = self.protocol.produce();
        let offset = self
            .until_finished(async |connection| {
                let response = connection.call(version, &request).await;
                let partition = &response.responses[0].partition_responses[0];
                outcome(partition.error_code).map(|()| partition.base_offset)
            })
            .await?;
        self.next_sequence += i32::try_from(values.len()).expect("a test's batch is small");
        Ok(offset)
    }

    /// Adds a topic's first partition and writes to it.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn add_and_write<V: AsRef<[u8]>>(&mut self, topic: &str, values: &[V]) -> i64 {
        self.add(topic).await.expect("the partition is added");
        self.write(topic, values).await.expect("the records are taken")
    }

    /// Adds a group's offsets to the transaction.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn add_offsets(&mut self, group: &str) -> Result<(), ResponseError> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text(group)));
        self.until_finished(async |connection| {
            outcome(connection.call(3, &request).await.error_code)
        })
        .await
    }

    /// Commits an offset of a topic's first partition in the transaction, as nobody's member.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn commit_offset(
        &mut self,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), ResponseError> {
        self.commit_offset_as((group, -1, ""), topic, offset).await
    }

    /// The same as a group's member: its group, generation and id.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn commit_offset_as(
        &mut self,
        (group, generation, member): (&str, i32, &str),
        topic: &str,
        offset: i64,
    ) -> Result<(), ResponseError> {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("in a transaction")));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(generation)
            .with_member_id(text(member))
            .with_topics(vec![topic]);
        let version = self.protocol.end();
        self.until_finished(async |connection| {
            let response = connection.call(version, &request).await;
            outcome(response.topics[0].partitions[0].error_code)
        })
        .await
    }

    /// Ends the transaction. In the second protocol, the next one has the id and the epoch that the answer brings.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn end(&mut self, committed: bool) -> Result<(), ResponseError> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let version = self.protocol.end();
        let ended = self
            .until_finished(async |connection| {
                let response = connection.call(version, &request).await;
                outcome(response.error_code).map(|()| response)
            })
            .await?;
        if self.protocol == Protocol::Second {
            (self.producer_id, self.epoch) = (ended.producer_id.0, ended.producer_epoch);
            self.next_sequence = 0;
        }
        Ok(())
    }

    /// Asks again while the coordinator is still at what came before.
    async fn until_finished<T: Debug>(
        &mut self,
        mut ask: impl AsyncFnMut(&mut Connection) -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let connection = &mut self.connection;
        eventually(FINISHED_WITHIN, async || match ask(connection).await {
            Err(error @ ResponseError::ConcurrentTransactions) => Err(error),
            other => Ok(other),
        })
        .await
    }
}
