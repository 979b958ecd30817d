//! The rows on their way: handed to the producer, and not removed from the outbox yet.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::names::TopicName;

/// The most rows on their way: some requests with a batch for each partition, and those that are about to be removed.
const MOST_ROWS: usize = 4_000;
/// How many bytes of rows may be with the producer before no further is handed over.
const MOST_BYTES: i64 = 4 * 1024 * 1024;
/// So many rows on their way a look is told of, so that it does not find them again.
const MOST_KNOWN: usize = 256;
/// So many delivered rows are removed by one statement.
pub(super) const REMOVE_ROWS: usize = 1_000;
/// How long a delivered row waits for others to be removed with it. What a relay that dies has not removed is sent again.
const REMOVE_AFTER: Duration = Duration::from_millis(100);

/// A row on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flying {
    pub(super) shard: i32,
    pub(super) bytes: i64,
    pub(super) topic: TopicName,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flight {
    rows: HashMap<i64, Flying>,
    delivered: Vec<i64>,
    delivered_since: Option<Instant>,
    bytes: i64,
    /// When the last report came, or the first row took off that waits for one.
    moved_at: Option<Instant>,
}

impl Flight {
    pub(super) fn has(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    /// How many there are, delivered ones among them.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Those from this id on, as far as a look is told to leave them out: all or none. And how many rows it has to ask for
    /// to find so many others.
    pub(super) fn known_from(&self, first: i64, others: usize) -> (Vec<i64>, usize) {
        let known: Vec<i64> = self.rows.keys().copied().filter(|id| *id >= first).collect();
        if known.len() <= MOST_KNOWN { (known, others) } else { (Vec::new(), others + known.len()) }
    }

    /// How many have no delivery report yet.
    pub(super) fn unreported(&self) -> usize {
        self.rows.len() - self.delivered.len()
    }

    /// Whether another may be handed over: memory stays the same however much waits.
    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < MOST_ROWS && self.bytes < MOST_BYTES
    }

    /// Whether any is of these shards.
    pub(super) fn has_any_of(&self, shards: &[i32]) -> bool {
        self.rows.values().any(|row| shards.contains(&row.shard))
    }

    /// Since when no report has come although one is awaited.
    pub(super) fn stands_since(&self) -> Option<Instant> {
        self.moved_at.filter(|_| self.unreported() > 0)
    }

    pub(super) fn takes_off(&mut self, id: i64, row: Flying, now: Instant) {
        if self.unreported() == 0 {
            self.moved_at = Some(now);
        }
        self.bytes += row.bytes;
        self.rows.insert(id, row);
    }

    /// Kafka has it.
    pub(super) fn arrived(&mut self, id: i64, now: Instant) {
        let Some(row) = self.rows.get(&id) else { return };
        self.bytes -= row.bytes;
        self.moved_at = Some(now);
        self.delivered.push(id);
        self.delivered_since.get_or_insert(now);
    }

    /// Kafka does not have it, as far as is known.
    pub(super) fn came_back(&mut self, id: i64, now: Instant) -> Option<Flying> {
        let row = self.rows.remove(&id)?;
        self.bytes -= row.bytes;
        self.moved_at = Some(now);
        Some(row)
    }

    /// No report is awaited any more of those that have none.
    pub(super) fn give_up(&mut self) {
        let delivered: HashSet<i64> = self.delivered.iter().copied().collect();
        self.rows.retain(|id, _| delivered.contains(id));
        self.bytes = 0;
    }

    /// When delivered rows are to be removed at the latest.
    pub(super) fn remove_at(&self) -> Option<Instant> {
        self.delivered_since.map(|since| since + REMOVE_AFTER)
    }

    /// Whether it is time to remove the delivered rows.
    pub(super) fn is_to_be_removed(&self, now: Instant) -> bool {
        self.delivered.len() >= REMOVE_ROWS || self.remove_at().is_some_and(|at| at <= now)
    }

    /// The first rows that are to be removed, in one statement.
    pub(super) fn delivered(&self) -> &[i64] {
        &self.delivered[..self.delivered.len().min(2 * REMOVE_ROWS)]
    }

    /// The first `count` delivered rows are not in the outbox any more.
    pub(super) fn removed(&mut self, count: usize, now: Instant) {
        if count == 0 {
            return;
        }
        for id in self.delivered.drain(..count) {
            self.rows.remove(&id);
        }
        self.delivered_since = (!self.delivered.is_empty()).then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flying(shard: i32, bytes: i64) -> Flying {
        Flying { shard, bytes, topic: TopicName::new("t").unwrap() }
    }

    #[test]
    fn a_row_is_on_its_way_until_it_is_removed_and_takes_room_until_its_report() {
        let (mut flight, now) = (Flight::default(), Instant::now());
        flight.takes_off(1, flying(0, MOST_BYTES), now);
        flight.takes_off(2, flying(3, 10), now);
        assert!(!flight.has_room());
        flight.arrived(1, now);
        assert!(flight.has_room() && flight.has(1));
        assert_eq!(
            (flight.len(), flight.known_from(2, 7), flight.unreported()),
            (2, (vec![2], 7), 1)
        );
        assert_eq!(flight.came_back(2, now), Some(flying(3, 10)));
        assert!(!flight.has_any_of(&[3]) && flight.has_any_of(&[0, 5]));
        assert!(!flight.is_to_be_removed(now));
        assert!(flight.is_to_be_removed(now + REMOVE_AFTER));
        assert_eq!(flight.delivered(), [1]);
        flight.removed(1, now);
        assert_eq!((flight.len(), flight.remove_at(), flight.bytes), (0, None, 0));
    }

    #[test]
    fn what_has_no_report_for_long_can_be_given_up() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(flight.stands_since(), None);
        (1..=3).for_each(|id| flight.takes_off(id, flying(0, 5), later(u64::from(id == 3))));
        assert_eq!(flight.stands_since(), Some(start));
        flight.arrived(2, later(5));
        assert_eq!(flight.stands_since(), Some(later(5)));
        flight.give_up();
        assert_eq!((flight.len(), flight.unreported(), flight.bytes), (1, 0, 0));
        assert_eq!((flight.stands_since(), flight.delivered()), (None, &[2][..]));
    }

    #[test]
    fn rows_are_bounded_by_number_too_and_many_are_removed_without_a_wait() {
        let (mut flight, now) = (Flight::default(), Instant::now());
        for id in 0..i64::try_from(MOST_ROWS).unwrap() {
            flight.takes_off(id, flying(0, 1), now);
        }
        assert!(!flight.has_room());
        assert_eq!(
            flight.known_from(1, 7),
            (Vec::new(), MOST_ROWS + 6),
            "too many to be left out one by one"
        );
        (0..999).for_each(|id| flight.arrived(id, now));
        assert!(!flight.is_to_be_removed(now));
        flight.arrived(999, now);
        assert!(flight.is_to_be_removed(now));
        assert!(!flight.has_room(), "what is not removed would be read again");
    }
}
