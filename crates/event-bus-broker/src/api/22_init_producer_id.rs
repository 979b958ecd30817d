//! InitProducerId (key 22), versions 0 to 5: a producer id for an idempotent producer, or the next epoch of a
//! transactional one, which fences its predecessor and aborts what that left open.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Api, Call};
use crate::access::{CLUSTER, Kind, Operation};
use crate::clock;
use crate::transactions::{Identity, Init, Transaction};

/// The longest time that a transaction may be open (`transaction.max.timeout.ms`).
const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// The first version whose clients understand `PRODUCER_FENCED`.
const FENCED_FROM: i16 = 4;
/// A producer id or epoch that is none.
const NONE: i16 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::InitProducerId, 0..=5, handle)
}

async fn handle(call: Call, request: InitProducerIdRequest) -> Option<InitProducerIdResponse> {
    let response = InitProducerIdResponse::default();
    Some(match init(&call, &request).await {
        Ok(Identity { producer_id, epoch }) => {
            response.with_producer_id(ProducerId(producer_id)).with_producer_epoch(epoch)
        }
        Err(error) => {
            let error = match error {
                ResponseError::ProducerFenced if call.version < FENCED_FROM => {
                    ResponseError::InvalidProducerEpoch
                }
                error => error,
            };
            response
                .with_error_code(error.code())
                .with_producer_id(ProducerId(i64::from(NONE)))
                .with_producer_epoch(NONE)
        }
    })
}

async fn init(call: &Call, request: &InitProducerIdRequest) -> Result<Identity, ResponseError> {
    let expected = expected(request)?;
    let transactions = &call.node.transactions;
    let Some(id) = &request.transactional_id else {
        // Whoever may write any topic may do so idempotently (KIP-679).
        let may = call.may(Operation::IdempotentWrite, Kind::Cluster, CLUSTER)
            || call.may_any(Operation::Write, Kind::Topic);
        if !may {
            return Err(ResponseError::ClusterAuthorizationFailed);
        }
        let producer_id = transactions.next_producer_id().await?;
        return Ok(Identity { producer_id, epoch: 0 });
    };
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    call.check(Operation::Write, Kind::TransactionalId, id)?;
    let timeout_ms = request.transaction_timeout_ms;
    if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
        return Err(ResponseError::InvalidTransactionTimeout);
    }
    let now_ms = clock::now_ms();
    let held = transactions.hold_or_new(id).await;
    let current = match held.current() {
        Some(current) => current,
        None => Transaction::new(transactions.next_producer_id().await?, timeout_ms, now_ms),
    };
    let fresh = match current.is_epoch_exhausted() {
        true => transactions.next_producer_id().await?,
        false => i64::from(NONE),
    };
    match current.init(expected, timeout_ms, fresh, now_ms)? {
        Init::Ready(next) => {
            let identity = next.identity();
            held.store(next).await?;
            Ok(identity)
        }
        Init::AbortFirst(next) => {
            held.store(next).await?;
            held.finish_or_leave_to_sweep(&call.node, now_ms).await;
            Err(ResponseError::ConcurrentTransactions)
        }
    }
}

/// Who the producer says it is, when it goes on after an error.
fn expected(request: &InitProducerIdRequest) -> Result<Option<Identity>, ResponseError> {
    let (producer_id, epoch) = (request.producer_id.0, request.producer_epoch);
    match (producer_id == i64::from(NONE), epoch == NONE) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(Identity { producer_id, epoch })),
        (true, false) | (false, true) => Err(ResponseError::InvalidRequest),
    }
}
