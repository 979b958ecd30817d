//! Damage: bytes that are not what was written, told so that a person finds them and knows what to do.

use std::path::PathBuf;

use super::batch::BatchError;

/// What is wrong with a log's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A batch says another offset than the one that follows its predecessor.
    #[error("the batch there says offset {found}")]
    Offset { found: i64 },
    /// A field that is the same in each stored batch is not.
    #[error("the batch there has leader epoch {found}, and this node only ever wrote 0")]
    LeaderEpoch { found: i32 },
    /// The file ends too early.
    #[error("the records up to offset {end} were durable and are gone")]
    Missing { end: i64 },
    /// A file begins where none should.
    #[error("the segment begins at offset {found}")]
    SegmentBase { found: i64 },
}

/// A place in a log that can't be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at byte {position}, where offset {offset} should be: {flaw}. Restore the file from a copy; or, to lose \
     the records from offset {offset} on, stop the broker, cut the file (truncate -s {position}), and delete the \
     directory's later segments and its checkpoint",
    path.display()
)]
pub(crate) struct Damage {
    pub path: PathBuf,
    /// In bytes, from the file's beginning.
    pub position: u64,
    /// The offset that should be found there.
    pub offset: i64,
    #[source]
    pub flaw: Flaw,
}
