//! Batches that are served from the disk piece by piece, while they are sent: however much an answer has, one piece of it
//! is in memory.
//!
//! Each batch is checked in the very buffer from which it is sent. Where it ends was known before from the index, which
//! is in memory, so that the answer's length could be told; a flaw that is found on the way ends the answer, and the
//! file is distrusted: from then on its batches are checked before anything is told of them.

use std::sync::Arc;

use super::batch::BatchHeader;
use super::damage::{Damage, Flaw};
use super::walk::check_place;
use super::{ReadError, SyncFile};

/// What is read at once, where no batch is longer: few system calls, and still in the processor's cache when it is sent.
const PIECE_BYTES: u64 = 256 * 1024;

/// Whole batches that follow one another in a file.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(super) file: Arc<SyncFile>,
    /// Where the next batch begins.
    pub(super) position: u64,
    /// Where the last one ends.
    pub(super) end: u64,
    /// The next batch's first offset.
    pub(super) offset: i64,
    /// The offset after the last one.
    pub(super) end_offset: i64,
}

/// The buffer through which stretches are read, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// Behind the pieces that were shown, in `bytes`.
    shown: usize,
    /// Up to where `bytes` is read.
    filled: usize,
}

impl Stretch {
    /// Bytes that are still to come.
    pub fn len(&self) -> usize {
        usize::try_from(self.end - self.position).expect("a fetch is bounded far below")
    }

    /// The offset after the last record.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The next batches, checked; `None` at the end. A stretch is read to its end through one window.
    ///
    /// # Errors
    /// When they can't be read or are damaged. The file is distrusted then.
    pub fn next<'w>(&mut self, window: &'w mut Window) -> Result<Option<&'w [u8]>, ReadError> {
        if self.position == self.end {
            window.clear();
            return Ok(None);
        }
        match self.piece(window) {
            Ok(bytes) => Ok(Some(window.show(bytes))),
            Err(error) => {
                self.file.distrust();
                Err(error)
            }
        }
    }

    /// Reads and checks at least one batch, and returns how many bytes at the window's beginning that are.
    fn piece(&mut self, window: &mut Window) -> Result<usize, ReadError> {
        window.forget_shown();
        let begin = self.position;
        self.fill(window, begin, PIECE_BYTES.min(self.end - begin))?;
        let first = self.header(window.filled())?;
        self.fill(window, begin, first.bytes as u64)?;
        let mut checked = 0;
        while let Some(rest) = window.filled().get(checked..).filter(|rest| !rest.is_empty()) {
            let Ok(header) = BatchHeader::parse(rest) else {
                // The next piece begins here, and tells whether it is cut off or damaged.
                break;
            };
            if checked > 0 && header.bytes > rest.len() {
                break;
            }
            self.header(rest)?;
            BatchHeader::check(rest).map_err(|error| self.damage(error.into()))?;
            checked += header.bytes;
            self.position += header.bytes as u64;
            self.offset = header.next_offset();
        }
        if self.position == self.end && self.offset != self.end_offset {
            return Err(self.damage(Flaw::Missing { end: self.end_offset }));
        }
        Ok(checked)
    }

    /// The header at the beginning of `bytes`, which must be that of the next batch.
    fn header(&self, bytes: &[u8]) -> Result<BatchHeader, ReadError> {
        let header = BatchHeader::parse(bytes).map_err(|error| self.damage(error.into()))?;
        check_place(&header, self.offset, self.end - self.position)
            .map_err(|flaw| self.damage(flaw))?;
        Ok(header)
    }

    /// Reads on until the window has so many bytes from `begin` on.
    fn fill(&self, window: &mut Window, begin: u64, bytes: u64) -> Result<(), ReadError> {
        let bytes = usize::try_from(bytes).expect("a batch has at most 2 GiB");
        let filled = window.filled;
        if bytes <= filled {
            return Ok(());
        }
        if window.bytes.len() < bytes {
            // Exactly: what the vector would take beyond is never used.
            window.bytes.reserve_exact(bytes - window.bytes.len());
            window.bytes.resize(bytes, 0);
        }
        self.file
            .read_at(&mut window.bytes[filled..bytes], begin + filled as u64)
            .map_err(|source| ReadError::Io { path: self.file.path().to_owned(), source })?;
        window.filled = bytes;
        Ok(())
    }

    fn damage(&self, flaw: Flaw) -> ReadError {
        ReadError::Damaged(Damage {
            path: self.file.path().to_owned(),
            position: self.position,
            offset: self.offset,
            flaw,
        })
    }
}

impl Window {
    /// The memory that it takes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes it fit for another stretch.
    pub fn clear(&mut self) {
        (self.shown, self.filled) = (0, 0);
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn show(&mut self, bytes: usize) -> &[u8] {
        self.shown = bytes;
        &self.bytes[..bytes]
    }

    /// What was read and not shown, the beginning of a batch, moves to the front.
    fn forget_shown(&mut self) {
        self.bytes.copy_within(self.shown..self.filled, 0);
        self.filled -= self.shown;
        self.shown = 0;
    }
}
