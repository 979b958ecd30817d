//! Entries on their way to the disk. The ledger, and with it every reader, sees an entry only once it is durable: what a
//! client has seen can't be undone by a crash.

use std::collections::VecDeque;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::ledger::Entry;
use super::{Shared, State};
use crate::journal::{JournalError, Pending};

/// Entries that are written and not durable yet, in the journal's order.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    next: u64,
    entries: VecDeque<Written>,
}

#[derive(Debug)]
struct Written {
    number: u64,
    entry: Entry,
    /// Whether it became durable; none while that isn't known.
    is_durable: Option<bool>,
    applied: oneshot::Sender<bool>,
}

impl InFlight {
    /// All entries that may become durable, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let hopeful = self.entries.iter().filter(|written| written.is_durable != Some(false));
        hopeful.map(|written| &written.entry)
    }

    /// Whether any of them is about this group.
    pub fn concerns(&self, id: &str) -> bool {
        self.entries().any(|entry| match entry {
            Entry::Group(record) => record.group == id,
            Entry::GroupDeleted { group }
            | Entry::Committed { group, .. }
            | Entry::Staged { group, .. }
            | Entry::OffsetsRemoved { group, .. } => group == id,
            Entry::Finished { .. } | Entry::TopicsRemoved { .. } => false,
        })
    }
}

/// Waits until an entry is durable and visible.
#[derive(Debug)]
pub(super) struct Applied(oneshot::Receiver<bool>);

impl IntoFuture for Applied {
    type Output = Result<(), ResponseError>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.0.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(ResponseError::CoordinatorNotAvailable),
            }
        })
    }
}

impl Shared {
    /// Writes an entry. It goes its way whether or not anybody waits for it.
    ///
    /// # Errors
    /// When it can't be written: `COORDINATOR_NOT_AVAILABLE`, which clients retry.
    pub(super) fn write(
        self: &Arc<Self>,
        state: &mut State,
        entry: Entry,
    ) -> Result<Applied, ResponseError> {
        let pending = self.journal.push(&entry.encode()).map_err(|error| refused(&error))?;
        let (applied, receiver) = oneshot::channel();
        state.in_flight.next += 1;
        let number = state.in_flight.next;
        state.in_flight.entries.push_back(Written { number, entry, is_durable: None, applied });
        tokio::spawn(Arc::clone(self).settle(number, pending));
        Ok(Applied(receiver))
    }

    async fn settle(self: Arc<Self>, number: u64, pending: Pending) {
        let outcome = pending.durable().await;
        if let Err(error) = &outcome {
            refused(error);
        }
        let mut state = self.lock();
        state.settle(number, outcome.is_ok());
        if self.journal.wants_rewrite() {
            self.rewrite(&state);
        }
    }

    /// Writes the journal anew, with what counts only.
    fn rewrite(&self, state: &State) {
        let kept = state.ledger.entries();
        let entries = kept.iter().chain(state.in_flight.entries());
        if let Err(error) = self.journal.rewrite(entries.map(Entry::encode)) {
            tracing::warn!("the groups' journal can't be made smaller, and grows on: {error}");
        }
    }
}

impl State {
    /// An entry is durable or lost. Entries are applied in the journal's order, whoever hears of theirs first.
    fn settle(&mut self, number: u64, is_durable: bool) {
        let entries = &mut self.in_flight.entries;
        if let Some(written) = entries.iter_mut().find(|written| written.number == number) {
            written.is_durable = Some(is_durable);
        }
        while let Some(is_durable) = entries.front().and_then(|written| written.is_durable) {
            let Some(written) = entries.pop_front() else { return };
            if is_durable {
                self.ledger.apply(written.entry);
            }
            // Whoever is gone needs no answer.
            let _ = written.applied.send(is_durable);
        }
    }
}

fn refused(error: &JournalError) -> ResponseError {
    tracing::error!("a change of a group is refused, for it can't be made durable: {error}");
    ResponseError::CoordinatorNotAvailable
}
