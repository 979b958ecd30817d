//! What consumers read: batches up to the visible end, offsets by time.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::log::{BatchHeader, Log, ReadError, Stretch};

use super::stability::Aborted;
use super::{Bounds, Partition, State, StorageError};

/// Which records a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// All that are acknowledged.
    Uncommitted,
    /// Those below the last stable offset; it leaves out what was aborted, of which it is told.
    Committed,
}

impl From<i8> for Isolation {
    fn from(level: i8) -> Self {
        if level == 1 { Self::Committed } else { Self::Uncommitted }
    }
}

/// What is asked of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub from: i64,
    pub max_bytes: usize,
    /// The first batch comes even when it has more bytes.
    pub at_least_one: bool,
    pub isolation: Isolation,
}

/// Whole batches.
#[derive(Clone, Debug)]
pub(crate) enum Records {
    /// In memory.
    Held(Bytes),
    /// To be read while they are sent.
    OnDisk(Stretch),
}

impl Records {
    pub fn len(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::OnDisk(stretch) => stretch.len(),
        }
    }

    /// The offset after the last record; `None` without any.
    fn end_offset(&self) -> Option<i64> {
        let mut rest = match self {
            Self::OnDisk(stretch) => return Some(stretch.end_offset()),
            Self::Held(bytes) => &bytes[..],
        };
        let mut end = None;
        while let Ok(batch) = BatchHeader::parse(rest) {
            end = Some(batch.next_offset());
            rest = rest.get(batch.bytes..).unwrap_or_default();
        }
        end
    }
}

/// What a partition answers.
#[derive(Clone, Debug)]
pub(crate) struct PartitionRead {
    pub records: Records,
    pub bounds: Bounds,
    /// For [`Isolation::Committed`], the aborted transactions that have records among these.
    pub aborted: Option<Vec<Aborted>>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartitionReadError {
    /// Before the first or after the last offset.
    #[error("{topic}-{partition} has offsets {start} to {end}, and {offset} is not among them")]
    OutOfRange { topic: String, partition: i32, offset: i64, start: i64, end: i64 },
    /// The log is closed or can't be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl PartitionReadError {
    /// The protocol's error for it. Damage is told as such: a consumer that retries it for ever would look idle.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
            Self::Storage(StorageError::Read { .. }) => ResponseError::CorruptMessage,
            Self::Storage(error) => error.response_error(),
        }
    }
}

/// An offset found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
}

impl Partition {
    /// Reads visible batches from `slice.from` on.
    ///
    /// # Errors
    /// When the offset is out of range or the log can't be read.
    pub fn read(&self, slice: Slice) -> Result<PartitionRead, PartitionReadError> {
        let state = self.lock();
        if state.is_closed {
            return Err(self.closed().into());
        }
        let bounds = state.bounds();
        let (start, end) = (bounds.log_start, state.log.end_offset());
        if !(start..=end).contains(&slice.from) {
            let (topic, partition, offset) = (self.topic.clone(), self.index, slice.from);
            return Err(PartitionReadError::OutOfRange { topic, partition, offset, start, end });
        }
        let upper = bounds.end(slice.isolation);
        let may_read = slice.from < upper && (slice.max_bytes > 0 || slice.at_least_one);
        let records = match may_read {
            true => records(&state.log, upper, slice).map_err(|source| self.unreadable(source))?,
            false => Records::Held(Bytes::new()),
        };
        let aborted = match slice.isolation {
            Isolation::Uncommitted => None,
            Isolation::Committed => Some(state.aborted(slice.from, &records)),
        };
        Ok(PartitionRead { records, bounds, aborted })
    }

    /// The first visible record whose time is `timestamp_ms` or later.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn offset_for_time(
        &self,
        timestamp_ms: i64,
        isolation: Isolation,
    ) -> Result<Option<TimedOffset>, StorageError> {
        let state = self.lock();
        let upper = state.bounds().end(isolation);
        let found = state.log.offset_for_time(timestamp_ms, upper);
        let found = found.map_err(|source| self.unreadable(source))?;
        Ok(found.map(|(offset, timestamp_ms)| TimedOffset { offset, timestamp_ms }))
    }

    /// The visible record with the latest time, the first one of several.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn latest_time(&self, isolation: Isolation) -> Result<Option<TimedOffset>, StorageError> {
        let state = self.lock();
        let upper = state.bounds().end(isolation);
        let found = state.log.max_timestamp(upper);
        let found = found.map_err(|source| self.unreadable(source))?;
        Ok(found.map(|(offset, timestamp_ms)| TimedOffset { offset, timestamp_ms }))
    }

    fn unreadable(&self, source: ReadError) -> StorageError {
        StorageError::Read { topic: self.topic.clone(), partition: self.index, source }
    }
}

fn records(log: &Log, upper: i64, slice: Slice) -> Result<Records, ReadError> {
    if let Some(stretch) = log.stretch(slice.from, upper, slice.max_bytes)? {
        return Ok(Records::OnDisk(stretch));
    }
    log.read(slice.from, upper, slice.max_bytes, slice.at_least_one).map(Records::Held)
}

impl Bounds {
    /// The offset that a consumer reads up to.
    pub fn end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Uncommitted => self.high_watermark,
            Isolation::Committed => self.last_stable,
        }
    }
}

impl State {
    fn aborted(&self, from: i64, records: &Records) -> Vec<Aborted> {
        let aborted = self.stability.aborted_in(from, i64::MAX);
        if aborted.is_empty() {
            return Vec::new();
        }
        let Some(end) = records.end_offset() else { return Vec::new() };
        aborted.into_iter().filter(|aborted| aborted.first_offset < end).collect()
    }
}
