//! Retention: deletes whole segments, the oldest first, by time and by size.

use std::path::Path;

use super::{Log, TruncateError};

/// What retention or compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CleanReport {
    pub segments_deleted: usize,
    pub segments_compacted: usize,
    pub bytes_freed: u64,
}

impl CleanReport {
    pub(super) fn tell(self, log: &Log) {
        let Self { segments_deleted, segments_compacted, bytes_freed } = self;
        let log = log.active().data.path().parent().unwrap_or(Path::new("")).display();
        tracing::info!(%log, segments_deleted, segments_compacted, bytes_freed, "cleaned up");
    }
}

impl Log {
    /// Deletes the oldest segments while they are past retention by time or by size. As in Kafka, the active segment
    /// is closed and deleted, too, when all of its records are past their time. What reaches above `upper` is not yet
    /// durable or not yet decided, and stays.
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
        let bytes_freed = size_before - self.size_bytes();
        let report = CleanReport { segments_deleted: expired, segments_compacted: 0, bytes_freed };
        report.tell(self);
        Ok(report)
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
