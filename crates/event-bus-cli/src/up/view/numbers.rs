//! Numbers as people read them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use event_bus_ops::Snapshot;

/// Over how long a rate is taken: long enough to be calm, short enough to show a change.
const WINDOW: Duration = Duration::from_secs(5);

/// Events a second, from counts at moments. Pure.
#[derive(Debug, Default)]
pub struct Rate {
    counts: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub fn note(&mut self, at: Instant, count: u64) {
        if self.counts.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        self.counts.push_back((at, count));
        // One from before the window stays, so that the window is covered.
        while self.counts.get(1).is_some_and(|(second, _)| at.duration_since(*second) >= WINDOW) {
            self.counts.pop_front();
        }
    }

    pub fn per_second(&self) -> f64 {
        let (Some((first, from)), Some((last, to))) = (self.counts.front(), self.counts.back())
        else {
            return 0.0;
        };
        let seconds = last.duration_since(*first).as_secs_f64();
        // A topic that was made anew counts from the beginning.
        let more = u32::try_from(to.saturating_sub(*from)).unwrap_or(u32::MAX);
        if seconds > 0.0 { f64::from(more) / seconds } else { 0.0 }
    }
}

/// How far the orders have come, by what was published about them.
pub struct Orders {
    pub placed: u64,
    pub confirmed: u64,
    pub dispatched: u64,
    pub cancelled: u64,
}

impl Orders {
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            placed: snapshot.events_of("OrderPlaced"),
            confirmed: snapshot.events_of("OrderConfirmed"),
            dispatched: snapshot.events_of("OrderDispatched"),
            cancelled: snapshot.events_of("OrderCancelled"),
        }
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `01:02:03`, with more hours where it takes more.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(clock(Duration::from_secs(3600 * 100 + 61)), "100:01:01");
    }

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        assert!(rate.per_second() < f64::EPSILON);
        rate.note(at(0), 100);
        rate.note(at(2), 150);
        assert!((rate.per_second() - 25.0).abs() < 1e-9);
        // The same snapshot again is no news.
        rate.note(at(2), 150);
        for second in 3..60 {
            rate.note(at(second), 150);
        }
        assert!(rate.per_second() < f64::EPSILON);
    }
}
