//! What keeps a transaction from being committed that is nobody's attempt.

/// An infrastructure failure: no attempt of any event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database is not there. Wait until it answers.
    Down,
    /// Two transactions were in each other's way. Run again, with fewer events.
    Contention,
    /// Somebody else owns the partition.
    Fenced,
}
