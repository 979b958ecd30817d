//! What compaction has to know of the log before it rewrites it: the last offset of each key, how transactions ended, and
//! the last batch of each producer.

use std::collections::HashMap;

use crate::log::ReadError;
use crate::log::batch::BatchHeader;
use crate::log::records::{self, RecordView};
use crate::log::segment::Segment;

/// Memory for keys. What does not fit is compacted next time.
const MAX_KEYS_BYTES: usize = 64 * 1024 * 1024;
/// What a key takes beside its bytes.
const KEY_OVERHEAD_BYTES: usize = 64;

/// How the transaction of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Or the batch is part of none.
    Committed,
    Aborted,
    /// Its marker lies above what is compacted.
    Open,
}

#[derive(Debug, Default)]
pub(super) struct Decisions {
    last_offsets: HashMap<Box<[u8]>, i64>,
    /// Offset of each marker, and whether it commits; by producer, in order.
    markers: HashMap<i64, Vec<(i64, bool)>>,
    /// Base offset of the last batch of each producer.
    last_batches: HashMap<i64, i64>,
    end: i64,
}

impl Decisions {
    /// Reads `segments`: the first `cleanable` of them for keys, from `first_dirty` on, and all of them for the rest.
    pub fn of(
        segments: &[Segment],
        cleanable: usize,
        first_dirty: i64,
        upper: i64,
    ) -> Result<Self, ReadError> {
        let mut decisions = Self { end: first_dirty, ..Self::default() };
        for segment in segments {
            let mut walk = segment.walk();
            while let Some((_, header, bytes)) = walk.next_batch()? {
                decisions.note_producer(&header, &bytes, upper);
            }
        }
        let mut bytes_of_keys = 0;
        for segment in segments[..cleanable].iter().filter(|one| one.end_offset > first_dirty) {
            let mut walk = segment.walk();
            while let Some((_, header, bytes)) = walk.next_batch()? {
                if header.next_offset() <= first_dirty {
                    continue;
                }
                if bytes_of_keys > MAX_KEYS_BYTES {
                    return Ok(decisions);
                }
                bytes_of_keys += decisions.note_keys(&header, &bytes);
                decisions.end = header.next_offset();
            }
        }
        Ok(decisions)
    }

    /// Everything before this is compacted.
    pub fn end(&self) -> i64 {
        self.end
    }

    pub fn outcome(&self, header: &BatchHeader) -> Outcome {
        if !header.is_transactional() {
            return Outcome::Committed;
        }
        let markers = self.markers.get(&header.producer_id).map_or(&[][..], Vec::as_slice);
        let next = markers.partition_point(|(offset, _)| *offset < header.base_offset);
        match markers.get(next) {
            Some((_, true)) => Outcome::Committed,
            Some((_, false)) => Outcome::Aborted,
            None => Outcome::Open,
        }
    }

    /// Whether a later record has the same key.
    pub fn is_superseded(&self, record: &RecordView<'_>) -> bool {
        let last = record.key.and_then(|key| self.last_offsets.get(key));
        last.is_some_and(|last| *last > record.offset)
    }

    /// Whether the batch holds the producer's last sequence number.
    pub fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        header.producer_id >= 0
            && self.last_batches.get(&header.producer_id) == Some(&header.base_offset)
    }

    fn note_producer(&mut self, header: &BatchHeader, bytes: &[u8], upper: i64) {
        if header.producer_id < 0 {
            return;
        }
        if !header.is_control() {
            self.last_batches.insert(header.producer_id, header.base_offset);
        } else if header.next_offset() <= upper
            && let Some(commits) = commits(header, bytes)
        {
            self.markers.entry(header.producer_id).or_default().push((header.base_offset, commits));
        }
    }

    /// Notes the offsets of the batch's keys; how many bytes that took.
    fn note_keys(&mut self, header: &BatchHeader, bytes: &[u8]) -> usize {
        // What can't be decoded is kept as it is, so it supersedes nothing either.
        if header.is_control()
            || self.outcome(header) != Outcome::Committed
            || records::check(header, bytes).is_err()
        {
            return 0;
        }
        let Ok(body) = records::body(header, bytes) else { return 0 };
        let mut taken = 0;
        for record in records::records(header, &body).flatten() {
            let Some(key) = record.key else { continue };
            match self.last_offsets.get_mut(key) {
                Some(last) => *last = record.offset,
                None => {
                    self.last_offsets.insert(key.into(), record.offset);
                    taken += key.len() + KEY_OVERHEAD_BYTES;
                }
            }
        }
        taken
    }
}

/// What a transaction marker says; `None` for other control records. Its key is a version and a type.
fn commits(header: &BatchHeader, bytes: &[u8]) -> Option<bool> {
    let body = records::body(header, bytes).ok()?;
    let marker = records::records(header, &body).next()?.ok()?;
    match marker.key? {
        [_, _, 0, 0] => Some(false),
        [_, _, 0, 1] => Some(true),
        _ => None,
    }
}
