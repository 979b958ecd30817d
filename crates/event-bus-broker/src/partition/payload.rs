//! What a producer sends for one partition, checked before anything is done with it.

use kafka_protocol::ResponseError;
use kafka_protocol::records::{Compression, TimestampType};

use crate::log::records::{self, RecordsError};
use crate::log::{BatchError, BatchHeader, LogSettings};

/// The first version of Produce in which zstd may be used.
const ZSTD_FROM: i16 = 7;

/// Why a payload is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    /// Nothing, or only the beginning of a batch.
    #[error("a produce request needs exactly one record batch per partition, and there is none")]
    Missing,
    /// Two batches or more.
    #[error("a produce request needs exactly one record batch per partition, and there are more")]
    Several,
    /// Bytes that are no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A field that only the broker sets.
    #[error("the batch has base offset {0}; a producer's begin at 0")]
    BaseOffset(i64),
    /// Too many bytes.
    #[error("the batch has {bytes} bytes, and the topic takes {max} (max.message.bytes)")]
    TooLarge { bytes: usize, max: usize },
    /// Only the coordinator writes markers.
    #[error("clients may not write control batches")]
    Control,
    /// An idempotent producer counts.
    #[error("the batch has a producer id and no sequence number")]
    Unsequenced,
    /// A count that excludes the offsets.
    #[error("the batch counts {count} records, and its offsets say {offsets}")]
    Count { count: i32, offsets: i64 },
    /// Compression that this request's version does not have.
    #[error("zstd needs version {ZSTD_FROM} of Produce")]
    Zstd,
    /// A time too far from now.
    #[error(
        "a record is dated {timestamp_ms}, and the topic takes {earliest_ms} to {latest_ms} at this time \
         (message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
    )]
    Timestamp { timestamp_ms: i64, earliest_ms: i64, latest_ms: i64 },
    /// The records can't be read, where they have to be.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Compaction goes by keys.
    #[error("the topic is compacted, and takes no records without key")]
    Keyless {
        /// Which of the batch's records have none.
        indexes: Vec<i32>,
    },
}

impl PayloadError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Batch(
                BatchError::Incomplete { .. }
                | BatchError::Count { .. }
                | BatchError::Magic { magic: 0 | 1 },
            )
            | Self::Missing
            | Self::Several
            | Self::BaseOffset(_)
            | Self::Control
            | Self::Unsequenced
            | Self::Count { .. }
            | Self::Records(_)
            | Self::Keyless { .. } => ResponseError::InvalidRecord,
            Self::Batch(BatchError::Codec { .. }) | Self::Zstd => {
                ResponseError::UnsupportedCompressionType
            }
            Self::Batch(_) => ResponseError::CorruptMessage,
            Self::TooLarge { .. } => ResponseError::MessageTooLarge,
            Self::Timestamp { .. } => ResponseError::InvalidTimestamp,
        }
    }
}

/// Checks a payload as Kafka does, in its order, and returns its only batch. Records are only read for topics that are
/// compacted: everything else is in the batch's header.
///
/// # Errors
/// When it is anything but one batch that this topic takes.
pub(crate) fn check<'a>(
    payload: &'a [u8],
    version: i16,
    settings: &LogSettings,
    now_ms: i64,
) -> Result<(BatchHeader, &'a [u8]), PayloadError> {
    let header = match BatchHeader::parse(payload) {
        Err(BatchError::Incomplete { .. }) => return Err(PayloadError::Missing),
        // Which it is, a wrong count or a damaged one, is told by the CRC.
        Err(BatchError::Count { .. }) => BatchHeader::check(payload)?,
        header => header?,
    };
    let Some((batch, rest)) = payload.split_at_checked(header.bytes) else {
        return Err(PayloadError::Missing);
    };
    if matches!(header.compression(), Ok(Compression::Zstd)) && version < ZSTD_FROM {
        return Err(PayloadError::Zstd);
    }
    // The beginning of another batch is ignored, as by Kafka: it can't be told from padding.
    if BatchHeader::parse(rest).is_ok_and(|next| next.bytes <= rest.len()) {
        return Err(PayloadError::Several);
    }
    if header.base_offset != 0 {
        return Err(PayloadError::BaseOffset(header.base_offset));
    }
    let max = settings.max_message_bytes;
    if header.bytes > max {
        return Err(PayloadError::TooLarge { bytes: header.bytes, max });
    }
    BatchHeader::check(batch)?;
    let (count, offsets) = (header.count, i64::from(header.last_offset_delta) + 1);
    if count <= 0 || i64::from(count) != offsets {
        return Err(PayloadError::Count { count, offsets });
    }
    if header.is_control() {
        return Err(PayloadError::Control);
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return Err(PayloadError::Unsequenced);
    }
    check_records(&header, batch, settings, now_ms)?;
    Ok((header, batch))
}

/// Compaction needs each record's key, and a bound on old records each record's time; the latest time is in the header.
fn check_records(
    header: &BatchHeader,
    batch: &[u8],
    settings: &LogSettings,
    now_ms: i64,
) -> Result<(), PayloadError> {
    let takes_times = settings.timestamp_type == TimestampType::Creation;
    let bounds_past = takes_times && settings.timestamp_before_max_ms < i64::MAX;
    let earliest_ms = now_ms.saturating_sub(settings.timestamp_before_max_ms);
    let latest_ms = now_ms.saturating_add(settings.timestamp_after_max_ms);
    let dated = |timestamp_ms| PayloadError::Timestamp { timestamp_ms, earliest_ms, latest_ms };
    if takes_times && header.max_timestamp > latest_ms {
        return Err(dated(header.max_timestamp));
    }
    if !settings.cleanup.compact && !bounds_past {
        return Ok(());
    }
    let body = records::body(header, batch)?;
    let mut keyless = Vec::new();
    for (index, record) in (0..).zip(records::records(header, &body)) {
        let record = record?;
        if settings.cleanup.compact && record.key.is_none() {
            keyless.push(index);
        }
        // A record without a time is older than any that has one.
        if bounds_past && (0..earliest_ms).contains(&record.timestamp) {
            return Err(dated(record.timestamp));
        }
    }
    match keyless.is_empty() {
        true => Ok(()),
        false => Err(PayloadError::Keyless { indexes: keyless }),
    }
}
