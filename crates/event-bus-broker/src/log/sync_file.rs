//! A file that is appended to by one writer and made durable by the flusher.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Checkpoint, DiskFaults};

/// Up to how many bytes putting two parts together costs less than a second system call.
const JOINED_BYTES: usize = 16 * 1024;

/// A sync failed, now or before: nothing that was written to the file since its last good sync is durable.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{} could not be made durable: {source}. Nothing written to it since is acknowledged; free or mend the disk, \
     and the next write tries again",
    path.display()
)]
pub(crate) struct FlushError {
    pub path: PathBuf,
    #[source]
    pub source: Arc<io::Error>,
}

pub(super) type Waiter = oneshot::Sender<Result<(), FlushError>>;

/// An append-only file with the state of its syncs.
///
/// Once a sync has failed, the file stays failed: the kernel may have dropped the pages and forgets the error after it
/// was told once, so a later success would mean nothing. Its owner cuts the file back to the durable end and opens it
/// anew; who still holds this one gets the error.
#[derive(Debug)]
pub(crate) struct SyncFile {
    path: PathBuf,
    file: File,
    faults: Arc<DiskFaults>,
    /// Told how far the file is durable after each sync.
    checkpoint: Option<Arc<Checkpoint>>,
    /// The offset (of a log) or number (of a journal) after the last entry that is written in full.
    written_end: AtomicI64,
    /// What of it survived a sync.
    durable_end: AtomicI64,
    /// Damage was found in it.
    is_distrusted: AtomicBool,
    /// Held during a sync, so that one sync's failure is known before the next one begins.
    syncing: Mutex<()>,
    pub(super) queue: Mutex<Queue>,
}

/// Who waits for the next sync.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub waiters: Vec<Waiter>,
    /// A flusher's thread has the file, or will: it looks for waiters once more when it is done.
    pub is_scheduled: bool,
    pub failure: Option<FlushError>,
}

impl SyncFile {
    pub fn new(
        path: PathBuf,
        file: File,
        written_end: i64,
        checkpoint: Option<Arc<Checkpoint>>,
        faults: Arc<DiskFaults>,
    ) -> Self {
        Self {
            path,
            file,
            faults,
            checkpoint,
            written_end: AtomicI64::new(written_end),
            durable_end: AtomicI64::new(written_end),
            is_distrusted: AtomicBool::new(false),
            syncing: Mutex::default(),
            queue: Mutex::default(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The failure that the file can't get over.
    pub fn failure(&self) -> Option<FlushError> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }

    /// Ends the file's use: a part of it is to be cut off, and nobody may be told later that this part is durable.
    /// Waits for a sync that runs.
    pub(crate) fn retire(&self) {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Arc::new(io::Error::other("the file was cut back after an earlier failure"));
        queue.failure.get_or_insert(FlushError { path: self.path.clone(), source });
    }

    /// Writes all of `bytes` at `position`; after an error the file may be longer than before.
    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.faults.before_write()?;
        self.file.write_all_at(bytes, position)
    }

    /// As [`SyncFile::write_at`], of bytes that are in two parts.
    pub(crate) fn write_parts_at(&self, parts: [&[u8]; 2], position: u64) -> io::Result<()> {
        let [first, second] = parts;
        if first.len() + second.len() <= JOINED_BYTES {
            return self.write_at(&parts.concat(), position);
        }
        self.write_at(first, position)?;
        self.file.write_all_at(second, position + first.len() as u64)
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, position)
    }

    /// Says that damage was found in the file.
    pub(super) fn distrust(&self) {
        self.is_distrusted.store(true, Ordering::Relaxed);
    }

    /// Whether damage was found in the file since it was opened.
    pub(super) fn is_distrusted(&self) -> bool {
        self.is_distrusted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    /// Everything before this survived a sync.
    pub(crate) fn durable_end(&self) -> i64 {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Says that everything before `end` is written and known to have survived a sync.
    pub(crate) fn is_durable_up_to(&self, end: i64) {
        self.written_end.store(end, Ordering::Release);
        self.durable_end.store(end, Ordering::Release);
    }

    /// Says that everything before `end` is written, so that the next sync covers it.
    pub(crate) fn wrote_up_to(&self, end: i64) {
        self.written_end.store(end, Ordering::Release);
    }

    /// Makes what was written before this call durable, on this thread.
    ///
    /// # Errors
    /// When the sync fails, or one failed before.
    pub fn sync(&self) -> Result<(), FlushError> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let end = self.written_end.load(Ordering::Acquire);
        match self.faults.before_sync().and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.durable_end.store(end, Ordering::Release);
                if let Some(checkpoint) = &self.checkpoint {
                    checkpoint.advance(end);
                }
                Ok(())
            }
            Err(source) => {
                let failure = FlushError { path: self.path.clone(), source: Arc::new(source) };
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}
