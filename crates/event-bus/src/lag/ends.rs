//! Where the end of a log was, and when: what turns a lag in records into one in time.

use std::collections::VecDeque;
use std::time::Duration;

/// So many looks at a partition are remembered: many of late, and ever fewer of before.
const CAPACITY: usize = 48;

/// When the end of one partition's log was where, over the last days. Pure: it is told what was seen, and when.
///
/// Times are milliseconds of a clock that only goes forwards; its zero is anywhere, and what came before is negative.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// Rising in both.
    looks: VecDeque<Look>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    at: i64,
    end: i64,
}

impl Ends {
    /// What is known of the past: the end at each of some times. Looks that contradict a later one are left out, as the
    /// times of records do where publishers' clocks differ.
    #[must_use]
    pub fn before(looks: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut looks: Vec<Look> = looks.into_iter().map(|(at, end)| Look { at, end }).collect();
        looks.sort_by_key(|look| look.at);
        let mut ends = Self::default();
        let mut lowest = i64::MAX;
        for look in looks.into_iter().rev() {
            if look.end <= lowest {
                lowest = look.end;
                ends.looks.push_front(look);
            }
        }
        ends
    }

    /// Takes note of a look. An end before the last one is another log's: the topic was made anew, or its leader lost
    /// records. Then nothing from before counts.
    pub fn note(&mut self, at: i64, end: i64) {
        if self.looks.back().is_some_and(|last| last.end > end) {
            self.looks.clear();
        }
        let len = self.looks.len();
        // Of a time without new records, its beginning and its end tell all.
        if len >= 2 && self.looks.range(len - 2..).all(|look| look.end == end) {
            self.looks[len - 1].at = at;
            return;
        }
        if len == CAPACITY {
            self.forget_one(at);
        }
        self.looks.push_back(Look { at, end });
    }

    /// How long the record at this offset has been there at `now`: zero for one that is not there yet. Interpolated between
    /// two looks; for a record from before the first look, the time since that, which is less than it was.
    #[must_use]
    pub fn age_of(&self, offset: i64, now: i64) -> Duration {
        let after = self.looks.partition_point(|look| look.end <= offset);
        let Some(later) = self.looks.get(after) else { return Duration::ZERO };
        let came = match after.checked_sub(1).map(|before| self.looks[before]) {
            None => later.at,
            Some(earlier) => {
                let (time, records) = (later.at - earlier.at, later.end - earlier.end);
                let part = i128::from(time) * i128::from(offset - earlier.end);
                earlier.at + i64::try_from(part / i128::from(records)).unwrap_or(time)
            }
        };
        Duration::from_millis(u64::try_from(now - came).unwrap_or(0))
    }

    /// Forgets the look whose neighbours are closest to each other, measured by how long ago that was.
    fn forget_one(&mut self, now: i64) {
        let gap = |nth: &usize| {
            let span = (self.looks[nth + 1].at - self.looks[nth - 1].at) as f64;
            span / (now - self.looks[*nth].at).max(1) as f64
        };
        let least = (1..self.looks.len() - 1).min_by(|a, b| gap(a).total_cmp(&gap(b)));
        if let Some(nth) = least {
            self.looks.remove(nth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn age(ends: &Ends, offset: i64, now: i64) -> u128 {
        ends.age_of(offset, now).as_millis()
    }

    #[test]
    fn a_record_between_two_looks_came_between_them() {
        let mut ends = Ends::default();
        ends.note(0, 0);
        ends.note(1_000, 10);
        ends.note(2_000, 10);
        ends.note(3_000, 20);
        for (offset, came) in [(0, 0), (5, 500), (9, 900), (10, 2_000), (15, 2_500)] {
            assert_eq!(age(&ends, offset, 5_000), 5_000 - came, "{offset}");
        }
        assert_eq!(age(&ends, 20, 5_000), 0, "it is not there yet");
        assert_eq!(age(&ends, 7, 600), 0, "a clock that is behind makes no age");
    }

    #[test]
    fn a_record_from_before_the_first_look_is_at_least_as_old_as_that() {
        let mut ends = Ends::default();
        assert_eq!(age(&ends, 0, 9), 0, "nothing was seen");
        ends.note(1_000, 10);
        assert_eq!(age(&ends, 4, 3_000), 2_000);
    }

    #[test]
    fn the_past_is_taken_over_where_it_does_not_contradict_itself() {
        let past = [(-10 * MINUTE, 5), (-MINUTE, 20), (-5 * MINUTE, 30), (-60 * MINUTE, 0)];
        let mut ends = Ends::before(past);
        ends.note(0, 25);
        assert_eq!(age(&ends, 5, 0), 600_000, "the contradicting look is left out");
        assert_eq!(age(&ends, 20, 0), 60_000);
        assert_eq!(age(&ends, 0, 0), 3_600_000);
    }

    #[test]
    fn a_log_that_was_made_anew_begins_anew() {
        let mut ends = Ends::default();
        ends.note(0, 0);
        ends.note(1_000, 100);
        ends.note(2_000, 3);
        assert_eq!(age(&ends, 0, 2_500), 500);
        assert_eq!(age(&ends, 50, 2_500), 0);
    }

    #[test]
    fn a_long_idle_time_takes_two_looks() {
        let mut ends = Ends::default();
        for minute in 0..1_000 {
            ends.note(minute * MINUTE, 7);
        }
        assert_eq!(ends.looks.len(), 2);
        ends.note(1_000 * MINUTE, 8);
        assert_eq!(age(&ends, 7, 1_000 * MINUTE), 60_000);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_still_right_for_an_old_record() {
        let mut ends = Ends::default();
        let now = 7 * 24 * 60 * MINUTE;
        for nth in 0..=7 * 24 * 60 {
            ends.note(nth * MINUTE, nth * 10);
        }
        assert_eq!(ends.looks.len(), CAPACITY);
        // At an even rate, interpolation is exact however few looks are left.
        for minutes in [1, 10, 100, 1_000, 10_000] {
            let offset = (7 * 24 * 60 - minutes) * 10;
            let told = ends.age_of(offset, now).as_secs_f64() / 60.0;
            assert!((told - minutes as f64).abs() < 0.01, "{minutes} {told}");
        }
        // The looks of late are close together.
        let spans: Vec<i64> =
            ends.looks.iter().zip(ends.looks.iter().skip(1)).map(|(a, b)| b.at - a.at).collect();
        assert!(spans[CAPACITY - 2] <= 2 * MINUTE, "{spans:?}");
        assert!(spans[0] > spans[CAPACITY - 2], "{spans:?}");
    }
}
