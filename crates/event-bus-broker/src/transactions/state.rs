//! One transactional id: what Kafka's `TransactionMetadata` is. Pure: requests and the time go in, the next state or a
//! protocol error comes out.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::partition::Outcome;

/// A producer's id and epoch, as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub producer_id: i64,
    pub epoch: i16,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Nothing was done since the producer was initialised.
    Empty,
    Ongoing,
    /// It is decided; partitions and groups have to be told, whatever happens.
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Phase {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Names that ListTransactions may filter by. The last three are states of Kafka's that never last here.
    pub const NAMES: [&'static str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "PrepareEpochFence",
        "Dead",
    ];

    /// What was decided, while it is carried out.
    pub fn prepared(self) -> Option<Outcome> {
        match self {
            Self::PrepareCommit => Some(Outcome::Commit),
            Self::PrepareAbort => Some(Outcome::Abort),
            Self::Empty | Self::Ongoing | Self::CompleteCommit | Self::CompleteAbort => None,
        }
    }

    fn prepare(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Commit => Self::PrepareCommit,
            Outcome::Abort => Self::PrepareAbort,
        }
    }
}

/// Which transaction protocol the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    /// Partitions are added by request; the epoch changes with each initialisation.
    Classic,
    /// KIP-890: a produce adds its partition, and the epoch changes with each transaction.
    EpochPerTransaction,
}

const NO_PRODUCER: i64 = -1;
const NO_EPOCH: i16 = -1;
/// The last epoch that a producer gets; the one after it is for fencing it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The state of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub producer_id: i64,
    pub epoch: i16,
    /// The producer id before the current one, for a producer that repeats the request that changed it.
    pub previous_producer_id: i64,
    /// The producer id that follows when a transaction completes that used up the epochs.
    pub next_producer_id: i64,
    /// The epoch before the current one, for a producer that repeats the request that changed it.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub phase: Phase,
    pub protocol: Protocol,
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
    /// Groups that offsets were added for.
    pub groups: BTreeSet<String>,
    /// When the current transaction began, in milliseconds since 1970; -1 without one.
    pub started_ms: i64,
    pub updated_ms: i64,
}

/// What an InitProducerId comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// This state is stored and its identity returned.
    Ready(Transaction),
    /// A transaction of the producer's predecessor is open: this state aborts it, and the client tries again.
    AbortFirst(Transaction),
}

/// What an EndTxn comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// This state is stored and carried out.
    Prepare(Transaction),
    /// The request is a repetition of one that was carried out.
    Repeated(Identity),
}

