//! When a Kafka consumer is stuck: records wait for it, brokers answer others, and it fetches nothing.
//!
//! Pure: positions and ends of logs come as arguments, as does the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How far the client is with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset that it fetches next, behind markers of transactions and whatever else is never handed over. Negative
    /// while the client looks for it.
    pub next: i64,
    /// Records that it has fetched and not handed over.
    pub queued: i64,
}

/// What is known of the partitions that are to be fetched.
#[derive(Debug)]
pub struct Watch {
    /// How long nothing may be fetched while there is something to fetch.
    limit: Duration,
    partitions: BTreeMap<i32, Seen>,
    /// Whether the ends of the logs were asked for and not told.
    is_asking: bool,
}

#[derive(Debug)]
struct Seen {
    position: Position,
    since: Instant,
    /// Since when something has been there to be fetched, as far as is known.
    waiting: Option<Instant>,
}

impl Watch {
    /// A watch that gives a consumer so much time.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, partitions: BTreeMap::new(), is_asking: false }
    }

    /// Notes the positions of all partitions that are to be fetched now. Others, such as a paused one, begin anew.
    /// Says of which partitions the ends of the logs are to be asked for, if of any.
    pub fn moved(&mut self, positions: &[Position], now: Instant) -> Vec<i32> {
        let mut before = std::mem::take(&mut self.partitions);
        for position in positions {
            let unmoved =
                before.remove(&position.partition).filter(|seen| seen.position == *position);
            let seen = unmoved.unwrap_or(Seen { position: *position, since: now, waiting: None });
            self.partitions.insert(position.partition, seen);
        }
        let is_quiet = |seen: &Seen| now.saturating_duration_since(seen.since) >= self.limit / 4;
        let quiet = self.partitions.iter().filter(|(_, seen)| is_quiet(seen));
        let quiet: Vec<i32> = quiet.map(|(partition, _)| *partition).collect();
        if self.is_asking {
            return Vec::new();
        }
        self.is_asking = !quiet.is_empty();
        quiet
    }

    /// Notes where the logs end for a reader of committed records, by another connection than the consumer's. What could
    /// not be read is left out: the consumer can't read it either. Says which partitions it is stuck in.
    pub fn ended(&mut self, ends: &BTreeMap<i32, i64>, now: Instant) -> Vec<i32> {
        self.is_asking = false;
        let mut stuck = Vec::new();
        for (partition, seen) in &mut self.partitions {
            let waits = ends
                .get(partition)
                .is_some_and(|end| *end > seen.position.next || seen.position.queued > 0);
            if !waits {
                seen.waiting = None;
                continue;
            }
            let since = *seen.waiting.get_or_insert(now);
            if now.saturating_duration_since(since) >= self.limit {
                stuck.push(*partition);
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);
    /// How often positions are told.
    const EVERY: Duration = Duration::from_secs(15);

    /// A partition, told of for so many rounds.
    struct Told {
        watch: Watch,
        now: Instant,
        stuck: Vec<i32>,
    }

    impl Told {
        fn new() -> Self {
            Self { watch: Watch::new(LIMIT), now: Instant::now(), stuck: Vec::new() }
        }

        /// A round, with what a broker tells of the end if it is asked.
        fn round(&mut self, positions: &[Position], end: Option<i64>) {
            self.now += EVERY;
            for asked in self.watch.moved(positions, self.now) {
                let ends = end.map(|end| (asked, end)).into_iter().collect();
                self.stuck.extend(self.watch.ended(&ends, self.now));
            }
        }

        fn rounds(&mut self, count: u32, next: i64, end: Option<i64>) -> &mut Self {
            for _ in 0..count {
                self.round(&[Position { partition: 3, next, queued: 0 }], end);
            }
            self
        }
    }

    #[test]
    fn a_consumer_is_stuck_that_fetches_nothing_of_what_is_there() {
        let mut told = Told::new();
        // Quiet for a quarter of the limit, and then something was there for all of it.
        assert!(told.rounds(10, 5, Some(6)).stuck.is_empty());
        assert_eq!(told.rounds(1, 5, Some(6)).stuck, [3]);
    }

    #[test]
    fn what_was_fetched_and_is_not_handed_over_is_there_too() {
        let mut told = Told::new();
        for _ in 0..11 {
            told.round(&[Position { partition: 3, next: 6, queued: 1 }], Some(6));
        }
        assert_eq!(told.stuck, [3]);
    }

    #[test]
    fn an_idle_topic_is_not() {
        assert!(Told::new().rounds(1_000, 6, Some(6)).stuck.is_empty());
    }

    #[test]
    fn one_that_moves_is_not_however_far_behind() {
        let mut told = Told::new();
        for round in 0..1_000 {
            told.rounds(2, round, Some(1_000_000));
        }
        assert!(told.stuck.is_empty());
    }

    #[test]
    fn time_without_an_answer_of_the_brokers_does_not_count() {
        let mut told = Told::new();
        for _ in 0..100 {
            told.rounds(7, 5, Some(9)).rounds(1, 5, None);
        }
        assert!(told.stuck.is_empty());
    }

    #[test]
    fn time_in_which_a_partition_is_not_to_be_fetched_does_not_count() {
        let mut told = Told::new();
        for _ in 0..100 {
            told.rounds(9, 5, Some(9)).round(&[], None);
        }
        assert!(told.stuck.is_empty());
    }

    #[test]
    fn what_came_after_a_long_silence_has_all_of_the_time() {
        let mut told = Told::new();
        assert!(told.rounds(1_000, 5, Some(5)).rounds(8, 5, Some(6)).stuck.is_empty());
        assert_eq!(told.rounds(1, 5, Some(6)).stuck, [3]);
    }

    #[test]
    fn the_brokers_are_asked_once_at_a_time_and_not_of_a_busy_partition() {
        let (mut watch, start) = (Watch::new(LIMIT), Instant::now());
        let position = |next| [Position { partition: 0, next, queued: 0 }];
        assert!(watch.moved(&position(1), start).is_empty());
        assert!(watch.moved(&position(2), start + LIMIT).is_empty());
        assert_eq!(watch.moved(&position(2), start + LIMIT * 2), [0]);
        assert!(watch.moved(&position(2), start + LIMIT * 3).is_empty());
        watch.ended(&BTreeMap::new(), start + LIMIT * 3);
        assert_eq!(watch.moved(&position(2), start + LIMIT * 4), [0]);
    }
}
