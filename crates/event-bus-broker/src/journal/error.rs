//! What can go wrong with a journal.

use std::io;
use std::path::PathBuf;

use crate::log::{CheckpointError, FlushError};

/// A journal can't be opened, written or made durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("{} can't be read or written: {source}. Free or mend the disk; the next write tries again", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged at byte {position}, where entry {number} should be: {flaw}. Restore the file from a copy; or, to \
         lose the entries from {number} on, stop the broker, cut the file (truncate -s {position}) and delete its \
         checkpoint beside it",
        path.display()
    )]
    Damaged { path: PathBuf, position: u64, number: i64, flaw: EntryFlaw },
    #[error("an entry of {bytes} bytes is larger than a journal takes")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// What is wrong with a journal's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryFlaw {
    #[error("the file's header is not whole")]
    Header,
    #[error("the file ends within the entry")]
    Incomplete,
    #[error("the entry's checksum does not fit")]
    Crc,
    #[error("the entry there has number {found}")]
    Number { found: i64 },
    #[error("the entries up to {end} were durable and are gone")]
    Missing { end: i64 },
}
