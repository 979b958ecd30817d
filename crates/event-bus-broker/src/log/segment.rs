//! A segment: batches one after the other in one file, or in memory, with a sparse index.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::BatchHeader;
use super::damage::Flaw;
use super::walk::Walk;
use super::{Checkpoint, DiskFaults, FlushError, ReadError, SyncFile};

/// An index entry each so many bytes: what a lookup reads in vain at most, beside one batch.
const INDEX_EVERY_BYTES: u64 = 4096;
/// What a read takes beside what was asked for, so that finding the first batch needs no read of its own.
const READ_IN_VAIN_BYTES: usize = 8192;

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

    fn write_at(&mut self, written: &[u8], position: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_at(written, position),
            Self::Memory(bytes) => {
                bytes.extend_from_slice(written);
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

    /// Writes a batch at the end. After an error the segment is as before.
    pub fn append(&mut self, header: &BatchHeader, bytes: &[u8]) -> io::Result<()> {
        if self.is_ragged {
            self.data.set_len(self.len)?;
            self.is_ragged = false;
        }
        if let Err(error) = self.data.write_at(bytes, self.len) {
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
        let first = loop {
            match walk.next_header()? {
                // The caller asked for an offset of this segment, so some batch holds it.
                None => return Err(walk.damage(Flaw::Missing { end: self.end_offset })),
                Some(header) if header.next_offset() > from => break header,
                Some(header) => walk.advance(&header),
            }
        };
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
