//! One partition's records: segments of whole batches, made durable by the flusher, recovered at start.
//!
//! The log knows neither producers nor transactions nor who waits; the partition does. It has one writer: whoever holds
//! it mutably.
//!
//! Invariant: what is served was checked byte by byte, and what can't be is an error. Nothing is skipped.

pub(crate) mod batch;
mod checkpoint;
mod clean;
mod codec;
mod compaction;
mod damage;
mod disk_faults;
mod errors;
mod flusher;
mod recovery;
pub(crate) mod records;
mod segment;
mod settings;
mod stretch;
mod sync_file;
mod times;
mod walk;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use batch::{BatchError, BatchHeader};
pub(crate) use checkpoint::{Checkpoint, CheckpointError, Marks};
pub(crate) use clean::CleanReport;
pub(crate) use compaction::Compaction;
pub(crate) use disk_faults::DiskFaults;
pub(crate) use errors::{AppendError, OpenError, ReadError, TruncateError};
pub(crate) use flusher::Flusher;
pub(crate) use settings::{Cleanup, LogSettings};
pub(crate) use stretch::{Stretch, Window};
pub(crate) use sync_file::{FlushError, SyncFile};

use segment::{Data, Segment};

/// One partition's records.
#[derive(Debug)]
pub(crate) struct Log {
    place: Option<Place>,
    settings: LogSettings,
    /// In order, without gaps; the last one is written to. Never empty.
    segments: Vec<Segment>,
    start_offset: i64,
    compacted_end: i64,
}

/// Where a log on disk is.
#[derive(Clone, Debug)]
struct Place {
    dir: PathBuf,
    checkpoint: Arc<Checkpoint>,
}

/// The offsets that a batch got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
}

impl Log {
    /// Opens the log in `dir`, which is made when there is none; `None` keeps it in memory. `seen` is told each batch,
    /// in order.
    ///
    /// What a crash left unfinished at the very end is cut off, with a warning.
    ///
    /// # Errors
    /// When anything else is not as it was written: the log is not served then. The error says where and what to do.
    pub fn open(
        dir: Option<&Path>,
        settings: LogSettings,
        seen: impl FnMut(&BatchHeader),
    ) -> Result<Self, OpenError> {
        match dir {
            Some(dir) => recovery::open(dir, settings, seen),
            None => Ok(Self {
                place: None,
                settings,
                segments: vec![Segment::new(0, Data::Memory(Vec::new()))],
                start_offset: 0,
                compacted_end: 0,
            }),
        }
    }

