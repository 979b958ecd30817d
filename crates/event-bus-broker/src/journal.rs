//! Durable key state: a file of entries, each with a checksum, that is read whole at start and rewritten when most of
//! it is out of date. Topics, group offsets and transactions are kept so.
//!
//! Each entry is JSON, for people can read that. Entries are numbered without gaps. Beside the file stands a checkpoint
//! with the number up to which entries are durable: below it everything must be there, above it a crash may have cut a
//! write short.

mod error;
mod format;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub(crate) use error::JournalError;

use crate::config::Durability;
use crate::log::{Checkpoint, Flusher, Marks, SyncFile, sync_dir_of};
use format::Header;

/// A smaller file is not worth rewriting.
const MIN_REWRITE_BYTES: u64 = 256 * 1024;
/// A file is rewritten when it is this many times as large as the last rewrite left it.
const REWRITE_GROWTH: u64 = 4;
/// The largest entry; far above any that is written, and far below what the length field holds.
const MAX_ENTRY_BYTES: usize = 256 * 1024 * 1024;

/// The journal. Entries are in the order of their pushes. After a failed sync all entries that it should have covered
/// are taken back, and the next push tries the disk again.
#[derive(Debug)]
pub(crate) struct Journal {
    flusher: Flusher,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    checkpoint: Arc<Checkpoint>,
    end: Mutex<End>,
}

/// Where the next entry goes.
#[derive(Debug)]
struct End {
    file: Arc<SyncFile>,
    position: u64,
    number: i64,
    /// Size of the file as its last rewrite left it.
    rewritten_bytes: u64,
    /// Number and position of the entries that may not be durable yet, to cut back to.
    unsynced: VecDeque<(i64, u64)>,
    /// A write failed and its remains could not be cut off yet.
    is_ragged: bool,
}

/// An entry that is written but not yet known to be durable.
#[derive(Debug)]
#[must_use = "an entry is durable only once this says so"]
pub(crate) struct Pending {
    flusher: Flusher,
    file: Option<Arc<SyncFile>>,
}

impl Pending {
    /// Waits until the entry, and all before it, are durable.
    ///
    /// # Errors
    /// When they can't be made so. The entry is not in the journal then, and won't be.
    pub async fn durable(self) -> Result<(), JournalError> {
        match &self.file {
            Some(file) => Ok(self.flusher.durable(file).await?),
            None => Ok(()),
        }
    }

    /// As [`Pending::durable`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn durable_blocking(self) -> Result<(), JournalError> {
        match &self.file {
            Some(file) => Ok(self.flusher.durable_blocking(file)?),
            None => Ok(()),
        }
    }
}

impl Journal {
    /// Opens the journal at `path`, which is made when there is none, with its entries; `None` keeps nothing.
    ///
    /// What a crash left unfinished at the very end is cut off, with a warning.
    ///
    /// # Errors
    /// When the file can't be read, or anything else in it is not as it was written.
    pub fn open(path: Option<&Path>, flusher: Flusher) -> Result<(Self, Vec<Bytes>), JournalError> {
        let Some(path) = path else { return Ok((Self { flusher, disk: None }, Vec::new())) };
        let at = |source| JournalError::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(at)?;
        }
        let checkpoint = Arc::new(open_checkpoint(path)?);
        let durable_end = checkpoint.marks().durable_end;
        if durable_end == 0 && !path.exists() {
            write_new(path, &Header { first: 0, durable_end: 0 }.encode()).map_err(at)?;
        }
        let bytes = Bytes::from(fs::read(path).map_err(at)?);
        let contents = recovery::read(path, &bytes, durable_end)?;
        let (position, number) = (contents.position, contents.end);
        let file = sync_file(path, open_file(path).map_err(at)?, number, &checkpoint, &flusher);
        if (bytes.len() as u64) > position {
            file.set_len(position).map_err(at)?;
        }
        // What was written before a crash and is intact is believed from now on, so it has to be durable first.
        file.sync()?;
        let end = End {
            file,
            position,
            number,
            rewritten_bytes: contents.rewritten_bytes,
            unsynced: VecDeque::new(),
            is_ragged: false,
        };
        let disk = Disk { path: path.to_owned(), checkpoint, end: Mutex::new(end) };
        Ok((Self { flusher, disk: Some(disk) }, contents.entries))
    }

    /// Writes an entry at the end. Pushes are durable in their order.
    ///
    /// # Errors
    /// When it can't be written; the journal is as before then.
    pub fn push(&self, entry: &[u8]) -> Result<Pending, JournalError> {
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(JournalError::TooLarge { bytes: entry.len() });
        }
        let file = match &self.disk {
            Some(disk) => Some(disk.push(entry, &self.flusher)?),
            None => None,
        };
        Ok(Pending { flusher: self.flusher.clone(), file })
    }

    /// Whether most of the file is likely out of date.
    pub fn wants_rewrite(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            let end = disk.lock();
            end.position > MIN_REWRITE_BYTES && end.position / REWRITE_GROWTH > end.rewritten_bytes
        })
    }

    /// Puts `entries` in the place of all that there are, durably and all at once. They must tell all that was pushed
    /// before: the caller holds off pushes from the making of `entries` to the return of this.
    ///
    /// # Errors
    /// When that fails; the journal is as before then.
    pub fn rewrite(&self, entries: impl IntoIterator<Item = Vec<u8>>) -> Result<(), JournalError> {
        match &self.disk {
            Some(disk) => disk.rewrite(entries, &self.flusher),
            None => Ok(()),
        }
    }

    /// Makes everything durable and says so in the checkpoint.
    ///
    /// # Errors
    /// When that fails.
    pub fn close(&self) -> Result<(), JournalError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let end = disk.lock();
        end.file.sync()?;
        let mark = |marks: &mut Marks| marks.durable_end = marks.durable_end.max(end.number);
        disk.checkpoint.update(self.flusher.disk_faults(), mark).map_err(|source| disk.io(source))
    }
}

