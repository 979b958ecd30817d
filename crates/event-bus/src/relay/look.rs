//! Where a look at the outbox begins.
//!
//! Not at a remembered id: ids commit out of order. It begins behind what is decided (`store::decided`) and done with.
//! Done with is, among what is decided,
//!
//! - what is gone;
//! - what is on its way, or was found by an earlier look and is about to be: once any of that comes back, or is forgotten,
//!   the next look begins at the start;
//! - what is quarantined or waits behind a quarantined row: whoever sets it free gives it new ids (`store::quarantine`);
//! - what belongs to other shards: whenever shards come, the next look begins at the start;
//! - what belongs to a topic that is left out because it is missing: whenever a topic is not left out any more, the next
//!   look begins at the start.
//!
//! Where a look ends early, with as many rows as it may have, what is behind its last one bounds the floor. And once a
//! minute a look begins at the start whatever is known, for what somebody does to the table by hand.

use std::time::{Duration, Instant};

use crate::flaw::{Flaw, Flaws};
use crate::names::TopicName;

/// How often a look begins at the start, whatever is known.
const EVERYTHING: Duration = Duration::from_secs(60);

/// What is known of the ids.
#[derive(Debug)]
pub(super) struct Look {
    /// Each id up to this one is decided.
    decided: i64,
    floor: i64,
    left_out: Vec<TopicName>,
    everything_at: Instant,
    flaws: Flaws,
}

impl Look {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            decided: 0,
            floor: 0,
            left_out: Vec::new(),
            everything_at: now,
            flaws: Flaws::of_process(),
        }
    }

    /// The next look begins at the start: shards came, or rows that were found are not on their way.
    pub(super) fn forget(&mut self) {
        self.floor = 0;
    }

    /// Each id up to this one is decided for all looks that begin from now on.
    pub(super) fn decide(&mut self, last: i64) {
        self.decided = self.decided.max(last);
    }

    /// The first id of a look that leaves these topics out.
    pub(super) fn begin(&mut self, left_out: &[TopicName], now: Instant) -> i64 {
        if self.left_out.iter().any(|topic| !left_out.contains(topic)) {
            self.floor = 0;
        }
        self.left_out = left_out.to_vec();
        if now >= self.everything_at && !self.flaws.have(Flaw::CursorRelay) {
            self.floor = 0;
            self.everything_at = now + EVERYTHING;
        }
        self.floor
    }

    /// The look found rows up to this one, and there may be more behind it if the look was full.
    pub(super) fn end(&mut self, last: Option<i64>, is_full: bool) {
        self.floor = match last {
            Some(last) if self.flaws.have(Flaw::CursorRelay) => last + 1,
            None if self.flaws.have(Flaw::CursorRelay) => self.floor,
            Some(last) if is_full => last.min(self.decided) + 1,
            _ => self.decided + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_bounded_by_what_is_undecided_and_by_what_was_not_seen() {
        let now = Instant::now();
        let mut look = Look::new(now);
        assert_eq!(look.begin(&[], now), 0);
        look.end(Some(20), false);
        assert_eq!(look.begin(&[], now), 1, "nothing is decided, so the first id may come yet");
        look.decide(50);
        look.end(Some(20), true);
        assert_eq!(look.begin(&[], now), 21, "what is behind the last one was not seen");
        look.end(Some(80), true);
        assert_eq!(look.begin(&[], now), 51, "an id between may come yet");
        look.decide(40);
        look.end(Some(52), false);
        assert_eq!(look.begin(&[], now), 51, "what is decided stays so");
        look.forget();
        assert_eq!(look.begin(&[], now), 0);
    }

    #[test]
    fn a_look_begins_at_the_start_when_shards_or_topics_come_and_once_a_minute() {
        let now = Instant::now();
        let missing = [TopicName::new("missing").unwrap()];
        let mut look = Look::new(now);
        look.begin(&[], now);
        look.decide(50);
        look.end(None, false);
        assert_eq!(look.begin(&missing, now), 51);
        look.end(None, false);
        assert_eq!(look.begin(&missing, now), 51);
        look.end(None, false);
        assert_eq!(look.begin(&[], now), 0, "its rows may be below the floor");
        look.end(None, false);
        look.forget();
        assert_eq!(look.begin(&[], now), 0);
        look.end(None, false);
        assert_eq!(look.begin(&[], now + EVERYTHING), 0);
        look.end(None, false);
        assert_eq!(look.begin(&[], now + EVERYTHING), 51);
    }
}
