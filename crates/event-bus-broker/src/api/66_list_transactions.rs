//! ListTransactions (key 66), versions 0 to 2: the transactional ids there are, filtered by state, producer, how long
//! their transaction is open (from version 1 on), and a regular expression for the id (from version 2 on).

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ApiKey, ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::transactions::{Phase, Transaction};

pub(super) fn api() -> Api {
    Api::new(ApiKey::ListTransactions, 0..=2, handle)
}

async fn handle(call: Call, request: ListTransactionsRequest) -> Option<ListTransactionsResponse> {
    let response = ListTransactionsResponse::default();
    let Ok(filter) = Filter::new(&request, clock::now_ms()) else {
        let code = ResponseError::InvalidRegularExpression.code();
        return Some(response.with_error_code(code));
    };
    let unknown: Vec<StrBytes> = request
        .state_filters
        .iter()
        .filter(|state| !Phase::NAMES.contains(&state.as_str()))
        .cloned()
        .collect();
    let states = call.node.transactions.list(|id, transaction| {
        let may = || call.may(Operation::Describe, Kind::TransactionalId, id);
        (filter.lets_through(id, transaction) && may()).then(|| {
            TransactionState::default()
                .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
                .with_producer_id(ProducerId(transaction.producer_id))
                .with_transaction_state(StrBytes::from_static_str(transaction.phase.name()))
        })
    });
    Some(response.with_unknown_state_filters(unknown).with_transaction_states(states))
}

/// Which transactions are asked for. What is empty or absent asks for all.
struct Filter<'a> {
    states: HashSet<&'a str>,
    producer_ids: HashSet<i64>,
    started_before_ms: Option<i64>,
    id: Option<Regex>,
}

impl<'a> Filter<'a> {
    fn new(request: &'a ListTransactionsRequest, now_ms: i64) -> Result<Self, regex::Error> {
        let pattern = request.transactional_id_pattern.as_deref();
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        // The pattern is for the whole id, as Java's `matches` has it.
        let id = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose()?;
        let duration_ms = request.duration_filter;
        Ok(Self {
            states: request.state_filters.iter().map(StrBytes::as_str).collect(),
            producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
            started_before_ms: (duration_ms >= 0).then(|| now_ms.saturating_sub(duration_ms)),
            id,
        })
    }

    fn lets_through(&self, id: &str, transaction: &Transaction) -> bool {
        let has_state = self.states.is_empty() || self.states.contains(transaction.phase.name());
        let has_producer =
            self.producer_ids.is_empty() || self.producer_ids.contains(&transaction.producer_id);
        let is_old_enough = self.started_before_ms.is_none_or(|before_ms| {
            transaction.started_ms >= 0 && transaction.started_ms < before_ms
        });
        let has_id = self.id.as_ref().is_none_or(|pattern| pattern.is_match(id));
        has_state && has_producer && is_old_enough && has_id
    }
}
