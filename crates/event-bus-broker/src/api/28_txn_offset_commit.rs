//! TxnOffsetCommit (key 28), versions 0 to 5: offsets that a group has when the transaction commits. From version 5 on,
//! this adds the group to the transaction (KIP-890).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{ApiKey, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::{Api, Call};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::group::{Committer, NewOffset};
use crate::transactions::{Identity, Protocol};

/// The first version that adds the group to the transaction.
const ADDS_GROUP_FROM: i16 = 5;
/// The first version whose clients understand `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 4;

pub(super) fn api() -> Api {
    Api::new(ApiKey::TxnOffsetCommit, 0..=5, handle)
}

async fn handle(call: Call, request: TxnOffsetCommitRequest) -> Option<TxnOffsetCommitResponse> {
    let staged = stage(&call, &request).await.map_err(|error| match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        ResponseError::TransactionAbortable if call.version < ABORTABLE_FROM => {
            ResponseError::InvalidTxnState
        }
        ResponseError::ConcurrentTransactions if call.version < ADDS_GROUP_FROM => {
            ResponseError::CoordinatorLoadInProgress
        }
        error => error,
    });
    let (mut outcomes, whole) = match staged {
        Ok(outcomes) => (outcomes.into_iter(), None),
        Err(error) => (Vec::new().into_iter(), Some(error)),
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = whole.or_else(|| outcomes.next().flatten());
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        TxnOffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name.clone())
    });
    Some(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

/// Stages the offsets, each with an outcome of its own.
async fn stage(
    call: &Call,
    request: &TxnOffsetCommitRequest,
) -> Result<Vec<Option<ResponseError>>, ResponseError> {
    call.check(Operation::Write, Kind::TransactionalId, &request.transactional_id)?;
    call.check_group(Operation::Read, &request.group_id)?;
    for topic in &request.topics {
        call.check_topic(Operation::Read, &topic.name)?;
    }
    let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let group = request.group_id.to_string();
    // Held until the offsets are staged, so that the transaction can't end in between.
    let (held, current) = call.node.transactions.hold(&request.transactional_id).await?;
    if call.version < ADDS_GROUP_FROM {
        current.verify_group(producer, &group)?;
    } else {
        let groups = BTreeSet::from([group.clone()]);
        let protocol = Protocol::EpochPerTransaction;
        let next = current.add(producer, &BTreeMap::new(), &groups, protocol, clock::now_ms())?;
        if let Some(next) = next {
            held.store(next).await?;
        }
    }
    let committer = Committer {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
        in_transaction: true,
    };
    let Identity { producer_id, epoch } = producer;
    let groups = &call.node.groups;
    groups.stage_txn_offsets(&group, producer_id, epoch, &committer, offsets(request)).await
}

fn offsets(request: &TxnOffsetCommitRequest) -> Vec<NewOffset> {
    let topics = request.topics.iter();
    let offsets = topics.flat_map(|topic| {
        topic.partitions.iter().map(|partition| NewOffset {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
            retention_ms: None,
        })
    });
    offsets.collect()
}
