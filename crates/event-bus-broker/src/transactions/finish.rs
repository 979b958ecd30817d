//! Carrying out what was decided: markers to the partitions, word to the groups, and the entry that says it was done.

use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::ResponseError;

use crate::node::Node;
use crate::partition::{AppendError, Outcome, Partition, Refusal, StorageError};

use super::entry::Entry;
use super::{Held, Phase, Transaction, Transactions};

/// A transactional id that was not used for this long is forgotten (`transactional.id.expiration.ms`).
const EXPIRATION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Why a decided transaction is not carried out yet. The next [`sweep`] goes on with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinishError {
    /// A partition can't take the marker.
    #[error("the transaction's marker can't be appended: {0}")]
    Append(#[from] AppendError),
    /// The marker is not durable.
    #[error("the transaction's marker can't be made durable: {0}")]
    Settle(#[from] StorageError),
    /// The groups, or the journal, can't be written.
    #[error("the end of the transaction can't be stored: {0}")]
    Store(ResponseError),
}

impl Held<'_> {
    /// Carries out the decided transaction; nothing happens when there is none. May be repeated until it succeeds.
    ///
    /// # Errors
    /// When something can't be stored; the outcome stays decided.
    pub async fn finish(&self, node: &Node, now_ms: i64) -> Result<(), FinishError> {
        let Some(transaction) = self.current() else { return Ok(()) };
        let Some(outcome) = transaction.phase.prepared() else { return Ok(()) };
        tell_partitions(node, &transaction, outcome, now_ms).await?;
        if !transaction.groups.is_empty() {
            let is_commit = outcome == Outcome::Commit;
            let told = node.groups.finish_txn_offsets(transaction.producer_id, is_commit).await;
            told.map_err(FinishError::Store)?;
        }
        self.store(transaction.completed(now_ms)).await.map_err(FinishError::Store)
    }

    /// As [`Held::finish`], for a caller whose answer doesn't depend on it: what is decided stays decided.
    pub async fn finish_or_leave_to_sweep(&self, node: &Node, now_ms: i64) {
        if let Err(error) = self.finish(node, now_ms).await {
            let id = self.id.as_str();
            tracing::warn!(id, %error, "a decided transaction waits to be carried out");
        }
    }
}

/// Appends the markers, and waits until they are durable.
async fn tell_partitions(
    node: &Node,
    transaction: &Transaction,
    outcome: Outcome,
    now_ms: i64,
) -> Result<(), FinishError> {
    let mut settling = Vec::new();
    for (topic, indexes) in &transaction.partitions {
        for index in indexes {
            // A topic that was deleted has nobody left to tell.
            let Ok(partition) = node.topics.partition(topic, *index) else { continue };
            settling.extend(tell(partition, transaction, outcome, now_ms)?);
        }
    }
    for settled in join_all(settling).await {
        settled?;
    }
    Ok(())
}

/// Appends one marker. The future waits until it is durable.
fn tell(
    partition: Arc<Partition>,
    transaction: &Transaction,
    outcome: Outcome,
    now_ms: i64,
) -> Result<Option<impl Future<Output = Result<(), StorageError>>>, AppendError> {
    let (producer_id, epoch) = (transaction.producer_id, transaction.epoch);
    match partition.end_transaction(producer_id, epoch, outcome, now_ms) {
        Ok(ticket) => Ok(Some(async move { partition.settle(&ticket).await })),
        // Deleted meanwhile.
        Err(AppendError::Closed(_)) => Ok(None),
        // A newer epoch wrote already, which the coordinator allowed only after this transaction had ended here.
        Err(AppendError::Refused(Refusal::StaleEpoch { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// At the start, before the first request: carries out what was decided before the broker went down, each in its own
/// direction, and aborts what is open for too long.
///
/// # Errors
/// When a decided transaction can't be carried out: records of undecided fate would be in the way of consumers.
pub(crate) async fn recover(node: &Node, now_ms: i64) -> Result<(), FinishError> {
    for id in node.transactions.due(now_ms) {
        let Ok((held, transaction)) = node.transactions.hold(&id).await else { continue };
        end_if_timed_out(&held, &transaction, now_ms).await.map_err(FinishError::Store)?;
        held.finish(node, now_ms).await?;
    }
    Ok(())
}

/// Aborts transactions past their time-out, goes on with those that could not be carried out, forgets ids that are not
/// used any more, and rewrites the journal when it has grown. Called periodically.
pub(crate) async fn sweep(node: &Node, now_ms: i64) {
    for id in node.transactions.due(now_ms) {
        let Ok((held, transaction)) = node.transactions.hold(&id).await else { continue };
        // A failure is logged where the entry could not be stored; the next sweep tries again.
        if end_if_timed_out(&held, &transaction, now_ms).await.is_ok() {
            held.finish_or_leave_to_sweep(node, now_ms).await;
        }
    }
    node.transactions.forget_unused(now_ms).await;
    node.transactions.rewrite_if_wanted();
}

async fn end_if_timed_out(
    held: &Held<'_>,
    transaction: &Transaction,
    now_ms: i64,
) -> Result<(), ResponseError> {
    if !transaction.is_timed_out(now_ms) {
        return Ok(());
    }
    let Transaction { timeout_ms, started_ms, .. } = transaction;
    tracing::info!(
        id = held.id,
        timeout_ms,
        started_ms,
        "a transaction took too long: it is aborted"
    );
    held.store(transaction.fence(now_ms)).await
}

impl Transactions {
    /// The ids whose transaction is decided and not carried out, or open for too long.
    fn due(&self, now_ms: i64) -> Vec<String> {
        self.list(|id, transaction| {
            let is_due = transaction.phase.prepared().is_some() || transaction.is_timed_out(now_ms);
            is_due.then(|| id.to_owned())
        })
    }

    async fn forget_unused(&self, now_ms: i64) {
        let is_unused = |transaction: &Transaction| match transaction.phase {
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort => {
                now_ms.saturating_sub(transaction.updated_ms) > EXPIRATION_MS
            }
            Phase::Ongoing | Phase::PrepareCommit | Phase::PrepareAbort => false,
        };
        for id in self.list(|id, transaction| is_unused(transaction).then(|| id.to_owned())) {
            let Ok((held, transaction)) = self.hold(&id).await else { continue };
            if !is_unused(&transaction) {
                continue;
            }
            let pending = self.journal.push(&Entry::Forgotten { id: id.clone() }.encode());
            if self.durable(pending).await.is_ok() {
                self.lock().forget(&held.id);
            }
        }
    }

    fn rewrite_if_wanted(&self) {
        if !self.journal.wants_rewrite() {
            return;
        }
        let ledger = self.lock();
        if let Err(error) = self.journal.rewrite(ledger.entries()) {
            tracing::error!(%error, "the transactions' journal can't be rewritten; it goes on growing");
        }
    }
}
