//! A new segment in the making.

use std::path::Path;
use std::sync::Arc;

use super::Group;
use crate::log::batch::{self, BatchHeader};
use crate::log::segment::{Data, Segment};
use crate::log::{AppendError, Checkpoint, DiskFaults, LogSettings, TruncateError, remove_file};

/// A segment that takes what compaction keeps, without a gap in its offsets.
#[derive(Debug)]
pub(super) struct Draft {
    segment: Segment,
    /// Base offset and size of the segments whose place it takes.
    replaced: Vec<(i64, u64)>,
    is_finished: bool,
}

impl Draft {
    pub fn in_memory(base_offset: i64) -> Self {
        let segment = Segment::new(base_offset, Data::Memory(Vec::new()));
        Self { segment, replaced: Vec::new(), is_finished: false }
    }

    pub fn on_disk(
        base_offset: i64,
        path: &Path,
        checkpoint: &Arc<Checkpoint>,
        faults: &Arc<DiskFaults>,
    ) -> Result<Self, TruncateError> {
        let open = || {
            remove_file(path)?;
            Data::open(path.to_owned(), base_offset, checkpoint, faults)
        };
        let data = open().map_err(|source| TruncateError::Io { path: path.to_owned(), source })?;
        let segment = Segment::new(base_offset, data);
        Ok(Self { segment, replaced: Vec::new(), is_finished: false })
    }

    /// Whether the old segment may be merged into this one.
    pub fn has_room_for(&self, next: &Segment, settings: &LogSettings) -> bool {
        let span = next.end_offset - self.segment.base_offset;
        self.segment.len + next.len <= settings.segment_bytes && i32::try_from(span).is_ok()
    }

    /// Takes a batch, and covers the offsets before it that were left out.
    pub fn put(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), TruncateError> {
        self.cover_up_to(header.base_offset)?;
        self.write(header, bytes)
    }

    /// Ends where the old segment does, whose place this one takes, too.
    pub fn took(&mut self, old: &Segment) -> Result<(), TruncateError> {
        self.cover_up_to(old.end_offset)?;
        self.replaced.push((old.base_offset, old.len));
        Ok(())
    }

    /// Makes the segment durable, ready to be put in its place.
    pub fn finish(mut self) -> Result<Group, TruncateError> {
        self.segment.sync()?;
        self.is_finished = true;
        let segment = self.segment.clone();
        Ok(Group { replaced: std::mem::take(&mut self.replaced), segment })
    }

    fn cover_up_to(&mut self, offset: i64) -> Result<(), TruncateError> {
        while self.segment.end_offset < offset {
            let (header, bytes) = batch::placeholder(self.segment.end_offset, offset);
            self.write(&header, &bytes)?;
        }
        Ok(())
    }

    fn write(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), TruncateError> {
        let Err(source) = self.segment.append(header, [bytes, &[]]) else { return Ok(()) };
        let path = self.segment.data.path().to_owned();
        Err(AppendError::Io { path, source }.into())
    }
}

impl Drop for Draft {
    /// A draft that came to nothing takes space on a disk that may be full.
    fn drop(&mut self) {
        if let (false, Data::File(file)) = (self.is_finished, &self.segment.data) {
            // If it stays, the next attempt or the next start removes it.
            let _ = remove_file(file.path());
        }
    }
}
