//! Durations as Prometheus writes them, all times one factor.

use std::str::FromStr;
use std::time::Duration;

/// Units of Prometheus' durations in milliseconds, the longest first.
const UNITS: [(u64, &str); 5] =
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

/// What all durations of the rules are multiplied with: 1 but for tests, which do not wait for minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor(f64);

/// Not a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want a number above 0 and at most 1000, such as 0.01")]
pub struct BadFactor;

impl Default for Factor {
    fn default() -> Factor {
        Factor(1.0)
    }
}

impl FromStr for Factor {
    type Err = BadFactor;
    fn from_str(text: &str) -> Result<Factor, BadFactor> {
        let factor: f64 = text.parse().map_err(|_| BadFactor)?;
        if factor > 0.0 && factor <= 1_000.0 { Ok(Factor(factor)) } else { Err(BadFactor) }
    }
}

impl Factor {
    /// The duration times the factor, in whole milliseconds and at least one.
    fn millis(self, duration: Duration) -> u64 {
        let scaled = duration.mul_f64(self.0).as_millis();
        u64::try_from(scaled).unwrap_or(u64::MAX).max(1)
    }

    /// As Prometheus' durations are written: `5m`, `300ms`.
    pub(super) fn written(self, duration: Duration) -> String {
        let millis = self.millis(duration);
        let unit = UNITS.iter().find(|(unit, _)| millis.is_multiple_of(*unit));
        let (unit, name) = unit.expect("every whole number is a multiple of 1");
        format!("{}{name}", millis / unit)
    }

    /// As a number of seconds, for expressions.
    pub(super) fn seconds(self, duration: Duration) -> String {
        seconds(Duration::from_millis(self.millis(duration)))
    }
}

/// A duration as a number of seconds, as it is.
pub(super) fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_scaled_and_written_in_their_longest_unit() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let written = |factor: &str, duration| factor.parse::<Factor>().unwrap().written(duration);
        assert_eq!(Factor::default().written(minutes(10)), "10m");
        assert_eq!(Factor::default().written(minutes(120)), "2h");
        assert_eq!(written("1", Duration::from_secs(90)), "90s");
        assert_eq!(written("0.01", minutes(1)), "600ms");
        assert_eq!(written("0.000001", Duration::from_secs(1)), "1ms");
        assert_eq!("0.5".parse::<Factor>().unwrap().seconds(Duration::from_secs(3)), "1.5");
        for bad in ["0", "-1", "x", "NaN", "inf", "1001"] {
            assert_eq!(bad.parse::<Factor>(), Err(BadFactor), "{bad}");
        }
    }
}
