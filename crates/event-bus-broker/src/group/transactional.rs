//! Offsets that are committed in a transaction: staged until the transaction ends, and kept through restarts.

use kafka_protocol::ResponseError;

use super::Groups;
use super::commits::NewOffset;
use super::ledger::Entry;
use super::state::Committer;

impl Groups {
    /// Stages offsets in a producer's transaction; answered once they are durable. Each has an outcome of its own. The
    /// caller has checked that the producer's transaction is open and that the group is part of it.
    ///
    /// # Errors
    /// When nothing was staged.
    pub async fn stage_txn_offsets(
        &self,
        id: &str,
        producer_id: i64,
        producer_epoch: i16,
        committer: &Committer,
        offsets: Vec<NewOffset>,
    ) -> Result<Vec<Option<ResponseError>>, ResponseError> {
        let (applied, outcomes) = {
            let mut state = self.shared.lock();
            if id.is_empty() {
                return Err(ResponseError::InvalidGroupId);
            }
            if state.ledger.staged_epoch(producer_id).is_some_and(|epoch| epoch > producer_epoch) {
                return Err(ResponseError::InvalidProducerEpoch);
            }
            self.shared.admit(&mut state, id, committer, ResponseError::IllegalGeneration)?;
            let (offsets, outcomes) = self.shared.checked(offsets);
            if offsets.is_empty() {
                return Ok(outcomes);
            }
            let group = id.to_owned();
            let entry = Entry::Staged { group, producer_id, producer_epoch, offsets };
            (self.shared.write(&mut state, entry)?, outcomes)
        };
        applied.await?;
        Ok(outcomes)
    }

    /// Ends a producer's transaction: its staged offsets are committed, or never were. Answered once that is durable;
    /// doing it again changes nothing, so whoever got an error, or restarted, does it again.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` when it could not be made durable.
    pub async fn finish_txn_offsets(
        &self,
        producer_id: i64,
        committed: bool,
    ) -> Result<(), ResponseError> {
        let applied = {
            let mut state = self.shared.lock();
            let is_its_own = |entry: &Entry| match entry {
                Entry::Staged { producer_id: other, .. } => *other == producer_id,
                _ => false,
            };
            let has_staged = state.ledger.staged_epoch(producer_id).is_some()
                || state.in_flight.entries().any(is_its_own);
            if !has_staged {
                return Ok(());
            }
            self.shared.write(&mut state, Entry::Finished { producer_id, committed })?
        };
        applied.await
    }
}
