//! AddPartitionsToTxn (key 24), versions 0 to 5: partitions that a transaction is going to write. Versions 4 and 5 are
//! spoken between brokers: several transactions at a time, and the question whether partitions are part of one.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::transactions::{Identity, Protocol};

/// The first version that has several transactions.
const BATCHES_FROM: i16 = 4;
/// The first version whose clients understand `PRODUCER_FENCED`.
const FENCED_FROM: i16 = 2;

pub(super) fn api() -> Api {
    Api::new(ApiKey::AddPartitionsToTxn, 0..=5, handle)
}

async fn handle(
    call: Call,
    request: AddPartitionsToTxnRequest,
) -> Option<AddPartitionsToTxnResponse> {
    let response = AddPartitionsToTxnResponse::default();
    if call.version < BATCHES_FROM {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = results(&call, &transaction).await;
        return Some(response.with_results_by_topic_v3_and_below(results));
    }
    let mut all = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let results = results(&call, &transaction).await;
        all.push(
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id)
                .with_topic_results(results),
        );
    }
    Some(response.with_results_by_transaction(all))
}

async fn results(
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = &transaction.topics;
    let id = &transaction.transactional_id;
    if let Err(error) = call.check(Operation::Write, Kind::TransactionalId, id) {
        return per_partition(topics, |_, _| Some(error));
    }
    let wrong = |topic: &AddPartitionsToTxnTopic, index: i32| {
        let known = call.check_topic(Operation::Write, &topic.name);
        let known = known.and_then(|()| call.node.topics.partition(&topic.name, index));
        known.err()
    };
    let has_wrong = topics
        .iter()
        .any(|topic| topic.partitions.iter().any(|index| wrong(topic, *index).is_some()));
    if has_wrong {
        // All or nothing.
        return per_partition(topics, |topic, index| {
            wrong(topic, index).or(Some(ResponseError::OperationNotAttempted))
        });
    }
    if transaction.verify_only {
        return verify(call, transaction).await;
    }
    let error = add(call, transaction).await.err().map(|error| match error {
        ResponseError::ProducerFenced if call.version < FENCED_FROM => {
            ResponseError::InvalidProducerEpoch
        }
        error => error,
    });
    per_partition(topics, |_, _| error)
}

async fn add(
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Result<(), ResponseError> {
    let id = &transaction.transactional_id;
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for topic in &transaction.topics {
        partitions.entry(topic.name.to_string()).or_default().extend(&topic.partitions);
    }
    let protocol = match call.version < BATCHES_FROM {
        true => Protocol::Classic,
        false => Protocol::EpochPerTransaction,
    };
    let (held, current) = call.node.transactions.hold(id).await?;
    let next = current.add(
        identity(transaction),
        &partitions,
        &BTreeSet::new(),
        protocol,
        clock::now_ms(),
    )?;
    match next {
        Some(next) => held.store(next).await,
        None => Ok(()),
    }
}

async fn verify(
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = &transaction.topics;
    match call.node.transactions.hold(&transaction.transactional_id).await {
        Ok((_held, current)) => per_partition(topics, |topic, index| {
            current.verify(identity(transaction), &topic.name, index).err()
        }),
        Err(error) => per_partition(topics, |_, _| Some(error)),
    }
}

fn identity(transaction: &AddPartitionsToTxnTransaction) -> Identity {
    Identity { producer_id: transaction.producer_id.0, epoch: transaction.producer_epoch }
}

fn per_partition(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&AddPartitionsToTxnTopic, i32) -> Option<ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error(topic, *index).map_or(0, |error| error.code()))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    results.collect()
}
