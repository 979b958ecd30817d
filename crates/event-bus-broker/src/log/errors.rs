//! What can go wrong, one type per verb.

use std::io;
use std::path::PathBuf;

use super::checkpoint::CheckpointError;
use super::damage::Damage;
use super::sync_file::FlushError;

/// A log can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{} can't be opened: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// Records can't be read. What can't be verified is never served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(
        "offset {offset} is outside of the log, which has offsets {start} to {end} (exclusive)"
    )]
    OutOfRange { offset: i64, start: i64, end: i64 },
    #[error("{} can't be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The batch is as its producer sent it, but its records can't be told apart.
    #[error("the records of the batch at offset {offset} can't be decoded: {source}")]
    Undecodable { offset: i64, source: super::records::RecordsError },
}

/// A batch can't be appended; the log is as before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("{} can't be written: {source}. Free space on the disk; the next write tries again", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file failed before: [`super::Log::truncate_to`] the durable end first.
    #[error(transparent)]
    Failed(#[from] FlushError),
    /// The bytes are not one whole batch.
    #[error(transparent)]
    Batch(#[from] super::batch::BatchError),
}

/// The log can't be cut or cleaned, or its start not be moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TruncateError {
    #[error("{} can't be changed: {source}. Free or mend the disk; the next write tries again", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The next segment can't be begun.
    #[error(transparent)]
    Roll(#[from] AppendError),
    #[error(transparent)]
    Flush(#[from] FlushError),
}
