//! Delivered rows leave the outbox, beside all else that a relay does.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::{JoinError, JoinHandle};

use super::{TurnError, Work, in_time};

/// A statement that removes the first delivered rows.
pub(super) struct Removal {
    rows: usize,
    task: JoinHandle<Result<(), TurnError>>,
    outcome: Option<Result<(), TurnError>>,
}

/// Waits for a removal to end, if there is one. Giving the wait up loses nothing.
pub(super) async fn ends(removal: &mut Option<Removal>) {
    match removal {
        None => pending().await,
        Some(removal) if removal.outcome.is_none() => {
            let ended = (&mut removal.task).await;
            // Nobody aborts it, so its own panic it is, if any.
            let unwind = |error: JoinError| std::panic::resume_unwind(error.into_panic());
            removal.outcome = Some(ended.unwrap_or_else(unwind));
        }
        Some(_) => {}
    }
}

impl Work<'_> {
    /// Takes note of a removal that has ended, and begins one that is due.
    pub(super) async fn remove_if_due(&mut self) -> Result<(), TurnError> {
        let has_ended = |removal: &Removal| removal.outcome.is_some() || removal.task.is_finished();
        if self.removal.as_ref().is_some_and(has_ended) {
            self.end_removal().await?;
        }
        if self.removal.is_none() && self.flight.is_to_be_removed(Instant::now()) {
            self.begin_removal();
        }
        Ok(())
    }

    /// Removes all that arrived.
    pub(super) async fn remove_all(&mut self) -> Result<(), TurnError> {
        while !self.flight.delivered().is_empty() {
            if self.removal.is_none() {
                self.begin_removal();
            }
            self.end_removal().await?;
        }
        Ok(())
    }

    fn begin_removal(&mut self) {
        let (store, ids) = (Arc::clone(&self.store), self.flight.delivered().to_vec());
        let (rows, leases) = (ids.len(), self.holdings.leases().to_vec());
        let removal = async move { in_time(store.remove_sent(&leases, &ids)).await };
        self.removal = Some(Removal { rows, task: tokio::spawn(removal), outcome: None });
    }

    async fn end_removal(&mut self) -> Result<(), TurnError> {
        ends(&mut self.removal).await;
        let Some(Removal { rows, outcome, .. }) = self.removal.take() else { return Ok(()) };
        outcome.transpose()?;
        self.flight.removed(rows, Instant::now());
        Ok(())
    }
}
