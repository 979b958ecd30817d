//! When a replay goes on, waits, or stops by itself. Pure.

use serde::{Deserialize, Serialize};

/// What a replay is guarded by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guard {
    /// The sizes of its first steps. Behind each it waits until all outcomes are told; behind the last one the rest goes.
    pub canary: Vec<u64>,
    /// It stops once more than so many of a hundred that were told of died again.
    pub max_dead_percent: u8,
    /// At most so many are sent in a second.
    pub per_second: Option<u32>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { canary: vec![1, 10, 100], max_dead_percent: 10, per_second: None }
    }
}

/// How far a replay is, in dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// All of its list.
    pub letters: u64,
    /// Those that are done with: Kafka has them, or they are among the next two.
    pub sent: u64,
    /// Those that retention took before they were sent.
    pub gone: u64,
    /// Those that Kafka refuses, for with the headers of a replay they are too large.
    pub refused: u64,
    /// Those that took effect.
    pub processed: u64,
    /// Those that had their effect before.
    pub duplicate: u64,
    /// Those that died again.
    pub dead_again: u64,
    /// Those of a parked key whose turn it was not.
    pub out_of_turn: u64,
}

impl Progress {
    /// Those whose outcome was told.
    #[must_use]
    pub const fn told(&self) -> u64 {
        self.processed + self.duplicate + self.dead_again + self.out_of_turn
    }

    /// Those that were sent and not told of.
    #[must_use]
    pub const fn waits_for(&self) -> u64 {
        self.sent.saturating_sub(self.gone + self.refused + self.told())
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To send so many.
    Send(u64),
    /// To wait for outcomes.
    Wait,
    /// To stop, for this reason.
    Stop(String),
    /// Nothing: all were sent, and all outcomes told.
    Finish,
}

/// So many outcomes tell how it goes between two steps as well.
const ENOUGH: u64 = 100;

impl Guard {
    pub(super) fn next(&self, progress: &Progress) -> Next {
        let Progress { letters, sent, dead_again, .. } = *progress;
        let (told, waits_for) = (progress.told(), progress.waits_for());
        if sent >= letters {
            return if waits_for == 0 { Next::Finish } else { Next::Wait };
        }
        let is_step_over = self.step_ends().any(|end| end == sent);
        let tells_enough = told >= ENOUGH || (is_step_over && waits_for == 0);
        if tells_enough && dead_again * 100 > told * u64::from(self.max_dead_percent) {
            return Next::Stop(format!(
                "{dead_again} of the first {told} died again, which is more than {} in a hundred",
                self.max_dead_percent
            ));
        }
        // A service that is away has its replays waiting as all its events, so this wait has no end.
        if is_step_over && waits_for > 0 {
            return Next::Wait;
        }
        let end = self.step_ends().find(|end| *end > sent).unwrap_or(letters);
        Next::Send(end.min(letters) - sent)
    }

    /// How many are sent when each of the first steps is over.
    fn step_ends(&self) -> impl Iterator<Item = u64> {
        self.canary.iter().scan(0_u64, |end, size| {
            *end = end.saturating_add(*size);
            Some(*end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(sent: u64, processed: u64, dead_again: u64) -> Progress {
        Progress { letters: 1_000, sent, processed, dead_again, ..Progress::default() }
    }

    #[test]
    fn each_step_waits_for_its_outcomes_and_the_rest_does_not() {
        let guard = Guard::default();
        assert_eq!(guard.next(&progress(0, 0, 0)), Next::Send(1));
        assert_eq!(guard.next(&progress(1, 0, 0)), Next::Wait);
        assert_eq!(guard.next(&progress(1, 1, 0)), Next::Send(10));
        assert_eq!(guard.next(&progress(5, 1, 0)), Next::Send(6), "after a crash within a step");
        assert_eq!(guard.next(&progress(11, 10, 0)), Next::Wait);
        assert_eq!(guard.next(&progress(11, 11, 0)), Next::Send(100));
        assert_eq!(guard.next(&progress(111, 111, 0)), Next::Send(889));
        assert_eq!(guard.next(&progress(500, 111, 0)), Next::Send(500));
        assert_eq!(guard.next(&progress(1_000, 999, 0)), Next::Wait);
        assert_eq!(guard.next(&progress(1_000, 999, 1)), Next::Finish);
    }

    #[test]
    fn it_stops_where_too_many_die_again() {
        let guard = Guard::default();
        assert!(matches!(guard.next(&progress(1, 0, 1)), Next::Stop(_)));
        assert_eq!(guard.next(&progress(11, 10, 1)), Next::Send(100), "9 in a hundred");
        assert!(matches!(guard.next(&progress(11, 9, 2)), Next::Stop(_)));
        assert!(matches!(guard.next(&progress(500, 170, 30)), Next::Stop(_)), "within the rest");
        let none = Guard { canary: Vec::new(), ..guard };
        assert_eq!(none.next(&progress(0, 0, 0)), Next::Send(1_000));
        assert_eq!(none.next(&progress(50, 0, 1)), Next::Send(950), "one tells nothing yet");
        let all = Guard { max_dead_percent: 100, ..none };
        assert_eq!(all.next(&progress(500, 0, 500)), Next::Send(500));
    }

    #[test]
    fn what_is_gone_or_refused_is_not_waited_for() {
        let guard = Guard::default();
        let gone = Progress { gone: 1, ..progress(1, 0, 0) };
        assert_eq!(guard.next(&gone), Next::Send(10));
        let refused = Progress { refused: 1, out_of_turn: 3, ..progress(1_000, 996, 0) };
        assert_eq!(guard.next(&refused), Next::Finish);
    }
}
