//! EndTxn (key 26), versions 0 to 5: commits or aborts a transaction. From version 5 on, the producer gets its next
//! epoch with the answer (KIP-890).
//!
//! The outcome is fixed by one durable entry; the answer comes when partitions and groups were told as well, so that a
//! consumer of this broker sees what its producer was told.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse, ProducerId};

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::partition::Outcome;
use crate::transactions::{End, Identity, Protocol};

/// The first version in which the epoch changes with the transaction.
const EPOCH_PER_TRANSACTION_FROM: i16 = 5;
/// The first version whose clients understand `PRODUCER_FENCED`.
const FENCED_FROM: i16 = 2;
/// A producer id or epoch that is none.
const NONE: i16 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::EndTxn, 0..=5, handle)
}

async fn handle(call: Call, request: EndTxnRequest) -> Option<EndTxnResponse> {
    let response = EndTxnResponse::default();
    Some(match end(&call, &request).await {
        Ok(next) if call.version >= EPOCH_PER_TRANSACTION_FROM => {
            response.with_producer_id(ProducerId(next.producer_id)).with_producer_epoch(next.epoch)
        }
        Ok(_) => response,
        Err(error) => {
            let error = match error {
                ResponseError::ProducerFenced if call.version < FENCED_FROM => {
                    ResponseError::InvalidProducerEpoch
                }
                error => error,
            };
            let response = response.with_error_code(error.code());
            response.with_producer_id(ProducerId(i64::from(NONE))).with_producer_epoch(NONE)
        }
    })
}

/// Who the producer is from now on.
async fn end(call: &Call, request: &EndTxnRequest) -> Result<Identity, ResponseError> {
    let id = &request.transactional_id;
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    call.check(Operation::Write, Kind::TransactionalId, id)?;
    let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let protocol = match call.version < EPOCH_PER_TRANSACTION_FROM {
        true => Protocol::Classic,
        false => Protocol::EpochPerTransaction,
    };
    let now_ms = clock::now_ms();
    let transactions = &call.node.transactions;
    let (held, current) = transactions.hold(id).await?;
    let needs_id = protocol == Protocol::EpochPerTransaction && current.is_epoch_exhausted();
    let fresh = match needs_id {
        true => transactions.next_producer_id().await?,
        false => i64::from(NONE),
    };
    match current.end(producer, outcome, protocol, fresh, now_ms)? {
        End::Repeated(identity) => Ok(identity),
        End::Prepare(next) => {
            let identity = next.identity_after();
            held.store(next).await?;
            // From here on the outcome is fixed, whether or not everybody can be told at once.
            held.finish_or_leave_to_sweep(&call.node, now_ms).await;
            Ok(identity)
        }
    }
}
