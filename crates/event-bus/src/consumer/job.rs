//! An event's turn: what comes in, what is to run, how it ended.

use jiff::Timestamp;

use super::lane::LaneKey;
use super::trouble::Trouble;
use crate::dead_letter::Cause;

/// What the core has to know of a received event. Clones are cheap.
pub trait Arrival: Clone {
    /// The partition that it came from.
    fn partition(&self) -> i32;
    /// Where it stands there.
    fn offset(&self) -> i64;
    /// What its order is kept within.
    fn key(&self) -> &LaneKey;
    /// Spreads retries: unlike for events that failed together.
    fn seed(&self) -> u64;
    /// Why no handler must see it, if so.
    fn doom(&self) -> Option<&Cause>;
    /// Whether it is a replay of a dead letter, of this group or another: it follows none into the dead letter topic.
    fn is_replay(&self) -> bool;
}

/// One event's turn.
#[derive(Clone, Debug)]
pub struct Job<E> {
    /// The event.
    pub received: E,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Set when the event is to be dead-lettered instead of handled.
    pub death: Option<Death>,
    /// How many attempts to note before the handler runs, where the event may kill the process.
    pub to_note: Option<u32>,
}

/// The end of an event.
#[derive(Clone, Debug)]
pub struct Death {
    /// What killed it.
    pub cause: Cause,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the first attempt failed.
    pub first_failed_at: Timestamp,
    /// When the last one failed.
    pub failed_at: Timestamp,
}

/// How an event's turn ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Its effect is committed, or it was one already, or its dead letter is written.
    Settled,
    /// Its dead letter is written, and its key is parked behind it.
    Parked,
    /// Its effect is committed, and no other event of its parked key is left to replay.
    Released,
    /// An attempt failed; it may be tried again.
    Failed(Cause),
    /// It must not be tried again.
    Dead(Cause),
    /// It did not run.
    NotRun,
    /// It was rolled back because the database or a neighbour failed; that is no attempt.
    Disturbed(Trouble),
}

impl Verdict {
    /// Whether nothing is left to do about the event.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Settled | Self::Parked | Self::Released)
    }
}

/// How the events of one task ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// By offset.
    pub verdicts: Vec<(i64, Verdict)>,
    /// What broke the transaction, if that is nobody's attempt.
    pub trouble: Option<Trouble>,
}

impl Report {
    /// Whether a transaction was committed.
    #[must_use]
    pub fn has_committed(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| verdict.is_settled())
    }
}