impl Disk {
    fn push(&self, entry: &[u8], flusher: &Flusher) -> Result<Arc<SyncFile>, JournalError> {
        let mut end = self.lock();
        if end.file.failure().is_some() {
            self.cut_back(&mut end, flusher)?;
        }
        if end.is_ragged {
            end.file.set_len(end.position).map_err(|source| self.io(source))?;
            end.is_ragged = false;
        }
        let mut bytes = Vec::with_capacity(format::ENTRY_HEADER_BYTES + entry.len());
        format::put_entry(&mut bytes, end.number, entry);
        if let Err(source) = end.file.write_at(&bytes, end.position) {
            end.is_ragged = end.file.set_len(end.position).is_err();
            return Err(self.io(source));
        }
        if flusher.durability() == Durability::Fsync {
            let durable_end = end.file.durable_end();
            while end.unsynced.front().is_some_and(|(number, _)| *number < durable_end) {
                end.unsynced.pop_front();
            }
            let (number, position) = (end.number, end.position);
            end.unsynced.push_back((number, position));
        }
        end.number += 1;
        end.position += bytes.len() as u64;
        end.file.wrote_up_to(end.number);
        Ok(end.file.clone())
    }

    /// After a failed sync: takes the entries back that were not durable, all of whose pushers got the error, and goes
    /// on with a new file. Who still holds the old one gets the error, too.
    fn cut_back(&self, end: &mut End, flusher: &Flusher) -> Result<(), JournalError> {
        let durable_end = end.file.durable_end();
        let first = end.unsynced.iter().find(|(number, _)| *number >= durable_end).copied();
        let (number, position) = first.unwrap_or((end.number, end.position));
        let file = open_file(&self.path).map_err(|source| self.io(source))?;
        file.set_len(position).map_err(|source| self.io(source))?;
        let file = sync_file(&self.path, file, number, &self.checkpoint, flusher);
        file.sync()?;
        *end = End {
            file,
            position,
            number,
            rewritten_bytes: end.rewritten_bytes,
            unsynced: VecDeque::new(),
            is_ragged: false,
        };
        Ok(())
    }

    fn rewrite(
        &self,
        entries: impl IntoIterator<Item = Vec<u8>>,
        flusher: &Flusher,
    ) -> Result<(), JournalError> {
        let mut end = self.lock();
        // Numbers go on, so that the old checkpoint never says more than the new file has.
        let first = end.number;
        let (mut number, mut body) = (first, Vec::new());
        for entry in entries {
            if entry.len() > MAX_ENTRY_BYTES {
                return Err(JournalError::TooLarge { bytes: entry.len() });
            }
            format::put_entry(&mut body, number, &entry);
            number += 1;
        }
        let mut bytes = Header { first, durable_end: number }.encode();
        bytes.append(&mut body);
        let faults = flusher.disk_faults();
        faults
            .before_write()
            .and_then(|()| faults.before_sync())
            .map_err(|error| self.io(error))?;
        let file = write_new(&self.path, &bytes).map_err(|source| self.io(source))?;
        let file = sync_file(&self.path, file, number, &self.checkpoint, flusher);
        self.checkpoint.advance(number);
        let bytes = bytes.len() as u64;
        *end = End {
            file,
            position: bytes,
            number,
            rewritten_bytes: bytes,
            unsynced: VecDeque::new(),
            is_ragged: false,
        };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

/// The checkpoint beside the journal. Without one, only what is intact can be known.
fn open_checkpoint(path: &Path) -> Result<Checkpoint, JournalError> {
    let beside = path.with_extension("checkpoint");
    if let Some(checkpoint) = Checkpoint::load(&beside)? {
        return Ok(checkpoint);
    }
    if path.exists() {
        let path = beside.display();
        tracing::warn!(%path, "the checkpoint is gone: a cut-off end of the journal can't be noticed");
    }
    Ok(Checkpoint::create(&beside, Marks::default())?)
}

/// Makes a file of these bytes appear under `path`, durably and all at once.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let draft = path.with_extension("draft");
    let result = (|| {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&draft)?;
        io::Write::write_all(&mut &file, bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_dir_of(path)?;
        Ok(file)
    })();
    if result.is_err() {
        // It takes space on a disk that may be full; the next attempt would write over it anyway.
        let _ = fs::remove_file(&draft);
    }
    result
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn sync_file(
    path: &Path,
    file: File,
    written_end: i64,
    checkpoint: &Arc<Checkpoint>,
    flusher: &Flusher,
) -> Arc<SyncFile> {
    let checkpoint = Some(checkpoint.clone());
    let faults = flusher.disk_faults().clone();
    Arc::new(SyncFile::new(path.to_owned(), file, written_end, checkpoint, faults))
}
