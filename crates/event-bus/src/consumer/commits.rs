//! When offsets are committed. Pure: the time is an argument.

use std::time::{Duration, Instant};

use super::command::{Assignment, Outcome};

/// A commit follows at the latest after so many settled events of a partition.
pub const COMMIT_EVENTS: usize = 1_000;

/// An offset to commit, and for which assignment.
type Watermark = (Assignment, i64);

/// The commits of a session: at most one is under way.
#[derive(Debug)]
pub struct Commits {
    /// A commit follows at the latest this long after an event settled.
    every: Duration,
    due: Option<Instant>,
    in_flight: Option<Vec<Watermark>>,
    failing: bool,
}

impl Commits {
    /// Nothing to commit yet.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, due: None, in_flight: None, failing: false }
    }

    /// Something settled that is not committed.
    pub fn settled(&mut self, now: Instant) {
        self.due.get_or_insert(now + self.every);
    }

    /// When the next commit is to start.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        if self.is_in_flight() { None } else { self.due }
    }

    /// Whether the last commit failed: then nothing may start, for it might never be committed.
    #[must_use]
    pub fn are_failing(&self) -> bool {
        self.failing
    }

    /// Whether a commit is under way.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// What could not be committed is no longer ours to commit.
    pub fn forgive(&mut self) {
        self.failing = false;
    }

    /// Nothing is left to commit.
    pub fn rest(&mut self) {
        self.forgive();
        self.due = None;
    }

    /// These offsets are being committed.
    pub fn start(&mut self, watermarks: Vec<Watermark>) {
        self.in_flight = Some(watermarks);
        self.due = None;
    }

    /// The commit ended. Says what is committed by it.
    pub fn end(&mut self, outcome: Outcome, now: Instant) -> Vec<Watermark> {
        let watermarks = self.in_flight.take().unwrap_or_default();
        self.failing = outcome == Outcome::Failed;
        match outcome {
            Outcome::Done => watermarks,
            Outcome::Failed => {
                self.settled(now);
                Vec::new()
            }
        }
    }
}
