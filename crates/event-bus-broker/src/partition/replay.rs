//! Rebuilds what a partition knows of producers and transactions from its log.

use crate::log::{BatchHeader, Log, ReadError};

use super::marker::{self, COORDINATOR_EPOCH, Outcome};
use super::producers::Producers;
use super::stability::{Aborted, Stability};

/// How much of the log is read at a time, in bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What was learned from the batches so far, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Replay {
    producers: Producers,
    /// Transactions that ended; the header doesn't tell how.
    ended: Vec<Aborted>,
}

impl Replay {
    /// Learns from the next batch.
    pub fn saw(&mut self, batch: &BatchHeader) {
        if !batch.is_control() {
            self.producers.wrote(batch);
        } else if let Some(first_offset) = self.producers.ended(batch, COORDINATOR_EPOCH) {
            let (producer_id, marker_offset) = (batch.producer_id, batch.base_offset);
            self.ended.push(Aborted { producer_id, first_offset, marker_offset });
        }
    }

    /// Looks up how the transactions ended.
    ///
    /// # Errors
    /// When a marker can't be read.
    pub fn finish(self, log: &Log) -> Result<(Producers, Stability), ReadError> {
        let mut stability = Stability::default();
        for transaction in self.ended {
            let Aborted { first_offset, marker_offset, .. } = transaction;
            stability.ended(first_offset, marker_offset);
            let marker = log.read(marker_offset, marker_offset + 1, 1, true)?;
            if marker::outcome(&marker) == Some(Outcome::Abort) {
                stability.aborted(transaction);
            }
        }
        Ok((self.producers, stability))
    }
}

/// As after opening: what the batches up to `end` tell.
///
/// # Errors
/// When the log can't be read.
pub(super) fn read_back(log: &Log, end: i64) -> Result<(Producers, Stability), ReadError> {
    let mut replay = Replay::default();
    let mut from = log.start_offset();
    while from < end {
        let chunk = log.read(from, end, CHUNK_BYTES, true)?;
        let mut rest = chunk.as_ref();
        // `read` has checked each batch.
        while let Ok(batch) = BatchHeader::parse(rest) {
            rest = &rest[batch.bytes..];
            from = batch.next_offset();
            replay.saw(&batch);
        }
        if chunk.is_empty() {
            break;
        }
    }
    replay.finish(log)
}
