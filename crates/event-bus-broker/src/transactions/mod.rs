//! Producer ids, and the transaction coordinator.
//!
//! A transaction is decided by one durable entry in the journal. Then the partitions and groups are told, and then a
//! second entry says that this was done. A crash between the two is made up for at the next start, in the direction
//! that was decided.

mod entry;
mod finish;

mod ledger;
mod producer_ids;
mod state;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use tokio::sync::OwnedMutexGuard;

use crate::journal::{Journal, JournalError};
use crate::log::Flusher;
use crate::partition::Membership;

use entry::Entry;
use ledger::Ledger;
use producer_ids::ProducerIds;

pub(crate) use finish::{recover, sweep};
pub(crate) use state::{End, Identity, Init, Phase, Protocol, Transaction};

/// The coordinator.
#[derive(Debug)]
pub(crate) struct Transactions {
    journal: Journal,
    ledger: Mutex<Ledger>,
    producer_ids: tokio::sync::Mutex<ProducerIds>,
}

/// Why the coordinator can't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry is whole and says nothing that this version knows.
    #[error(
        "entry {index} of the transactions' journal can't be understood: {source}. Start the version of the broker \
         that wrote it"
    )]
    Entry { index: usize, source: serde_json::Error },
}

/// A transactional id that nobody else works on.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    coordinator: &'a Transactions,
    id: String,
    _gate: OwnedMutexGuard<()>,
}

/// The permission to append a transactional batch. While it is held, the transaction can't end.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    /// What the coordinator says about the batch.
    pub membership: Membership,
    _held: Held<'a>,
}

impl Transactions {
    /// Opens the coordinator with its journal at `path`, or one in memory. Before the broker answers requests, call
    /// [`recover`].
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn open(path: Option<&Path>, flusher: Flusher) -> Result<Self, OpenError> {
        let (journal, entries) = Journal::open(path, flusher)?;
        let mut ledger = Ledger::default();
        for (index, entry) in entries.iter().enumerate() {
            let entry = serde_json::from_slice(entry)
                .map_err(|source| OpenError::Entry { index, source })?;
            ledger.replay(entry);
        }
        let producer_ids = ProducerIds::after(ledger.producer_ids_below);
        Ok(Self {
            journal,
            ledger: Mutex::new(ledger),
            producer_ids: tokio::sync::Mutex::new(producer_ids),
        })
    }

    /// A producer id that was never given out.
    ///
    /// # Errors
    /// When the next block of ids can't be reserved durably.
    pub async fn next_producer_id(&self) -> Result<i64, ResponseError> {
        let mut ids = self.producer_ids.lock().await;
        if let Some(id) = ids.take() {
            return Ok(id);
        }
        let below = ids.next_block_end();
        let pending = {
            let mut ledger = self.lock();
            ledger.producer_ids_below = below;
            self.journal.push(&Entry::ProducerIds { below }.encode())
        };
        self.durable(pending).await?;
        ids.reserved(below);
        Ok(ids.take().expect("a block was just reserved"))
    }

    /// Takes a transactional id that exists for oneself.
    ///
    /// # Errors
    /// `InvalidProducerIdMapping` when there is none.
    pub async fn hold(&self, id: &str) -> Result<(Held<'_>, Transaction), ResponseError> {
        let gate = self.lock().gate(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let held = Held { coordinator: self, id: id.to_owned(), _gate: gate.lock_owned().await };
        let current = held.current().ok_or(ResponseError::InvalidProducerIdMapping)?;
        Ok((held, current))
    }

    /// Takes a transactional id for oneself, known or not.
    pub async fn hold_or_new(&self, id: &str) -> Held<'_> {
        loop {
            let gate = self.lock().gate_or_new(id);
            let guard = gate.clone().lock_owned().await;
            // The id may have been forgotten while this waited; its lock is another one then.
            if self.lock().is_gate_of(id, &gate) {
                return Held { coordinator: self, id: id.to_owned(), _gate: guard };
            }
        }
    }

    /// Whether a producer may write a transactional batch to a partition. With an epoch per transaction, this adds the
    /// partition to the transaction.
    ///
    /// # Errors
    /// When the producer is not the current one, or, classically, the partition was not added.
    pub async fn admit(
        &self,
        id: &str,
        producer: Identity,
        (topic, partition): (&str, i32),
        protocol: Protocol,
        now_ms: i64,
    ) -> Result<Admission<'_>, ResponseError> {
        let (held, current) = self.hold(id).await?;
        let membership = match protocol {
            Protocol::Classic => {
                current.verify(producer, topic, partition)?;
                Membership::Verified
            }
            Protocol::EpochPerTransaction => {
                let partitions = BTreeMap::from([(topic.to_owned(), BTreeSet::from([partition]))]);
                let next =
                    current.add(producer, &partitions, &BTreeSet::new(), protocol, now_ms)?;
                if let Some(next) = next {
                    held.store(next).await?;
                }
                Membership::VerifiedWithOwnEpoch
            }
        };
        Ok(Admission { membership, _held: held })
    }

    /// The state of a transactional id.
    pub fn describe(&self, id: &str) -> Option<Transaction> {
        self.lock().current(id).cloned()
    }

    /// All transactional ids for which `select` returns something.
    pub fn list<T>(&self, mut select: impl FnMut(&str, &Transaction) -> Option<T>) -> Vec<T> {
        self.lock().iter().filter_map(|(id, transaction)| select(id, transaction)).collect()
    }

    /// Makes everything durable, at the broker's stop.
    ///
    /// # Errors
    /// When that fails.
    pub fn close(&self) -> Result<(), JournalError> {
        self.journal.close()
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Each change is one assignment, so that a panic elsewhere leaves the ledger whole.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an entry; a client tries again when that fails, for the coordinator may recover.
    async fn durable(
        &self,
        pending: Result<crate::journal::Pending, JournalError>,
    ) -> Result<(), ResponseError> {
        let result = match pending {
            Ok(pending) => pending.durable().await,
            Err(error) => Err(error),
        };
        result.map_err(|error| {
            tracing::error!(%error, "the state of a transaction can't be stored");
            ResponseError::CoordinatorNotAvailable
        })
    }
}

impl Held<'_> {
    /// The id's state; `None` while it was never initialised.
    pub fn current(&self) -> Option<Transaction> {
        self.coordinator.lock().current(&self.id).cloned()
    }

    /// Makes `next` the state, durably.
    ///
    /// # Errors
    /// When it can't be stored; the state is as before then.
    pub async fn store(&self, next: Transaction) -> Result<(), ResponseError> {
        let entry = Entry::Transaction { id: self.id.clone(), state: Box::new(next.clone()) };
        let pending = {
            // The ledger stays locked between the push and the note of it, as a rewrite in between would lose it.
            let mut ledger = self.coordinator.lock();
            let pending = self.coordinator.journal.push(&entry.encode());
            ledger.wrote(&self.id, next);
            pending
        };
        let result = self.coordinator.durable(pending).await;
        self.coordinator.lock().settled(&self.id, result.is_ok());
        result
    }
}
