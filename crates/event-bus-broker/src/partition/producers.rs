//! What a partition knows about its producers: their sequence numbers, and which transactions are open.
//!
//! Kafka's `ProducerStateManager`, without its snapshots: everything is rebuilt from the batches' headers.

use std::collections::{BTreeMap, HashMap, VecDeque};

use kafka_protocol::ResponseError;

use crate::log::BatchHeader;

/// How many of a producer's last batches are recognised when they come again. Clients keep at most five requests on
/// their way.
const REMEMBERED_BATCHES: usize = 5;

/// A producer that wrote nothing for this long is forgotten (`producer.id.expiration.ms`).
const EXPIRATION_MS: i64 = 24 * 60 * 60 * 1000;

/// An epoch or sequence number that is none.
const NONE: i16 = -1;

/// A batch that a producer wrote, as much as is needed to recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: i64,
    pub last_offset: i64,
    /// The batch's latest timestamp, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// One producer, as the partition knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub epoch: i16,
    /// The last batches of this epoch, oldest first.
    pub batches: VecDeque<Written>,
    /// -1 before the first transaction marker.
    pub coordinator_epoch: i32,
    /// In milliseconds since 1970.
    pub last_timestamp_ms: i64,
    /// First offset of its open transaction.
    pub open_since: Option<i64>,
    /// When it was first found idle, in milliseconds since 1970; `None` when it wrote since. By the broker's clock: the
    /// records of a producer that writes history are dated long ago.
    idle_since_ms: Option<i64>,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp_ms: -1,
            open_since: None,
            idle_since_ms: None,
        }
    }

    /// The last sequence number of the current epoch, -1 without one.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn enter(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

/// What the transaction coordinator said about a transactional batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It was not asked yet. That suffices while the transaction is already open in the partition.
    Unknown,
    /// The partition is part of the producer's current transaction.
    Verified,
    /// The same, of a producer whose epoch changes with each transaction (KIP-890): it begins each at sequence 0.
    VerifiedWithOwnEpoch,
}

/// What becomes of a batch that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    Append,
    /// It is in the log already.
    Duplicate(Written),
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A newer instance of the producer wrote already.
    #[error(
        "producer {producer_id} has epoch {current}, and {epoch} is older: this instance was replaced"
    )]
    StaleEpoch { producer_id: i64, epoch: i16, current: i16 },
    /// Batches before this one are missing.
    #[error(
        "producer {producer_id} sent sequence {sequence} after {last}: what lies between is missing"
    )]
    OutOfOrder { producer_id: i64, sequence: i32, last: i32 },
    /// A batch outside of the producer's open transaction.
    #[error("producer {producer_id} has an open transaction, and the batch is not part of it")]
    OutsideTransaction { producer_id: i64 },
    /// The coordinator has to be asked whether the partition is part of the transaction.
    #[error("producer {producer_id} has no transaction open here: ask the coordinator")]
    Unverified { producer_id: i64 },
}

impl Refusal {
    /// The protocol's error for it.
    pub fn response_error(self) -> ResponseError {
        match self {
            Self::StaleEpoch { .. } => ResponseError::InvalidProducerEpoch,
            Self::OutOfOrder { .. } => ResponseError::OutOfOrderSequenceNumber,
            Self::OutsideTransaction { .. } | Self::Unverified { .. } => {
                ResponseError::InvalidTxnState
            }
        }
    }
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Open transactions: first offset → producer id.
    open: BTreeMap<i64, i64>,
}

impl Producers {
    /// Whether the batch may be appended, or was already. Batches without a producer id always may.
    ///
    /// # Errors
    /// When it is out of sequence, of a fenced producer, or doesn't fit the producer's transaction.
    pub fn check(&self, batch: &BatchHeader, membership: Membership) -> Result<Verdict, Refusal> {
        if batch.producer_id < 0 {
            return Ok(Verdict::Append);
        }
        let producer_id = batch.producer_id;
        let known = self.by_id.get(&producer_id);
        let is_open = known
            .is_some_and(|known| known.open_since.is_some() && known.epoch == batch.producer_epoch);
        if batch.is_transactional() && !is_open && membership == Membership::Unknown {
            return Err(Refusal::Unverified { producer_id });
        }
        if let Some(known) = known {
            if let Some(written) = known.duplicate(batch) {
                return Ok(Verdict::Duplicate(written));
            }
            if batch.producer_epoch < known.epoch {
                let (epoch, current) = (batch.producer_epoch, known.epoch);
                return Err(Refusal::StaleEpoch { producer_id, epoch, current });
            }
        }
        if !follows(known, batch, membership) {
            let last = known.map_or(-1, Producer::last_sequence);
            let sequence = batch.base_sequence;
            return Err(Refusal::OutOfOrder { producer_id, sequence, last });
        }
        if known.is_some_and(|known| known.open_since.is_some()) && !batch.is_transactional() {
            return Err(Refusal::OutsideTransaction { producer_id });
        }
        Ok(Verdict::Append)
    }

