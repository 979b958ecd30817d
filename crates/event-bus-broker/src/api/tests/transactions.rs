//! Transactions over the wire: as clients do them that add partitions, and as those do that need not.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, EndTxnResponse, GroupId, InitProducerIdRequest,
    ListTransactionsRequest, OffsetFetchRequest, ProducerId, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::records::{batch, broker, fetch, name, produce, produced};
use crate::api::testing::Client;

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("payments"))
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("billing"))
}

/// A producer of its own, and its epoch.
type Producer = (ProducerId, i16);

async fn init(client: &mut Client, version: i16) -> Result<Producer, i16> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = client.ask(request, version).await;
    match answer.error_code {
        0 => Ok((answer.producer_id, answer.producer_epoch)),
        code => Err(code),
    }
}

async fn write(
    client: &mut Client,
    topic: Uuid,
    producer: Producer,
    sequence: i32,
    version: i16,
) -> i16 {
    let (ProducerId(producer_id), epoch) = producer;
    let batch = batch().by(producer_id, epoch, sequence).transactional();
    let request = produce(version, topic, -1, batch).with_transactional_id(Some(id()));
    produced(client, request, version).await.error_code
}

async fn commit_offset(client: &mut Client, (producer_id, epoch): Producer, version: i16) -> i16 {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_committed_offset(42)
        .with_committed_leader_epoch(-1);
    let topic = TxnOffsetCommitRequestTopic::default().with_name(name());
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(id())
        .with_group_id(group())
        .with_producer_id(producer_id)
        .with_producer_epoch(epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic.with_partitions(vec![partition])]);
    client.ask(request, version).await.topics[0].partitions[0].error_code
}

async fn end(
    client: &mut Client,
    (producer_id, epoch): Producer,
    committed: bool,
    version: i16,
) -> EndTxnResponse {
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer_id)
        .with_producer_epoch(epoch)
        .with_committed(committed);
    client.ask(request, version).await
}

/// What a `read_committed` consumer sees: the last stable offset, and the aborted transactions.
async fn seen(client: &mut Client, topic: Uuid) -> (i64, usize) {
    let response = client.ask(fetch(12, topic, 0), 12).await;
    let partition = &response.responses[0].partitions[0];
    (partition.last_stable_offset, partition.aborted_transactions.as_ref().unwrap().len())
}

async fn committed_offset(client: &mut Client) -> i64 {
    let topic =
        OffsetFetchRequestTopic::default().with_name(name()).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    client.ask(request, 5).await.topics[0].partitions[0].committed_offset
}

#[tokio::test]
async fn clients_that_add_partitions_commit_and_abort() {
    let (_broker, mut client, topic) = broker().await;
    let producer = init(&mut client, 1).await.unwrap();
    let (producer_id, epoch) = producer;
    let not_added = write(&mut client, topic, producer, 0, 9).await;
    assert_eq!(not_added, ResponseError::InvalidTxnState.code());
    let mut ends = Vec::new();
    for (sequence, committed) in (0..).zip([true, false]) {
        let added = AddPartitionsToTxnTopic::default().with_name(name()).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_producer_id(producer_id)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![added]);
        let answer = client.ask(request, 3).await;
        let result = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        assert_eq!(result.partition_error_code, 0);
        assert_eq!(write(&mut client, topic, producer, sequence, 9).await, 0);
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_group_id(group());
        assert_eq!(client.ask(request, 3).await.error_code, 0);
        assert_eq!(commit_offset(&mut client, producer, 3).await, 0);
        assert_eq!(end(&mut client, producer, committed, 3).await.error_code, 0);
        ends.push((seen(&mut client, topic).await, committed_offset(&mut client).await));
    }
    assert_eq!(ends, [((2, 0), 42), ((4, 1), 42)]);
}

#[tokio::test]
async fn clients_that_need_not_add_get_an_epoch_per_transaction() {
    let (_broker, mut client, topic) = broker().await;
    let mut producer = init(&mut client, 5).await.unwrap();
    for (committed, stable) in [(true, 2), (false, 4), (true, 6)] {
        assert_eq!(write(&mut client, topic, producer, 0, 13).await, 0);
        assert_eq!(commit_offset(&mut client, producer, 5).await, 0);
        let ended = end(&mut client, producer, committed, 5).await;
        assert_eq!((ended.error_code, ended.producer_epoch), (0, producer.1 + 1));
        let again = end(&mut client, producer, committed, 5).await;
        assert_eq!((again.error_code, again.producer_epoch), (0, producer.1 + 1));
        let late = write(&mut client, topic, producer, 1, 13).await;
        assert_eq!(late, ResponseError::InvalidProducerEpoch.code());
        assert_eq!(seen(&mut client, topic).await.0, stable);
        producer = (ended.producer_id, ended.producer_epoch);
    }
    assert_eq!(seen(&mut client, topic).await.1, 1);
    assert_eq!(committed_offset(&mut client).await, 42);
}

#[tokio::test]
async fn a_second_instance_fences_the_first_and_aborts_what_it_left() {
    let (_broker, mut client, topic) = broker().await;
    let first = init(&mut client, 4).await.unwrap();
    assert_eq!(write(&mut client, topic, first, 0, 13).await, 0);
    let busy = init(&mut client, 4).await.unwrap_err();
    assert_eq!(busy, ResponseError::ConcurrentTransactions.code());
    let second = init(&mut client, 4).await.unwrap();
    assert!(second.1 > first.1);
    assert_eq!(seen(&mut client, topic).await, (2, 1));
    let fenced = write(&mut client, topic, first, 1, 13).await;
    assert_eq!(fenced, ResponseError::InvalidProducerEpoch.code());
    let fenced = end(&mut client, first, true, 4).await.error_code;
    assert_eq!(fenced, ResponseError::ProducerFenced.code());
}

#[tokio::test]
async fn transactions_are_described_and_listed() {
    let (_broker, mut client, topic) = broker().await;
    let producer = init(&mut client, 5).await.unwrap();
    assert_eq!(write(&mut client, topic, producer, 0, 13).await, 0);
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
    let state = client.ask(request, 0).await.transaction_states[0].clone();
    assert_eq!(state.transaction_state.as_str(), "Ongoing");
    assert_eq!(state.topics[0].partitions, [0]);
    let listed = [(0, None, 1), (1, None, 1), (2, Some("pay"), 0), (2, Some("pay.*"), 1)];
    for (version, pattern, count) in listed {
        let request = ListTransactionsRequest::default()
            .with_duration_filter(-1)
            .with_transactional_id_pattern(pattern.map(StrBytes::from_static_str));
        let states = client.ask(request, version).await.transaction_states;
        assert_eq!(states.len(), count, "version {version}, {pattern:?}");
    }
    let long = ListTransactionsRequest::default().with_duration_filter(60_000);
    assert!(client.ask(long, 1).await.transaction_states.is_empty(), "it has just begun");
    let request = DescribeProducersRequest::default().with_topics(vec![
        TopicRequest::default().with_name(name()).with_partition_indexes(vec![0]),
    ]);
    let answer = client.ask(request, 0).await;
    let active = &answer.topics[0].partitions[0].active_producers[0];
    assert_eq!((active.producer_id, active.current_txn_start_offset), (producer.0, 0));
}
