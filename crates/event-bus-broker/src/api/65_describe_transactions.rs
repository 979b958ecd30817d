//! DescribeTransactions (key 65), version 0: where transactions are, and what they have written.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::transactions::Transaction;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeTransactions, 0..=0, handle)
}

async fn handle(
    call: Call,
    request: DescribeTransactionsRequest,
) -> Option<DescribeTransactionsResponse> {
    let states = request.transactional_ids.into_iter().map(|id| {
        if id.is_empty() {
            return refusal(id, ResponseError::InvalidRequest);
        }
        if let Err(error) = call.check(Operation::Describe, Kind::TransactionalId, &id) {
            return refusal(id, error);
        }
        match call.node.transactions.describe(&id) {
            Some(mut transaction) => {
                let may = |topic: &str| call.may(Operation::Describe, Kind::Topic, topic);
                transaction.partitions.retain(|topic, _| may(topic));
                description(id, transaction)
            }
            None => refusal(id, ResponseError::TransactionalIdNotFound),
        }
    });
    Some(DescribeTransactionsResponse::default().with_transaction_states(states.collect()))
}

fn refusal(id: TransactionalId, error: ResponseError) -> TransactionState {
    TransactionState::default().with_transactional_id(id).with_error_code(error.code())
}

fn description(id: TransactionalId, transaction: Transaction) -> TransactionState {
    let topics = transaction.partitions.into_iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic)))
            .with_partitions(partitions.into_iter().collect())
    });
    TransactionState::default()
        .with_transactional_id(id)
        .with_transaction_state(StrBytes::from_static_str(transaction.phase.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(ProducerId(transaction.producer_id))
        .with_producer_epoch(transaction.epoch)
        .with_topics(topics.collect())
}