    /// Takes other settings, from the next append or clean on.
    pub fn configure(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> i64 {
        self.active().end_offset
    }

    /// Everything before this survived a sync; in memory, the end.
    pub fn durable_end(&self) -> i64 {
        // All older segments were synced before the active one began.
        self.tail().map_or(self.end_offset(), |tail| tail.durable_end())
    }

    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// What has to be flushed for everything up to the end offset to be durable; `None` in memory. Take it in the same
    /// critical section as the append: after a failed sync the log goes on with another file, and the old one tells
    /// all who hold it that it failed.
    pub fn tail(&self) -> Option<Arc<SyncFile>> {
        match &self.active().data {
            Data::File(file) => Some(file.clone()),
            Data::Memory(_) => None,
        }
    }

    /// Writes one batch, which the caller checked, at the end, and gives it its offsets.
    ///
    /// # Errors
    /// When it can't be written. The log is as before then.
    pub fn append(
        &mut self,
        batch: impl AsRef<[u8]>,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let batch = batch.as_ref();
        if let Some(failure) = self.tail().and_then(|tail| tail.failure()) {
            return Err(failure.into());
        }
        let Some((head, records)) = batch.split_first_chunk() else {
            let (expected, actual) = (batch::HEADER_BYTES, batch.len());
            return Err(BatchError::Incomplete { expected, actual }.into());
        };
        // Only the header is written to, so only the header is copied.
        let mut head: [u8; batch::HEADER_BYTES] = *head;
        batch::place(&mut head, self.end_offset());
        let header = BatchHeader::parse(&head)?;
        if header.bytes != batch.len() {
            let (expected, actual) = (header.bytes, batch.len());
            return Err(BatchError::Incomplete { expected, actual }.into());
        }
        if self.must_roll(&header, now_ms) {
            self.roll()?;
        }
        let active = self.active_mut();
        active
            .append(&header, [&head, records])
            .map_err(|source| AppendError::Io { path: active.data.path().to_owned(), source })?;
        Ok(Appended { base_offset: header.base_offset, last_offset: header.last_offset() })
    }

    fn must_roll(&self, next: &BatchHeader, now_ms: i64) -> bool {
        let active = self.active();
        let age_ms = active.first_timestamp.map(|first| {
            // As Kafka: by the records' own time, which may be far from the clock's.
            let until = if next.max_timestamp >= 0 { next.max_timestamp } else { now_ms };
            until.saturating_sub(first)
        });
        let is_full = active.len + next.bytes as u64 > self.settings.segment_bytes;
        active.len > 0 && (is_full || age_ms.is_some_and(|age| age > self.settings.segment_ms))
    }

    /// Closes the active segment, durably, and begins the next.
    fn roll(&mut self) -> Result<(), AppendError> {
        self.active().sync()?;
        let base = self.end_offset();
        let data = match &self.place {
            Some(place) => {
                let path = place.dir.join(segment::file_name(base));
                let faults = &self.settings.disk_faults;
                Data::open(path.clone(), base, &place.checkpoint, faults)
                    .and_then(|data| sync_dir_of(&path).map(|()| data))
                    .map_err(|source| AppendError::Io { path, source })?
            }
            None => Data::Memory(Vec::new()),
        };
        self.segments.push(Segment::new(base, data));
        Ok(())
    }

    /// Whole batches from the one that holds `from`, below `upper`: at most `max_bytes`, but one batch, whatever its
    /// size, when `at_least_one`. They may begin before `from`; who asked skips those records. Empty at the end.
    ///
    /// # Errors
    /// When `from` is outside of the log, or the bytes can't be read or are damaged.
    pub fn read(
        &self,
        from: i64,
        upper: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Bytes, ReadError> {
        let (start, end) = (self.start_offset, self.end_offset());
        if from < start || from > end {
            return Err(ReadError::OutOfRange { offset: from, start, end });
        }
        if from >= upper.min(end) {
            return Ok(Bytes::new());
        }
        self.segment_of(from).read(from, upper, max_bytes, at_least_one)
    }

    /// What [`Log::read`] returns but for a few of the last batches, to be read while it is sent. `None` where reading
    /// it at once is better, or there is nothing to read.
    ///
    /// # Errors
    /// When the place of `from` can't be found.
    pub fn stretch(
        &self,
        from: i64,
        upper: i64,
        max_bytes: usize,
    ) -> Result<Option<Stretch>, ReadError> {
        if from < self.start_offset || from >= upper.min(self.end_offset()) {
            return Ok(None);
        }
        self.segment_of(from).stretch(from, upper, max_bytes)
    }

    fn segment_of(&self, offset: i64) -> &Segment {
        let after = self.segments.partition_point(|segment| segment.base_offset <= offset);
        &self.segments[after.saturating_sub(1)]
    }

    /// Forgets everything from `offset` on: back to what was acknowledged after a failed sync. The log goes on with a
    /// new file; it is well again once this returns `Ok`.
    ///
    /// # Errors
    /// When the cause of the failure still holds: the log refuses appends until a later call succeeds.
    pub fn truncate_to(&mut self, offset: i64) -> Result<(), TruncateError> {
        self.lower_durable_end(offset)?;
        while self.segments.len() > 1 && self.active().base_offset >= offset {
            if let Data::File(file) = &self.active().data {
                let path = file.path().to_owned();
                remove_file(&path).map_err(|source| TruncateError::Io { path, source })?;
            }
            self.segments.pop();
        }
        self.active_mut().truncate(offset)?;
        let Some(Place { checkpoint, .. }) = self.place.clone() else { return Ok(()) };
        let path = self.active().data.path().to_owned();
        let end = self.end_offset();
        let data = Data::open(path.clone(), end, &checkpoint, &self.settings.disk_faults)
            .map_err(|source| TruncateError::Io { path, source })?;
        let Data::File(file) = &data else { return Ok(()) };
        file.sync()?;
        self.active_mut().data = data;
        Ok(())
    }

    /// A sync may have succeeded before the one that failed, and the checkpoint know of it, while nobody acknowledged
    /// it yet: what is cut off must no longer be expected at the next start.
    fn lower_durable_end(&self, offset: i64) -> Result<(), TruncateError> {
        let Some(place) = &self.place else { return Ok(()) };
        for segment in self.segments.iter().filter(|segment| segment.end_offset > offset) {
            if let Data::File(file) = &segment.data {
                file.retire();
            }
        }
        if place.checkpoint.marks().durable_end <= offset {
            return Ok(());
        }
        let change = |marks: &mut Marks| marks.durable_end = offset;
        place
            .checkpoint
            .update(&self.settings.disk_faults, change)
            .map_err(|source| TruncateError::Io { path: place.dir.clone(), source })
    }

    /// Moves the start up to `offset`, durably, and deletes the segments before it. Goes no further than the end.
    ///
    /// # Errors
    /// When the new start can't be made durable; it has not moved then.
    pub fn delete_records_before(&mut self, offset: i64) -> Result<(), TruncateError> {
        let offset = offset.min(self.end_offset());
        if offset <= self.start_offset {
            return Ok(());
        }
        // A start above what survives a crash would be a log that lacks records.
        if offset > self.durable_end() {
            self.active().sync()?;
        }
        self.move_start(offset)?;
        self.drop_segments_before_start();
        Ok(())
    }

    fn move_start(&mut self, offset: i64) -> Result<(), TruncateError> {
        if let Some(place) = &self.place {
            let change = |marks: &mut Marks| marks.start = offset;
            place
                .checkpoint
                .update(&self.settings.disk_faults, change)
                .map_err(|source| TruncateError::Io { path: place.dir.clone(), source })?;
        }
        self.start_offset = offset;
        Ok(())
    }

    /// Deletes what lies wholly before the start, oldest first. What can't be deleted is left for the next start.
    fn drop_segments_before_start(&mut self) {
        let start = self.start_offset;
        let kept_from =
            self.segments[1..].iter().take_while(|next| next.base_offset <= start).count();
        for segment in self.segments.drain(..kept_from) {
            if let Data::File(file) = &segment.data
                && let Err(error) = remove_file(file.path())
            {
                let path = file.path().display();
                tracing::warn!(%path, %error, "an old segment can't be deleted");
            }
        }
    }

    /// Makes everything durable and says so in the checkpoint. The log is whole when it is opened again.
    ///
    /// # Errors
    /// When that fails.
    pub fn close(&mut self) -> Result<(), TruncateError> {
        self.active().sync()?;
        let end = self.end_offset();
        let Some(place) = &self.place else { return Ok(()) };
        let change = |marks: &mut Marks| marks.durable_end = marks.durable_end.max(end);
        place
            .checkpoint
            .update(&self.settings.disk_faults, change)
            .map_err(|source| TruncateError::Io { path: place.dir.clone(), source })
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log always has a segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log always has a segment")
    }
}

/// Deletes a file that may be gone already.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the entries of the file's directory durable: a new or renamed file is there after a crash only then.
pub(crate) fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}