impl Transaction {
    /// A transactional id that is seen for the first time; [`Transaction::init`] makes it usable.
    pub fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer_id,
            epoch: NO_EPOCH,
            previous_producer_id: NO_PRODUCER,
            next_producer_id: NO_PRODUCER,
            last_epoch: NO_EPOCH,
            timeout_ms,
            phase: Phase::Empty,
            protocol: Protocol::Classic,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            started_ms: -1,
            updated_ms: now_ms,
        }
    }

    /// Who the current producer is.
    pub fn identity(&self) -> Identity {
        Identity { producer_id: self.producer_id, epoch: self.epoch }
    }

    /// Whether the next initialisation or, with an epoch per transaction, the next end needs a fresh producer id.
    pub fn is_epoch_exhausted(&self) -> bool {
        self.epoch >= LAST_EPOCH
    }

    /// A producer begins, or goes on after an error as `expected`. `fresh_producer_id` is used when the epochs of the
    /// current one are exhausted.
    ///
    /// # Errors
    /// When the producer was fenced, or a decided transaction is still carried out.
    pub fn init(
        &self,
        expected: Option<Identity>,
        timeout_ms: i32,
        fresh_producer_id: i64,
        now_ms: i64,
    ) -> Result<Init, ResponseError> {
        if expected.is_some_and(|expected| !self.knows(expected)) {
            return Err(ResponseError::ProducerFenced);
        }
        match self.phase {
            Phase::PrepareCommit | Phase::PrepareAbort => {
                return Err(ResponseError::ConcurrentTransactions);
            }
            Phase::Ongoing => return Ok(Init::AbortFirst(self.fence(now_ms))),
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort => {}
        }
        let mut next = Self {
            timeout_ms,
            phase: Phase::Empty,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            started_ms: -1,
            updated_ms: now_ms,
            ..self.clone()
        };
        let is_current = expected.is_none_or(|expected| expected.epoch == self.epoch);
        if self.is_epoch_exhausted() && is_current {
            next.producer_id = fresh_producer_id;
            next.epoch = 0;
            let continues = expected.is_some();
            next.previous_producer_id = if continues { self.producer_id } else { NO_PRODUCER };
            next.last_epoch = if continues { self.epoch } else { NO_EPOCH };
            return Ok(Init::Ready(next));
        }
        if self.is_epoch_exhausted() {
            return Err(ResponseError::ProducerFenced);
        }
        match expected {
            None => {
                next.epoch = self.epoch + 1;
                next.last_epoch = NO_EPOCH;
            }
            Some(_) if is_current || self.epoch == NO_EPOCH => {
                next.epoch = self.epoch + 1;
                next.last_epoch = self.epoch;
            }
            // The answer to its last request was lost: nobody else was initialised since, or `last_epoch` were none.
            Some(expected) if expected.epoch == self.last_epoch => {}
            Some(_) => return Err(ResponseError::ProducerFenced),
        }
        Ok(Init::Ready(next))
    }

    /// Whether a producer that names itself so may be the current one.
    fn knows(&self, expected: Identity) -> bool {
        self.epoch == NO_EPOCH
            || expected.producer_id == self.producer_id
            || (expected.producer_id == self.previous_producer_id && expected.epoch >= LAST_EPOCH)
    }

    /// Adds partitions and groups; `None` when they are part of the transaction already.
    ///
    /// # Errors
    /// When the producer is not the current one, or its last transaction is still carried out.
    pub fn add(
        &self,
        producer: Identity,
        partitions: &BTreeMap<String, BTreeSet<i32>>,
        groups: &BTreeSet<String>,
        protocol: Protocol,
        now_ms: i64,
    ) -> Result<Option<Self>, ResponseError> {
        self.check_current(producer)?;
        let has_all = partitions.iter().all(|(topic, partitions)| {
            self.partitions.get(topic).is_some_and(|known| known.is_superset(partitions))
        });
        if self.phase == Phase::Ongoing && has_all && groups.is_subset(&self.groups) {
            return Ok(None);
        }
        let mut next = self.clone();
        if self.phase != Phase::Ongoing {
            next.phase = Phase::Ongoing;
            next.started_ms = now_ms;
            next.partitions.clear();
            next.groups.clear();
        }
        next.protocol = protocol;
        next.updated_ms = now_ms;
        for (topic, partitions) in partitions {
            next.partitions.entry(topic.clone()).or_default().extend(partitions);
        }
        next.groups.extend(groups.iter().cloned());
        Ok(Some(next))
    }

    /// Whether the producer's open transaction has this partition.
    ///
    /// # Errors
    /// When the producer is not the current one, or the transaction is not open or lacks the partition.
    pub fn verify(
        &self,
        producer: Identity,
        topic: &str,
        partition: i32,
    ) -> Result<(), ResponseError> {
        self.check_current(producer)?;
        let is_part =
            self.partitions.get(topic).is_some_and(|partitions| partitions.contains(&partition));
        match self.phase == Phase::Ongoing && is_part {
            true => Ok(()),
            false => Err(ResponseError::TransactionAbortable),
        }
    }

    /// Whether offsets of the group may be committed in the producer's open transaction.
    ///
    /// # Errors
    /// As for a partition.
    pub fn verify_group(&self, producer: Identity, group: &str) -> Result<(), ResponseError> {
        self.check_current(producer)?;
        match self.phase == Phase::Ongoing && self.groups.contains(group) {
            true => Ok(()),
            false => Err(ResponseError::TransactionAbortable),
        }
    }

    fn check_current(&self, producer: Identity) -> Result<(), ResponseError> {
        if self.producer_id != producer.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if self.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        if self.phase.prepared().is_some() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        Ok(())
    }

    /// Decides the transaction as its producer asks. `fresh_producer_id` follows when the epochs are exhausted.
    ///
    /// # Errors
    /// When the producer is not the current one, or there is no such transaction to end.
    pub fn end(
        &self,
        producer: Identity,
        outcome: Outcome,
        protocol: Protocol,
        fresh_producer_id: i64,
        now_ms: i64,
    ) -> Result<End, ResponseError> {
        match protocol {
            Protocol::Classic => self.end_classic(producer, outcome, now_ms),
            Protocol::EpochPerTransaction => {
                self.end_with_epoch(producer, outcome, fresh_producer_id, now_ms)
            }
        }
    }

    fn end_classic(
        &self,
        producer: Identity,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<End, ResponseError> {
        if self.producer_id != producer.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if self.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        match (self.phase, outcome) {
            (Phase::Ongoing, _) => {
                Ok(End::Prepare(self.decide(outcome, Protocol::Classic, NO_PRODUCER, now_ms)))
            }
            (Phase::CompleteCommit, Outcome::Commit) | (Phase::CompleteAbort, Outcome::Abort) => {
                Ok(End::Repeated(self.identity()))
            }
            (Phase::PrepareCommit, Outcome::Commit) | (Phase::PrepareAbort, Outcome::Abort) => {
                Err(ResponseError::ConcurrentTransactions)
            }
            (
                Phase::Empty
                | Phase::PrepareCommit
                | Phase::PrepareAbort
                | Phase::CompleteCommit
                | Phase::CompleteAbort,
                _,
            ) => Err(ResponseError::InvalidTxnState),
        }
    }

    fn end_with_epoch(
        &self,
        producer: Identity,
        outcome: Outcome,
        fresh_producer_id: i64,
        now_ms: i64,
    ) -> Result<End, ResponseError> {
        let repeats_overflow = self.previous_producer_id == producer.producer_id
            && producer.epoch == LAST_EPOCH
            && self.epoch == 0;
        let repeats_bump = self.last_epoch != NO_EPOCH
            && producer.epoch == self.last_epoch
            && producer.epoch.checked_add(1) == Some(self.epoch);
        if self.producer_id != producer.producer_id && !repeats_overflow {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        let is_current = producer.epoch == self.epoch;
        let is_valid = match self.phase {
            Phase::Empty | Phase::Ongoing => is_current,
            Phase::PrepareCommit | Phase::PrepareAbort => repeats_bump,
            Phase::CompleteCommit | Phase::CompleteAbort => {
                repeats_bump || repeats_overflow || is_current
            }
        };
        if !is_valid {
            return Err(ResponseError::ProducerFenced);
        }
        let repeats = repeats_bump || repeats_overflow;
        let prepare = |transaction: Self| {
            let protocol = Protocol::EpochPerTransaction;
            Ok(End::Prepare(transaction.decide(outcome, protocol, fresh_producer_id, now_ms)))
        };
        match (self.phase, outcome) {
            (Phase::Ongoing, _) => prepare(self.clone()),
            (Phase::CompleteCommit, Outcome::Commit) | (Phase::CompleteAbort, Outcome::Abort)
                if repeats =>
            {
                Ok(End::Repeated(self.identity()))
            }
            (Phase::PrepareCommit, Outcome::Commit) | (Phase::PrepareAbort, Outcome::Abort) => {
                Err(ResponseError::ConcurrentTransactions)
            }
            // An abort of nothing: no partition was added, and still the epoch has to change.
            (Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort, Outcome::Abort)
                if !repeats =>
            {
                prepare(self.emptied(now_ms))
            }
            (
                Phase::Empty
                | Phase::PrepareCommit
                | Phase::PrepareAbort
                | Phase::CompleteCommit
                | Phase::CompleteAbort,
                _,
            ) => Err(ResponseError::InvalidTxnState),
        }
    }

    fn emptied(&self, now_ms: i64) -> Self {
        Self {
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            started_ms: now_ms,
            ..self.clone()
        }
    }

    /// The state in which the outcome is fixed. Its epoch is the markers'.
    fn decide(
        &self,
        outcome: Outcome,
        protocol: Protocol,
        fresh_producer_id: i64,
        now_ms: i64,
    ) -> Self {
        let mut next = self.clone();
        next.phase = Phase::prepare(outcome);
        next.protocol = protocol;
        next.updated_ms = now_ms;
        if protocol == Protocol::EpochPerTransaction {
            if self.is_epoch_exhausted() {
                next.next_producer_id = fresh_producer_id;
            }
            next.last_epoch = self.epoch;
            next.epoch = self.epoch.saturating_add(1);
        }
        next
    }

    /// Aborts the open transaction against its producer, which finds itself fenced.
    pub fn fence(&self, now_ms: i64) -> Self {
        let mut fenced = self.clone();
        fenced.epoch = self.epoch.saturating_add(1);
        fenced.last_epoch = NO_EPOCH;
        let mut next = fenced.decide(Outcome::Abort, self.protocol, NO_PRODUCER, now_ms);
        // Whoever initialises next gets a fresh producer id then; nothing may go on with this one.
        next.next_producer_id = NO_PRODUCER;
        next
    }

    /// Whether the transaction is open for longer than its producer allowed.
    pub fn is_timed_out(&self, now_ms: i64) -> bool {
        self.phase == Phase::Ongoing
            && now_ms.saturating_sub(self.started_ms) > i64::from(self.timeout_ms)
    }

    /// The state after everybody was told of the outcome.
    pub fn completed(&self, now_ms: i64) -> Self {
        let mut next = Self {
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            updated_ms: now_ms,
            ..self.clone()
        };
        next.phase = match self.phase {
            Phase::PrepareCommit => Phase::CompleteCommit,
            Phase::PrepareAbort => Phase::CompleteAbort,
            other @ (Phase::Empty
            | Phase::Ongoing
            | Phase::CompleteCommit
            | Phase::CompleteAbort) => other,
        };
        if self.next_producer_id != NO_PRODUCER {
            next.previous_producer_id = self.producer_id;
            next.producer_id = self.next_producer_id;
            next.next_producer_id = NO_PRODUCER;
            next.epoch = 0;
        }
        next
    }

    /// Who the producer is once the transaction is complete: what EndTxn tells a client whose epoch changes with it.
    pub fn identity_after(&self) -> Identity {
        match self.next_producer_id {
            NO_PRODUCER => self.identity(),
            producer_id => Identity { producer_id, epoch: 0 },
        }
    }
}
