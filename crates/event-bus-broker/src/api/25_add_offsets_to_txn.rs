//! AddOffsetsToTxn (key 25), versions 0 to 4: a transaction is going to commit offsets of a group.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::transactions::{Identity, Protocol};

/// The first version whose clients understand `PRODUCER_FENCED`.
const FENCED_FROM: i16 = 2;

pub(super) fn api() -> Api {
    Api::new(ApiKey::AddOffsetsToTxn, 0..=4, handle)
}

async fn handle(call: Call, request: AddOffsetsToTxnRequest) -> Option<AddOffsetsToTxnResponse> {
    let error = add(&call, &request).await.err().map(|error| match error {
        ResponseError::ProducerFenced if call.version < FENCED_FROM => {
            ResponseError::InvalidProducerEpoch
        }
        error => error,
    });
    let code = error.map_or(0, |error| error.code());
    Some(AddOffsetsToTxnResponse::default().with_error_code(code))
}

async fn add(call: &Call, request: &AddOffsetsToTxnRequest) -> Result<(), ResponseError> {
    let id = &request.transactional_id;
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    call.check(Operation::Write, Kind::TransactionalId, id)?;
    call.check_group(Operation::Read, &request.group_id)?;
    let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let groups = BTreeSet::from([request.group_id.to_string()]);
    let (held, current) = call.node.transactions.hold(id).await?;
    let next =
        current.add(producer, &BTreeMap::new(), &groups, Protocol::Classic, clock::now_ms())?;
    match next {
        Some(next) => held.store(next).await,
        None => Ok(()),
    }
}
