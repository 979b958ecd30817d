//! A walk over the batches of a segment, each checked before it is shown.

use bytes::Bytes;

use super::ReadError;
use super::batch::{BatchError, BatchHeader, HEADER_BYTES, LEADER_EPOCH};
use super::damage::{Damage, Flaw};
use super::segment::Data;

/// What one read takes at least; a log of small batches is read in steps of this size.
const CHUNK_BYTES: u64 = 64 * 1024;

/// Reads from a position on, in order. Batches must follow one another without a gap in their offsets.
pub(super) struct Walk<'a> {
    data: &'a Data,
    position: u64,
    end: u64,
    expected_offset: i64,
    chunk: Bytes,
    chunk_at: u64,
    read_ahead: u64,
}

impl<'a> Walk<'a> {
    pub fn new(data: &'a Data, position: u64, end: u64, expected_offset: i64) -> Self {
        let chunk = Bytes::new();
        Self {
            data,
            position,
            end,
            expected_offset,
            chunk,
            chunk_at: position,
            read_ahead: CHUNK_BYTES,
        }
    }

    /// Reads so many bytes at once, for that many will be wanted.
    pub fn reading_ahead(self, bytes: usize) -> Self {
        Self { read_ahead: bytes as u64, ..self }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The offset that the next batch has.
    pub fn offset(&self) -> i64 {
        self.expected_offset
    }

    /// The next batch with its position, checked; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<(u64, BatchHeader, Bytes)>, ReadError> {
        let Some(header) = self.next_header()? else { return Ok(None) };
        let position = self.position;
        let bytes = self.check_batch(&header)?;
        self.advance(&header);
        Ok(Some((position, header, bytes)))
    }

    /// The next batch's header, without the check of its CRC.
    pub fn next_header(&mut self) -> Result<Option<BatchHeader>, ReadError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let left = self.end - self.position;
        let begin = self.bytes(self.position, self.position + left.min(HEADER_BYTES as u64))?;
        let header = BatchHeader::parse(&begin).map_err(|error| self.damage(error.into()))?;
        check_place(&header, self.expected_offset, left).map_err(|flaw| self.damage(flaw))?;
        Ok(Some(header))
    }

    /// The next batch's header when the whole batch ends at or before `end`.
    pub fn next_header_within(&mut self, end: u64) -> Result<Option<BatchHeader>, ReadError> {
        if self.position + HEADER_BYTES as u64 > end {
            return Ok(None);
        }
        let header = self.next_header()?;
        Ok(header.filter(|header| self.position + header.bytes as u64 <= end))
    }

    /// The bytes of the next batch, of which this is the header, after the check of its CRC.
    pub fn check_batch(&mut self, header: &BatchHeader) -> Result<Bytes, ReadError> {
        let bytes = self.bytes(self.position, self.position + header.bytes as u64)?;
        BatchHeader::check(&bytes).map_err(|error| self.damage(error.into()))?;
        Ok(bytes)
    }

    /// Goes past the next batch, of which this is the header.
    pub fn advance(&mut self, header: &BatchHeader) {
        self.position += header.bytes as u64;
        self.expected_offset = header.next_offset();
    }

    /// Bytes of the segment, through the chunk that was read last.
    pub fn bytes(&mut self, from: u64, to: u64) -> Result<Bytes, ReadError> {
        let chunk_end = self.chunk_at + self.chunk.len() as u64;
        if from < self.chunk_at || to > chunk_end {
            let upto = to.max(from.saturating_add(self.read_ahead).min(self.end));
            let mut chunk = vec![0; in_memory(upto - from)];
            self.data
                .read_at(&mut chunk, from)
                .map_err(|source| ReadError::Io { path: self.data.path().to_owned(), source })?;
            self.chunk = chunk.into();
            self.chunk_at = from;
        }
        Ok(self.chunk.slice(in_memory(from - self.chunk_at)..in_memory(to - self.chunk_at)))
    }

    /// What is wrong at the next batch.
    pub fn damage(&self, flaw: Flaw) -> ReadError {
        ReadError::Damaged(Damage {
            path: self.data.path().to_owned(),
            position: self.position,
            offset: self.expected_offset,
            flaw,
        })
    }
}

/// Checks what a header says against where it was found: where this offset should be, with so many bytes left.
pub(super) fn check_place(
    header: &BatchHeader,
    expected_offset: i64,
    left: u64,
) -> Result<(), Flaw> {
    if header.bytes as u64 > left {
        let actual = usize::try_from(left).unwrap_or(usize::MAX);
        return Err(BatchError::Incomplete { expected: header.bytes, actual }.into());
    }
    if header.base_offset != expected_offset {
        return Err(Flaw::Offset { found: header.base_offset });
    }
    if header.leader_epoch != LEADER_EPOCH {
        return Err(Flaw::LeaderEpoch { found: header.leader_epoch });
    }
    Ok(())
}

/// A size that was bounded by a read's limit or by a batch's `i32` length.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a chunk is far smaller than the address space")
}
