//! What becomes of old records: retention deletes whole segments, compaction keeps the last record of each key.

use super::{Log, TruncateError};

/// What a clean did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CleanReport {
    pub segments_deleted: usize,
    pub segments_compacted: usize,
    pub bytes_freed: u64,
}

impl Log {
    /// Deletes what is past retention and compacts, as the topic is set up, in one go. `upper` is the last stable
    /// offset: what lies above it is not yet durable or not yet decided, and stays.
    ///
    /// A large compaction takes long; who can't hold the log for that time calls [`Log::retain`], and
    /// [`Log::compaction`] and [`Log::install`] with the log free in between.
    ///
    /// # Errors
    /// When the disk fails or is damaged; the log serves what it served before.
    pub fn clean(&mut self, now_ms: i64, upper: i64) -> Result<CleanReport, TruncateError> {
        let retained = self.retain(now_ms, upper)?;
        let Some(compaction) = self.compaction(now_ms, upper) else { return Ok(retained) };
        let compacted = self.install(compaction.run()?)?;
        Ok(CleanReport {
            segments_deleted: retained.segments_deleted,
            segments_compacted: compacted.segments_compacted,
            bytes_freed: retained.bytes_freed + compacted.bytes_freed,
        })
    }

    /// Deletes the oldest segments while they are past retention by time or by size. As in Kafka, the active segment
    /// is closed and deleted, too, when all of its records are past their time.
    ///
    /// # Errors
    /// When the disk fails; then nothing was deleted.
    pub fn retain(&mut self, now_ms: i64, upper: i64) -> Result<CleanReport, TruncateError> {
        if !self.settings.cleanup.delete {
            return Ok(CleanReport::default());
        }
        let expired = self.count_expired(now_ms, upper);
        if expired == 0 {
            return Ok(CleanReport::default());
        }
        if expired == self.segments.len() {
            self.roll()?;
        }
        let size_before = self.size_bytes();
        self.move_start(self.segments[expired].base_offset.max(self.start_offset))?;
        self.drop_segments_before_start();
        Ok(CleanReport {
            segments_deleted: expired,
            segments_compacted: 0,
            bytes_freed: size_before - self.size_bytes(),
        })
    }

    /// How many segments, from the oldest on, are past retention.
    fn count_expired(&self, now_ms: i64, upper: i64) -> usize {
        let mut left = self.size_bytes();
        let mut expired = 0;
        for segment in &self.segments {
            let is_late = self.settings.retention_ms.is_some_and(|retention_ms| {
                now_ms.saturating_sub(segment.max_timestamp) > retention_ms
            });
            left -= segment.len;
            let is_surplus = self.settings.retention_bytes.is_some_and(|bytes| left >= bytes);
            if segment.len == 0 || segment.end_offset > upper || !(is_late || is_surplus) {
                break;
            }
            expired += 1;
        }
        expired
    }
}
