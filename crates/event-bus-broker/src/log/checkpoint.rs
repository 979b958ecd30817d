//! The small file that says how far a log is durable, where it starts and how far it is compacted.
//!
//! Without it, damage in the last batch looks like a write that a crash cut short. With it, what lies below the durable
//! end must be there, unharmed, and only what lies above may be cut off.
//!
//! Each sync of the log is followed by a write of these few bytes in place, without a sync of its own: the next start of
//! the process sees it, whatever ended this one. It is synced when the log is closed, when a segment is, when the start
//! moves, and at most every ten seconds in between. So after a crash of the whole machine it may lag behind, never run
//! ahead: damage in the seconds before such a crash, and only there, is taken for a torn tail. One sector holds it, which
//! disks write whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DiskFaults;

/// How long the file may go without a sync while it changes.
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// What the file says. Offsets for a log, entry numbers for a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The first record that is served.
    pub start: i64,
    /// Everything before this survived a sync.
    pub durable_end: i64,
    /// Everything before this was compacted once.
    pub compacted_end: i64,
}

/// The file, with what it says.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    marks: Marks,
    synced_at: Instant,
}

/// The checkpoint can't be read, or not be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{} can't be opened: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged: it holds the log's durable end, so nothing is served without it. Restore it from a copy, or \
         delete it to accept whatever is intact (deleted records may come back, and a cut-off end goes unnoticed)",
        path.display()
    )]
    Damaged { path: PathBuf },
}

impl Checkpoint {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// When it can't be read, or its bytes are not those that were written.
    pub fn load(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let at = |source| CheckpointError::Io { path: path.to_owned(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(error)),
        };
        let marks =
            decode(&bytes).ok_or_else(|| CheckpointError::Damaged { path: path.to_owned() })?;
        let file = OpenOptions::new().write(true).open(path).map_err(at)?;
        Ok(Some(Self::over(path, file, marks)))
    }

    /// Makes the file, durably and all at once.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(path: &Path, marks: Marks) -> Result<Self, CheckpointError> {
        let at = |source| CheckpointError::Io { path: path.to_owned(), source };
        let draft = path.with_extension("tmp");
        let file = File::create(&draft).map_err(at)?;
        file.write_all_at(encode(marks).as_bytes(), 0).map_err(at)?;
        file.sync_all().map_err(at)?;
        fs::rename(&draft, path).map_err(at)?;
        super::sync_dir_of(path).map_err(at)?;
        Ok(Self::over(path, file, marks))
    }

    fn over(path: &Path, file: File, marks: Marks) -> Self {
        let state = State { file, marks, synced_at: Instant::now() };
        Self { path: path.to_owned(), state: Mutex::new(state) }
    }

    pub fn marks(&self) -> Marks {
        self.lock().marks
    }

    /// Notes that everything before `end` is durable. A failure only makes the checkpoint older than it could be, so it
    /// is logged and not returned.
    pub fn advance(&self, end: i64) {
        let mut state = self.lock();
        if end <= state.marks.durable_end {
            return;
        }
        let marks = Marks { durable_end: end, ..state.marks };
        let written = state.write(marks).and_then(|()| {
            if state.synced_at.elapsed() < SYNC_EVERY { Ok(()) } else { state.sync() }
        });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the checkpoint can't be written");
        }
    }

    /// Changes what the file says, durably.
    ///
    /// # Errors
    /// When that fails; then it may say either.
    pub fn update(&self, faults: &DiskFaults, change: impl FnOnce(&mut Marks)) -> io::Result<()> {
        let mut state = self.lock();
        let mut marks = state.marks;
        change(&mut marks);
        faults.before_write()?;
        faults.before_sync()?;
        state.write(marks)?;
        state.sync()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, marks: Marks) -> io::Result<()> {
        self.file.write_all_at(encode(marks).as_bytes(), 0)?;
        self.marks = marks;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced_at = Instant::now();
        Ok(())
    }
}

/// Text, for people; of one length, so that it can be written in place.
fn encode(marks: Marks) -> String {
    let Marks { start, durable_end, compacted_end } = marks;
    let text = format!(
        "checkpoint 1\nstart {start:020}\ndurable {durable_end:020}\ncompacted {compacted_end:020}\n"
    );
    let crc = crc32c::crc32c(text.as_bytes());
    format!("{text}crc {crc:08x}\n")
}

fn decode(bytes: &[u8]) -> Option<Marks> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let mut number =
        |name: &str| lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let marks = Marks {
        start: number("start ")?,
        durable_end: number("durable ")?,
        compacted_end: number("compacted ")?,
    };
    // A number can be written in several ways (+1, 01): only the bytes that would be written now are right.
    (encode(marks).as_bytes() == bytes).then_some(marks)
}
