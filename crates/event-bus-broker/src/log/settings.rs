//! What a topic's configuration says about its partitions' logs.

use std::sync::Arc;

use kafka_protocol::records::TimestampType;

use super::DiskFaults;

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleanup {
    /// Segments past retention are deleted.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

/// The settings of one partition's log, named as the topic's configuration keys are.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A segment is closed before it grows larger than this.
    pub segment_bytes: u64,
    /// A segment is closed when its first record is older than this.
    pub segment_ms: i64,
    /// Segments whose latest record is older are deleted; `None` keeps them for good.
    pub retention_ms: Option<i64>,
    /// The oldest segments are deleted while the log without them is at least this large; `None` is no bound.
    pub retention_bytes: Option<u64>,
    pub cleanup: Cleanup,
    /// Records younger than this are not compacted.
    pub min_compaction_lag_ms: i64,
    /// Share of the log that must be uncompacted before compaction starts.
    pub min_cleanable_dirty_ratio: f64,
    /// For how long a tombstone stays after its first compaction, so that slow consumers see it.
    pub delete_retention_ms: i64,
    /// The largest batch that is taken, in bytes. Checked by the partition.
    pub max_message_bytes: usize,
    /// Who sets the records' time. Applied by the partition.
    pub timestamp_type: TimestampType,
    /// How far behind the broker's clock a record's time may be; `i64::MAX` is no bound. Checked by the partition.
    pub timestamp_before_max_ms: i64,
    /// How far ahead of the broker's clock a record's time may be. Checked by the partition.
    pub timestamp_after_max_ms: i64,
    /// Scripted disk faults.
    pub disk_faults: Arc<DiskFaults>,
}

impl Default for LogSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * HOUR_MS,
            retention_ms: Some(7 * 24 * HOUR_MS),
            retention_bytes: None,
            cleanup: Cleanup { delete: true, compact: false },
            min_compaction_lag_ms: 0,
            min_cleanable_dirty_ratio: 0.5,
            delete_retention_ms: 24 * HOUR_MS,
            max_message_bytes: 1024 * 1024 + 12,
            timestamp_type: TimestampType::Creation,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: HOUR_MS,
            disk_faults: Arc::default(),
        }
    }
}
