//! When a database that is down, or refuses, is asked again.
//!
//! Pure: the time is an argument.

use std::time::{Duration, Instant};

/// The first and the longest wait between two questions.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The present outage, if there is one, and how patient the last ones have made us.
///
/// An answer ends an outage and not the patience: a database with a full disk answers a question and refuses the next
/// transaction. Only a commit does.
#[derive(Debug, Default)]
pub struct Outage {
    is_on: bool,
    /// Absent while a question is under way.
    next_probe: Option<Instant>,
    wait: Duration,
}

impl Outage {
    /// A transaction found the database down. Says whether that is news: then the first question comes at once, or
    /// after the wait that outages since the last commit have led to.
    pub fn begin(&mut self, now: Instant) -> bool {
        let news = !self.is_on;
        if news {
            self.is_on = true;
            self.unanswered(now);
        }
        news
    }

    /// A question is under way.
    pub fn asked(&mut self) {
        self.next_probe = None;
    }

    /// A question had no answer.
    pub fn unanswered(&mut self, now: Instant) {
        self.next_probe = Some(now + self.wait);
        self.wait = (self.wait * 2).clamp(WAITS.0, WAITS.1);
    }

    /// The database answers: transactions are tried again.
    pub fn answered(&mut self) {
        self.is_on = false;
        self.next_probe = None;
    }

    /// A transaction was committed.
    pub fn over(&mut self) {
        self.wait = Duration::ZERO;
    }

    /// Whether transactions have to wait.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// When to ask, during an outage.
    #[must_use]
    pub fn next_probe(&self) -> Option<Instant> {
        self.next_probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outage_is_looked_into_at_once() {
        let now = Instant::now();
        let mut outage = Outage::default();
        assert!(outage.begin(now));
        assert_eq!(outage.next_probe(), Some(now));
        assert!(!outage.begin(now + Duration::from_secs(1)));
        assert_eq!(outage.next_probe(), Some(now));
    }

    #[test]
    fn a_database_that_answers_and_refuses_is_asked_less_and_less_often() {
        let now = Instant::now();
        let mut outage = Outage::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            outage.begin(now);
            waits.extend(outage.next_probe().map(|at| (at - now).as_millis()));
            outage.answered();
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn a_commit_ends_the_patience() {
        let now = Instant::now();
        let mut outage = Outage::default();
        outage.begin(now);
        outage.unanswered(now);
        outage.answered();
        outage.over();
        outage.begin(now);
        assert_eq!(outage.next_probe(), Some(now));
    }
}
