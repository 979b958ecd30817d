//! Lookups by time.

use kafka_protocol::records::TimestampType;

use super::batch::BatchHeader;
use super::records::{self, RecordView};
use super::{Log, ReadError};

impl Log {
    /// The first record at or after `timestamp_ms` below `upper`: its offset and time.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn offset_for_time(
        &self,
        timestamp_ms: i64,
        upper: i64,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let is_late = |timestamp: i64| timestamp >= timestamp_ms;
        for segment in self.segments.iter().filter(|segment| is_late(segment.max_timestamp)) {
            let mut walk = segment.walk_near_time(timestamp_ms);
            while let Some((_, header, bytes)) = walk.next_batch()? {
                if header.base_offset >= upper {
                    return Ok(None);
                }
                if !is_late(header.max_timestamp) || header.last_offset() < self.start_offset {
                    continue;
                }
                if let Some(found) = self.first_record(&header, &bytes, is_late)? {
                    return Ok((found.0 < upper).then_some(found));
                }
            }
        }
        Ok(None)
    }

    /// The record with the latest time below `upper`, the first of several: its offset and time.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn max_timestamp(&self, upper: i64) -> Result<Option<(i64, i64)>, ReadError> {
        let mut latest: Option<i64> = None;
        for segment in self.segments.iter().filter(|segment| segment.base_offset < upper) {
            if segment.end_offset <= upper && self.start_offset <= segment.base_offset {
                latest = latest.max((segment.len > 0).then_some(segment.max_timestamp));
                continue;
            }
            let mut walk = segment.walk();
            while let Some((_, header, _)) = walk.next_batch()? {
                if header.next_offset() > upper {
                    break;
                }
                if header.last_offset() >= self.start_offset && header.count > 0 {
                    latest = latest.max(Some(header.max_timestamp));
                }
            }
        }
        match latest {
            Some(latest) if latest >= 0 => self.offset_for_time(latest, upper),
            _ => Ok(None),
        }
    }

    fn first_record(
        &self,
        header: &BatchHeader,
        bytes: &[u8],
        is_late: impl Fn(i64) -> bool,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let undecodable = |source| ReadError::Undecodable { offset: header.base_offset, source };
        let body = records::body(header, bytes).map_err(undecodable)?;
        for record in records::records(header, &body) {
            let RecordView { offset, timestamp, .. } = record.map_err(undecodable)?;
            let timestamp = match header.timestamp_type() {
                TimestampType::LogAppend => header.max_timestamp,
                TimestampType::Creation => timestamp,
            };
            if is_late(timestamp) && offset >= self.start_offset {
                return Ok(Some((offset, timestamp)));
            }
        }
        Ok(None)
    }
}
