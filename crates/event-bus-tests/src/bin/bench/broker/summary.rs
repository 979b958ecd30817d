//! The rounds' figures, their ratios, and what is required of these.

use std::fmt;
use std::time::Duration;

use super::memory::mebibytes;

/// What one side reached in one round.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Records acknowledged a second.
    pub produced: f64,
    /// Records read a second, just after they were written.
    pub consumed: f64,
    /// Records read a second from files that the operating system did not hold in memory.
    pub cold: Option<f64>,
    pub p50: Duration,
    pub p99: Duration,
    /// The most memory that the broker had in the round.
    pub peak_bytes: u64,
    /// And after it.
    pub after_bytes: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cold =
            self.cold.map_or_else(|| "not measured".to_owned(), |cold| format!("{cold:.0}/s"));
        write!(
            f,
            "produced {:.0}/s, consumed {:.0}/s (from disk {cold}), p50 {:.2?}, p99 {:.2?}, memory {} MiB at most, {} MiB after",
            self.produced,
            self.consumed,
            self.p50,
            self.p99,
            mebibytes(self.peak_bytes),
            mebibytes(self.after_bytes)
        )
    }
}

/// Both sides' rounds.
#[derive(Default)]
pub struct Summary {
    rounds: Vec<(Measured, Measured)>,
}

/// A bound of a ratio of embedded to Kafka.
#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Summary {
    pub fn add(&mut self, ours: Measured, theirs: Measured) {
        self.rounds.push((ours, theirs));
    }

    /// Prints a line a measure, and tells whether all are as required.
    pub fn print(&self) -> bool {
        println!("\nembedded / Kafka: median of {} rounds (range)", self.rounds.len());
        let seconds = |time: Duration| time.as_secs_f64();
        let lines = [
            self.line("produce rate", Wanted::AtLeast(1.0), |side| Some(side.produced)),
            self.line("consume rate", Wanted::AtLeast(1.0), |side| Some(side.consumed)),
            self.line("consume rate from disk", Wanted::AtLeast(1.0), |side| side.cold),
            self.line("p50 produce latency", Wanted::AtMost(1.0), |side| Some(seconds(side.p50))),
            self.line("p99 produce latency", Wanted::AtMost(1.0), |side| Some(seconds(side.p99))),
            self.line("memory under load", Wanted::AtMost(0.1), |side| {
                Some(bytes(side.peak_bytes))
            }),
            self.line("memory after load", Wanted::AtMost(0.1), |side| {
                Some(bytes(side.after_bytes))
            }),
        ];
        lines.iter().all(|is_right| *is_right)
    }

    fn line(&self, name: &str, wanted: Wanted, of: impl Fn(&Measured) -> Option<f64>) -> bool {
        let ratios = self.rounds.iter().filter_map(|(ours, theirs)| Some(of(ours)? / of(theirs)?));
        let Some((median, low, high)) = spread(ratios.collect()) else {
            println!("{name:24} LEFT OUT: only root may empty the operating system's file cache");
            return true;
        };
        let (is_right, wanted) = match wanted {
            Wanted::AtLeast(bound) => (median >= bound, format!("at least {bound}")),
            Wanted::AtMost(bound) => (median <= bound, format!("at most {bound}")),
        };
        let verdict = if is_right { "" } else { "  TOO FAR" };
        println!("{name:24} {median:.3} ({low:.3} to {high:.3}), wanted {wanted}{verdict}");
        is_right
    }
}

/// Median, lowest and highest.
fn spread(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    Some((*values.get(values.len() / 2)?, *values.first()?, *values.last()?))
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes are far below 2^53")]
fn bytes(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn per_second(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rate: f64, millis: u64, bytes: u64) -> Measured {
        let time = Duration::from_millis(millis);
        Measured {
            produced: rate,
            consumed: rate,
            cold: None,
            p50: time,
            p99: time,
            peak_bytes: bytes,
            after_bytes: bytes,
        }
    }

    #[test]
    fn the_median_round_decides() {
        let mut summary = Summary::default();
        for rate in [50.0, 101.0, 300.0] {
            summary.add(side(rate, 5, 10), side(100.0, 6, 100));
        }
        assert!(summary.print());
        summary.add(side(99.0, 5, 10), side(100.0, 6, 100));
        summary.add(side(99.0, 5, 10), side(100.0, 6, 100));
        assert!(!summary.print());
    }

    #[test]
    fn slow_answers_and_much_memory_are_too_far() {
        let mut slow = Summary::default();
        slow.add(side(200.0, 7, 10), side(100.0, 6, 100));
        assert!(!slow.print());
        let mut large = Summary::default();
        large.add(side(200.0, 5, 11), side(100.0, 6, 100));
        assert!(!large.print());
    }
}
