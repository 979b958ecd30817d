//! One partition: its log, what it knows of producers and transactions, which records are visible, and who waits for
//! more.
//!
//! Invariant: nobody is shown, or told of, a record that a crash could take back. What is appended becomes visible
//! with its acknowledgement, by [`Partition::settle`].

mod append;
mod follow;
mod marker;
mod payload;
mod producers;
mod read;
mod replay;
mod stability;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;

use crate::log::{
    BatchHeader, Compaction, FlushError, Flusher, Log, LogSettings, OpenError, ReadError,
    TruncateError,
};
use crate::node::LEADER_EPOCH;

use append::Reach;
pub(crate) use append::{AppendError, Appended};
use follow::Following;
pub(crate) use marker::Outcome;
pub(crate) use payload::PayloadError;
use producers::Producers;
pub(crate) use producers::{Membership, Refusal};
pub(crate) use read::{Isolation, PartitionRead, Records, Slice, TimedOffset};
use stability::Stability;
#[cfg(test)]
pub(crate) use tests::Batch;

/// One partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    topic: String,
    index: i32,
    flusher: Flusher,
    state: Mutex<State>,
    following: Following,
}

#[derive(Debug)]
struct State {
    log: Log,
    settings: LogSettings,
    producers: Producers,
    stability: Stability,
    /// Up to where the log is written.
    written: Reach,
    /// Up to where it is acknowledged and shown (Kafka's high watermark).
    visible: Reach,
    /// Counts how often the unacknowledged tail was given up. What was appended before that can't be acknowledged.
    generation: u64,
    /// A write or sync failed, and the log could not be cut back to what is visible yet.
    needs_recovery: bool,
    /// The topic was deleted, or the broker stops.
    is_closed: bool,
}

/// What could not be done to a partition's storage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// A sync failed.
    #[error("{topic}-{partition}: what was appended is not durable and is taken back: {source}")]
    Flush { topic: String, partition: i32, source: FlushError },
    /// A sync of somebody else's records failed, and those after them went too.
    #[error("{topic}-{partition}: what was appended is taken back, for a write before it failed")]
    GivenUp { topic: String, partition: i32 },
    /// The log can't be read back.
    #[error("{topic}-{partition}: the log can't be read: {source}")]
    Read { topic: String, partition: i32, source: ReadError },
    /// The topic is gone.
    #[error("{topic}-{partition} does not exist any more")]
    Closed { topic: String, partition: i32 },
}

impl StorageError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Flush { .. } | Self::GivenUp { .. } | Self::Read { .. } => {
                ResponseError::KafkaStorageError
            }
            Self::Closed { .. } => ResponseError::UnknownTopicOrPartition,
        }
    }
}

/// Whether a client knows the leader's epoch, which never changes; -1 is for a client that doesn't say.
///
/// # Errors
/// `UnknownLeaderEpoch` for one that is still to come, `FencedLeaderEpoch` for one that never was.
pub(crate) fn check_leader_epoch(epoch: i32) -> Result<(), ResponseError> {
    match epoch {
        -1 | LEADER_EPOCH => Ok(()),
        epoch if epoch > LEADER_EPOCH => Err(ResponseError::UnknownLeaderEpoch),
        _ => Err(ResponseError::FencedLeaderEpoch),
    }
}

/// Where a partition's records begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The first offset that is kept.
    pub log_start: i64,
    /// The end of what transactions have settled; `read_committed` consumers see up to here.
    pub last_stable: i64,
    /// The end of what is acknowledged; others see up to here.
    pub high_watermark: i64,
}

impl Partition {
    /// Opens the partition of this topic and index in `dir`, or one in memory. Everything in it is visible at once,
    /// for opening makes it durable.
    ///
    /// # Errors
    /// When the directory can't be used or the log is damaged.
    pub fn open(
        dir: Option<&Path>,
        (topic, index): (&str, i32),
        settings: LogSettings,
        flusher: Flusher,
    ) -> Result<Arc<Self>, OpenError> {
        let mut replay = replay::Replay::default();
        let log = Log::open(dir, settings.clone(), |batch| replay.saw(batch))?;
        let (producers, stability) = replay.finish(&log).map_err(OpenError::from)?;
        let reach = Reach { end: log.end_offset(), bytes: 0 };
        let mut state = State {
            log,
            settings,
            producers,
            stability,
            written: reach,
            visible: reach,
            generation: 0,
            needs_recovery: false,
            is_closed: false,
        };
        state.stability.visible_up_to(reach.end);
        Ok(Arc::new(Self {
            topic: topic.to_owned(),
            index,
            flusher,
            state: Mutex::new(state),
            following: Following::default(),
        }))
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number in its topic.
    pub fn index(&self) -> i32 {
        self.index
    }

    /// Takes over changed settings of the topic.
    pub fn configure(&self, settings: LogSettings) {
        let mut state = self.lock();
        state.log.configure(settings.clone());
        state.settings = settings;
    }

    /// Checks what a producer sent for this partition, and returns its only batch.
    ///
    /// # Errors
    /// When it is anything but one batch that the topic takes.
    pub fn check<'a>(
        &self,
        payload: &'a [u8],
        version: i16,
        now_ms: i64,
    ) -> Result<(BatchHeader, &'a [u8]), PayloadError> {
        let settings = self.lock().settings.clone();
        payload::check(payload, version, &settings, now_ms)
    }