    /// Takes note of a data batch that is in the log now, at `batch.base_offset`.
    pub fn wrote(&mut self, batch: &BatchHeader) {
        if batch.producer_id < 0 {
            return;
        }
        let producer = self
            .by_id
            .entry(batch.producer_id)
            .or_insert_with(|| Producer::new(batch.producer_epoch));
        producer.enter(batch.producer_epoch);
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            last_offset: batch.last_offset(),
            timestamp_ms: batch.max_timestamp,
        });
        producer.last_timestamp_ms = batch.max_timestamp;
        producer.idle_since_ms = None;
        if batch.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(batch.base_offset);
            self.open.insert(batch.base_offset, batch.producer_id);
        }
    }

    /// Takes note of a transaction marker that is in the log now. Returns the first offset of the transaction that it
    /// ends, if that wrote anything here.
    pub fn ended(&mut self, marker: &BatchHeader, coordinator_epoch: i32) -> Option<i64> {
        let producer = self
            .by_id
            .entry(marker.producer_id)
            .or_insert_with(|| Producer::new(marker.producer_epoch));
        producer.enter(marker.producer_epoch);
        producer.coordinator_epoch = coordinator_epoch;
        producer.last_timestamp_ms = marker.max_timestamp;
        producer.idle_since_ms = None;
        let first_offset = producer.open_since.take()?;
        self.open.remove(&first_offset);
        Some(first_offset)
    }

    /// The newest epoch that the partition has seen of a producer.
    pub fn epoch_of(&self, producer_id: i64) -> Option<i16> {
        self.by_id.get(&producer_id).map(|producer| producer.epoch)
    }

    /// Whether the producer has a transaction open here.
    pub fn has_open(&self, producer_id: i64) -> bool {
        self.by_id.get(&producer_id).is_some_and(|producer| producer.open_since.is_some())
    }

    /// The first offset of the oldest open transaction.
    pub fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// All producers that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// Forgets producers that wrote nothing for a day and have no transaction open. Their time begins with the first
    /// call that finds them idle.
    pub fn expire(&mut self, now_ms: i64) {
        self.by_id.retain(|_, producer| {
            let idle_since_ms = *producer.idle_since_ms.get_or_insert(now_ms);
            let is_idle = now_ms.saturating_sub(idle_since_ms) >= EXPIRATION_MS;
            producer.open_since.is_some() || !is_idle
        });
    }
}

impl Producer {
    fn duplicate(&self, batch: &BatchHeader) -> Option<Written> {
        if self.epoch != batch.producer_epoch {
            return None;
        }
        let range = (batch.base_sequence, batch.last_sequence());
        self.batches
            .iter()
            .find(|written| (written.first_sequence, written.last_sequence) == range)
            .copied()
    }
}

/// Whether the batch's sequence number is the next one. A producer that the partition doesn't know may begin anywhere:
/// retention may have taken what it wrote. One whose epoch changes with each transaction can't be in that position.
fn follows(known: Option<&Producer>, batch: &BatchHeader, membership: Membership) -> bool {
    let first = batch.base_sequence;
    let has_batches = known.is_some_and(|known| !known.batches.is_empty());
    if membership == Membership::VerifiedWithOwnEpoch && !has_batches && first != 0 {
        return false;
    }
    match known {
        None => true,
        Some(known) if known.epoch == NONE => true,
        Some(known) if known.epoch != batch.producer_epoch => first == 0,
        Some(known) => match known.last_sequence() {
            i32::MAX => first == 0,
            last => first == last + 1,
        },
    }
}
