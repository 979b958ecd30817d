//! One batch, with only the records that compaction keeps.

use bytes::Bytes;

use super::decide::{Decisions, Outcome};
use crate::log::LogSettings;
use crate::log::batch::{self, BatchHeader};
use crate::log::codec;
use crate::log::records::{self, RecordView};

/// What is left of a batch; `None` when nothing is, and nobody needs its header.
pub(super) fn batch(
    header: &BatchHeader,
    bytes: &Bytes,
    decisions: &Decisions,
    now_ms: i64,
    settings: &LogSettings,
) -> Option<(BatchHeader, Bytes)> {
    let outcome = decisions.outcome(header);
    let as_it_is = Some((header.clone(), bytes.clone()));
    if header.is_control() || outcome == Outcome::Open || header.base_offset >= decisions.end() {
        return as_it_is;
    }
    let Ok(body) = records::body(header, bytes) else { return as_it_is };
    let Ok(all) = records::records(header, &body).collect::<Result<Vec<_>, _>>() else {
        return as_it_is;
    };
    let are_tombstones_due = header.has_delete_horizon() && header.first_timestamp <= now_ms;
    let kept: Vec<RecordView<'_>> = all
        .iter()
        .filter(|record| {
            outcome == Outcome::Committed
                && record.key.is_some()
                && !decisions.is_superseded(record)
                && (record.value.is_some() || !are_tombstones_due)
        })
        .copied()
        .collect();
    if kept.is_empty() {
        let is_needed = decisions.is_last_of_producer(header);
        return is_needed.then(|| batch::emptied(header, bytes));
    }
    let has_tombstones = kept.iter().any(|record| record.value.is_none());
    // The first compaction that meets a tombstone starts its time (KIP-534); the time stands where the batch's first
    // timestamp was, and the records' deltas count from it.
    let new_horizon = (has_tombstones && !header.has_delete_horizon())
        .then(|| now_ms.saturating_add(settings.delete_retention_ms));
    if kept.len() == all.len() && new_horizon.is_none() {
        return as_it_is;
    }
    let first_timestamp = new_horizon.unwrap_or(header.first_timestamp);
    let body = encode(&kept, header.base_offset, first_timestamp);
    let Ok(packed) = header.compression().map(|codec| codec::compress(codec, &body)) else {
        return as_it_is;
    };
    let Ok(packed) = packed else { return as_it_is };
    let max_timestamp = match header.timestamp_type() {
        kafka_protocol::records::TimestampType::LogAppend => header.max_timestamp,
        kafka_protocol::records::TimestampType::Creation => {
            kept.iter().map(|record| record.timestamp).max().unwrap_or(header.max_timestamp)
        }
    };
    let fields = batch::Rewritten {
        records: kept.len(),
        first_timestamp,
        max_timestamp,
        has_delete_horizon: new_horizon.is_some() || header.has_delete_horizon(),
    };
    Some(batch::rewritten(bytes, &fields, &packed))
}

/// The records as a batch's body: their bytes as they were, but for the deltas.
fn encode(kept: &[RecordView<'_>], base_offset: i64, first_timestamp: i64) -> Vec<u8> {
    let mut body = Vec::new();
    let mut one = Vec::new();
    for record in kept {
        one.clear();
        // The attributes, none of which are defined.
        one.push(0);
        records::put_varint(&mut one, record.timestamp.wrapping_sub(first_timestamp));
        records::put_varint(&mut one, record.offset - base_offset);
        one.extend_from_slice(record.rest);
        records::put_varint(&mut body, i64::try_from(one.len()).expect("a record fits in memory"));
        body.extend_from_slice(&one);
    }
    body
}