    /// The log's size, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.lock().log.size_bytes()
    }

    /// The bytes that became visible since the partition was opened: the difference of two is what came in between.
    pub fn shown_bytes(&self) -> u64 {
        self.lock().visible.bytes
    }

    /// Where the partition's records begin and end.
    pub fn bounds(&self) -> Bounds {
        self.lock().bounds()
    }

    /// Whether the topic is gone.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Refuses all further work, as the topic is deleted or the broker stops, wakes who waits, and puts the log on disk.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        // What could not be taken back may be there when the log is opened again, as after a crash.
        if !state.needs_recovery
            && let Err(error) = state.log.close()
        {
            tracing::warn!(topic = self.topic, partition = self.index, %error, "the log is not closed cleanly");
        }
        drop(state);
        self.following.wake();
    }

    /// Applies retention and compaction, and forgets producers that went silent. The partition is free for others while
    /// a compaction runs.
    pub fn clean(&self, now_ms: i64) {
        if let Err(error) = self.retain(now_ms).and_then(|due| self.compact(due)) {
            let (topic, partition) = (&self.topic, self.index);
            tracing::error!(topic, partition, %error, "old records can't be cleaned up; the next round tries again");
        }
    }

    /// Applies retention, and returns the compaction that is due.
    fn retain(&self, now_ms: i64) -> Result<Option<Compaction>, TruncateError> {
        let mut state = self.lock();
        if state.is_closed || state.needs_recovery {
            return Ok(None);
        }
        state.producers.expire(now_ms);
        let Bounds { last_stable, .. } = state.bounds();
        let State { log, stability, .. } = &mut *state;
        log.retain(now_ms, last_stable)?;
        stability.forget_before(log.start_offset());
        Ok(log.compaction(now_ms, last_stable))
    }

    fn compact(&self, due: Option<Compaction>) -> Result<(), TruncateError> {
        let Some(compaction) = due else { return Ok(()) };
        let compacted = compaction.run()?;
        let mut state = self.lock();
        if !state.is_closed && !state.needs_recovery {
            state.log.install(compacted)?;
        }
        Ok(())
    }

    /// What the partition knows of its producers, for DescribeProducers.
    pub fn producers(&self) -> Vec<ActiveProducer> {
        let state = self.lock();
        let active = state.producers.iter().map(|(producer_id, producer)| ActiveProducer {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp_ms: producer.last_timestamp_ms,
            coordinator_epoch: producer.coordinator_epoch,
            open_since: producer.open_since,
        });
        active.collect()
    }

    /// Deletes the records before `before`, or before the high watermark without one, and returns the log's new start.
    ///
    /// # Errors
    /// When the offset is not between 0 and the high watermark, or the new start can't be stored.
    pub fn delete_records(&self, before: Option<i64>) -> Result<i64, ResponseError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if !state.settings.cleanup.delete && state.settings.cleanup.compact {
            return Err(ResponseError::PolicyViolation);
        }
        let before = before.unwrap_or(state.visible.end);
        if !(0..=state.visible.end).contains(&before) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if before > state.log.start_offset() {
            let State { log, stability, .. } = &mut *state;
            log.delete_records_before(before).map_err(|error| {
                tracing::error!(topic = self.topic, partition = self.index, %error, "records can't be deleted");
                ResponseError::KafkaStorageError
            })?;
            stability.forget_before(before);
        }
        Ok(state.log.start_offset())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is only changed after what can fail, so that a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> StorageError {
        StorageError::Closed { topic: self.topic.clone(), partition: self.index }
    }
}

/// One of a partition's producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActiveProducer {
    pub producer_id: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    pub last_timestamp_ms: i64,
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub open_since: Option<i64>,
}

impl State {
    fn bounds(&self) -> Bounds {
        let log_start = self.log.start_offset();
        let last_stable = self.stability.last_stable(self.producers.first_open(), self.visible.end);
        Bounds {
            log_start,
            // Deleted records can't hold anybody back.
            last_stable: last_stable.max(log_start),
            high_watermark: self.visible.end,
        }
    }
}
