//! A segment: batches one after the other in one file, or in memory, with a sparse index.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::BatchHeader;
use super::damage::Flaw;
use super::walk::Walk;
use super::{Checkpoint, DiskFaults, FlushError, ReadError, Stretch, SyncFile};

/// An index entry each so many bytes: what a lookup reads in vain at most, beside one batch.
const INDEX_EVERY_BYTES: u64 = 4096;
/// What a read takes beside what was asked for, so that finding the first batch needs no read of its own.
const READ_IN_VAIN_BYTES: usize = 8192;

/// From how many bytes on batches are read while they are sent.
const STRETCH_BYTES: usize = 32 * 1024;

/// Where a segment's bytes are.
#[derive(Clone, Debug)]
pub(super) enum Data {
    File(Arc<SyncFile>),
    Memory(Vec<u8>),
}

impl Data {
    /// Opens a segment's file, making it when there is none.
    pub fn open(
        path: PathBuf,
        written_end: i64,
        checkpoint: &Arc<Checkpoint>,
        faults: &Arc<DiskFaults>,
    ) -> io::Result<Self> {
        let file = open_file(&path)?;
        let checkpoint = Some(checkpoint.clone());
        Ok(Self::File(Arc::new(SyncFile::new(path, file, written_end, checkpoint, faults.clone()))))
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(file) => file.path(),
            Self::Memory(_) => Path::new("(in memory)"),
        }
    }

    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_at(buffer, position),
            Self::Memory(bytes) => {
                let from = usize::try_from(position).map_err(io::Error::other)?;
                let bytes = bytes.get(from..).and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    fn write_at(&mut self, parts: [&[u8]; 2], position: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_parts_at(parts, position),
            Self::Memory(bytes) => {
                parts.iter().for_each(|part| bytes.extend_from_slice(part));
                Ok(())
            }
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.set_len(len),
            Self::Memory(bytes) => {
                bytes.truncate(usize::try_from(len).map_err(io::Error::other)?);
                Ok(())
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// The name that Kafka gives a segment.
pub(super) fn file_name(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

/// The base offset in a segment's name; `None` for other files.
pub(super) fn base_of(file_name: &str) -> Option<i64> {
    let digits = file_name.strip_suffix(".log")?;
    let is_name = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_name.then(|| digits.parse().ok())?
}

/// A point from which to walk.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    offset: i64,
    position: u64,
    /// The latest record before this point.
    max_timestamp_before: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub base_offset: i64,
    /// The offset after the last batch.
    pub end_offset: i64,
    /// Size in bytes.
    pub len: u64,
    pub data: Data,
    /// The latest record's time; -1 in an empty segment.
    pub max_timestamp: i64,
    /// The latest time in the first batch, from which the segment's age counts.
    pub first_timestamp: Option<i64>,
    index: Vec<IndexEntry>,
    /// A write failed and its remains could not be cut off yet.
    is_ragged: bool,
}

impl Segment {
    /// A segment of which nothing is known yet but where it begins.
    pub fn new(base_offset: i64, data: Data) -> Self {
        Self {
            base_offset,
            end_offset: base_offset,
            len: 0,
            data,
            max_timestamp: -1,
            first_timestamp: None,
            index: Vec::new(),
            is_ragged: false,
        }
    }

    /// Writes a batch, which is in two parts, at the end. After an error the segment is as before.
    pub fn append(&mut self, header: &BatchHeader, parts: [&[u8]; 2]) -> io::Result<()> {
        if self.is_ragged {
            self.data.set_len(self.len)?;
            self.is_ragged = false;
        }
        if let Err(error) = self.data.write_at(parts, self.len) {
            // What was written of it must not stand between this batch and the next.
            self.is_ragged = self.data.set_len(self.len).is_err();
            return Err(error);
        }
        self.admit(header);
        if let Data::File(file) = &self.data {
            file.wrote_up_to(self.end_offset);
        }
        Ok(())
    }

    /// Takes a batch that stands at the end into the index.
    pub fn admit(&mut self, header: &BatchHeader) {
        let is_due =
            self.index.last().is_none_or(|last| self.len - last.position >= INDEX_EVERY_BYTES);
        if is_due {
            self.index.push(IndexEntry {
                offset: header.base_offset,
                position: self.len,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.len += header.bytes as u64;
        self.end_offset = header.next_offset();
        if header.count > 0 {
            self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        }
        if header.max_timestamp >= 0 {
            self.first_timestamp.get_or_insert(header.max_timestamp);
        }
    }

    /// Makes the segment durable, on this thread.
    pub fn sync(&self) -> Result<(), FlushError> {
        match &self.data {
            Data::File(file) => file.sync(),
            Data::Memory(_) => Ok(()),
        }
    }

    /// The same segment, opened under the name that its file is going to have.
    pub fn opened_as(
        &self,
        path: &Path,
        checkpoint: &Arc<Checkpoint>,
        faults: &Arc<DiskFaults>,
    ) -> io::Result<Self> {
        let file = open_file(self.data.path())?;
        let (checkpoint, faults) = (Some(checkpoint.clone()), faults.clone());
        let file = SyncFile::new(path.to_owned(), file, self.end_offset, checkpoint, faults);
        Ok(Self { data: Data::File(Arc::new(file)), ..self.clone() })
    }

    /// All batches.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(&self.data, 0, self.len, self.base_offset)
    }

    /// The batches from the nearest index entry at or before `offset`.
    fn walk_near(&self, offset: i64) -> Walk<'_> {
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        match after.checked_sub(1) {
            Some(at) => {
                let IndexEntry { offset, position, .. } = self.index[at];
                Walk::new(&self.data, position, self.len, offset)
            }
            None => self.walk(),
        }
    }

    /// The batches from the nearest index entry before which all records are older than `timestamp`.
    pub fn walk_near_time(&self, timestamp: i64) -> Walk<'_> {
        let after = self.index.partition_point(|entry| entry.max_timestamp_before < timestamp);
        match after.checked_sub(1) {
            Some(at) => {
                let IndexEntry { offset, position, .. } = self.index[at];
                Walk::new(&self.data, position, self.len, offset)
            }
            None => self.walk(),
        }
    }

    /// Whole batches from the one that holds `from`, below `upper`; at most `max_bytes`, or one batch when
    /// `at_least_one` and the first is larger.
    pub fn read(
        &self,
        from: i64,
        upper: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Bytes, ReadError> {
        let mut walk =
            self.walk_near(from).reading_ahead(max_bytes.saturating_add(READ_IN_VAIN_BYTES));
        let first = self.find(from, &mut walk)?;
        let begin = walk.position();
        let bytes = if at_least_one { max_bytes.max(first.bytes) } else { max_bytes };
        let end = self.len.min(begin.saturating_add(bytes as u64));
        // One buffer is read, checked and served: reading again after the check would serve unchecked bytes.
        let block = walk.bytes(begin, end)?;
        let mut checked = 0;
        while let Some(header) = walk.next_header_within(end)? {
            // Checked before it is asked anything: a changed header could end the read here, for ever.
            walk.check_batch(&header)?;
            if header.next_offset() > upper {
                break;
            }
            walk.advance(&header);
            checked += header.bytes;
        }
        Ok(block.slice(..checked))
    }

    /// The same batches but for a few of the last, to be read while they are sent; `None` where reading them at once is
    /// better: when they are few, when even the first is too large, or when the file was found damaged.
    pub fn stretch(
        &self,
        from: i64,
        upper: i64,
        max_bytes: usize,
    ) -> Result<Option<Stretch>, ReadError> {
        let Data::File(file) = &self.data else { return Ok(None) };
        if max_bytes < STRETCH_BYTES || file.is_distrusted() {
            return Ok(None);
        }
        let (position, offset) = self.begin_of(from)?;
        let limit = position.saturating_add(max_bytes as u64);
        let (end, end_offset) = self.last_border(limit, upper);
        if end < position + STRETCH_BYTES as u64 {
            return Ok(None);
        }
        Ok(Some(Stretch { file: file.clone(), position, end, offset, end_offset }))
    }

    /// Where the batch that holds `from` begins, and its first offset.
    fn begin_of(&self, from: i64) -> Result<(u64, i64), ReadError> {
        if let Ok(at) = self.index.binary_search_by_key(&from, |entry| entry.offset) {
            return Ok((self.index[at].position, from));
        }
        let mut walk = self.walk_near(from).reading_ahead(READ_IN_VAIN_BYTES);
        self.find(from, &mut walk)?;
        Ok((walk.position(), walk.offset()))
    }

    /// The last place up to which all is before the position and the offset and where the index knows that a batch
    /// ends, and the offset after it.
    fn last_border(&self, position: u64, offset: i64) -> (u64, i64) {
        if self.len <= position && self.end_offset <= offset {
            return (self.len, self.end_offset);
        }
        let is_before = |entry: &IndexEntry| entry.position <= position && entry.offset <= offset;
        match self.index.partition_point(is_before).checked_sub(1) {
            Some(at) => (self.index[at].position, self.index[at].offset),
            None => (0, self.base_offset),
        }
    }

    /// Walks to the batch that holds `from`.
    fn find(&self, from: i64, walk: &mut Walk<'_>) -> Result<BatchHeader, ReadError> {
        loop {
            match walk.next_header()? {
                // The caller asked for an offset of this segment, so some batch holds it.
                None => return Err(walk.damage(Flaw::Missing { end: self.end_offset })),
                Some(header) if header.next_offset() > from => return Ok(header),
                Some(header) => walk.advance(&header),
            }
        }
    }

    /// Forgets the batches from `offset` on, which must be where a batch begins, and cuts the bytes off.
    pub fn truncate(&mut self, offset: i64) -> Result<(), ReadError> {
        let mut kept = Self::new(self.base_offset, Data::Memory(Vec::new()));
        let mut walk = self.walk();
        while let Some((_, header, _)) = walk.next_batch()? {
            if header.next_offset() > offset {
                break;
            }
            kept.admit(&header);
        }
        let path = self.data.path().to_owned();
        self.data.set_len(kept.len).map_err(|source| ReadError::Io { path, source })?;
        let data = std::mem::replace(&mut self.data, Data::Memory(Vec::new()));
        *self = Self { data, ..kept };
        Ok(())
    }
}
