//! The records inside a batch: decompressed within a bound, and read one after the other without copies.

use std::borrow::Cow;

use kafka_protocol::records::Compression;

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::codec::{self, DecompressError};

/// The shortest record: length, attributes, two deltas, no key, no value, no headers.
const MIN_RECORD_BYTES: usize = 7;
/// Why a batch's records can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordsError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("record {nth} of the batch is malformed")]
    Malformed { nth: i32 },
    #[error("the batch has bytes after its last record")]
    Trailing,
}

/// One record, borrowed from its batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    pub offset: i64,
    /// Milliseconds since 1970, as the record says; in a batch with log append time the batch's maximum counts.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's bytes after its deltas: key, value and headers, encoded.
    pub(super) rest: &'a [u8],
}

/// The bytes of the records, decompressed. `batch` is whole and checked, and `header` is its.
///
/// # Errors
/// When they can't be decompressed within the bound.
pub(crate) fn body<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
) -> Result<Cow<'a, [u8]>, RecordsError> {
    let packed = &batch[HEADER_BYTES..header.bytes];
    match header.compression()? {
        // A batch that compaction emptied has no stream to decompress.
        _ if header.count == 0 && packed.is_empty() => Ok(Cow::Borrowed(packed)),
        Compression::None => Ok(Cow::Borrowed(packed)),
        codec => Ok(Cow::Owned(codec::decompress(codec, packed)?)),
    }
}

/// The records of a body that [`body`] returned, in order. Ends after the first that is malformed.
pub(crate) fn records<'a>(
    header: &BatchHeader,
    body: &'a [u8],
) -> impl Iterator<Item = Result<RecordView<'a>, RecordsError>> {
    let BatchHeader { base_offset, first_timestamp, count, last_offset_delta, .. } = *header;
    let mut left = body;
    let mut nth = 0;
    std::iter::from_fn(move || {
        if nth == count {
            let rest = std::mem::take(&mut left);
            return (!rest.is_empty()).then_some(Err(RecordsError::Trailing));
        }
        let record = record(&mut left, base_offset, first_timestamp, last_offset_delta);
        let found = record.ok_or(RecordsError::Malformed { nth });
        nth = if found.is_ok() { nth + 1 } else { count };
        if found.is_err() {
            left = &[];
        }
        Some(found)
    })
}

/// Reads every record, as a check.
///
/// # Errors
/// When the batch can't be decompressed, or its records are not exactly those that its header counts.
pub(crate) fn check(header: &BatchHeader, batch: &[u8]) -> Result<(), RecordsError> {
    let body = body(header, batch)?;
    records(header, &body).try_for_each(|record| record.map(|_| ()))
}

fn record<'a>(
    from: &mut &'a [u8],
    base_offset: i64,
    first_timestamp: i64,
    last_offset_delta: i32,
) -> Option<RecordView<'a>> {
    let length = usize::try_from(varint(from)?).ok()?;
    if length + 1 < MIN_RECORD_BYTES {
        return None;
    }
    let mut record = from.split_off(..length)?;
    let _attributes = record.split_off_first()?;
    let timestamp = first_timestamp.checked_add(varint(&mut record)?)?;
    let offset_delta = varint(&mut record)?;
    if offset_delta < 0 || offset_delta > i64::from(last_offset_delta) {
        return None;
    }
    let rest = record;
    let key = nullable(&mut record)?;
    let value = nullable(&mut record)?;
    let headers = varint(&mut record)?;
    for _ in 0..headers {
        nullable(&mut record)??;
        nullable(&mut record)?;
    }
    let is_exact = record.is_empty() && headers >= 0;
    let offset = base_offset.checked_add(offset_delta)?;
    is_exact.then_some(RecordView { offset, timestamp, key, value, rest })
}

/// Bytes with their length before them; a length of -1 is `Some(None)`.
fn nullable<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint(from)? {
        -1 => Some(None),
        length => Some(Some(from.split_off(..usize::try_from(length).ok()?)?)),
    }
}

/// A zigzag-encoded number of at most ten bytes.
fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut raw = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *from.split_off_first()?;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    None
}

/// Writes a number as [`varint`] reads it.
pub(super) fn put_varint(into: &mut Vec<u8>, number: i64) {
    let mut raw = ((number << 1) ^ (number >> 63)).cast_unsigned();
    loop {
        let low = u8::try_from(raw & 0x7f).expect("seven bits fit");
        raw >>= 7;
        if raw == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}
