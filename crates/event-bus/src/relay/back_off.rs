//! The wait after a trouble: doubled each time, up to a limit, until something succeeds.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// Long enough for whoever recovers under the load of many relays, short enough for people who wait.
const LONGEST: Duration = Duration::from_secs(10);

/// How long the next wait is.
#[derive(Debug)]
pub(super) struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl BackOff {
    /// The wait after one more trouble. `spread` is a random number from 0 to 1.
    pub(super) fn next(&mut self, spread: f64) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        jittered(wait, spread)
    }

    /// Something succeeded.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Up to a quarter less, so that the relays of many services don't ask in step.
pub(super) fn jittered(wait: Duration, spread: f64) -> Duration {
    wait - wait.mul_f64(spread / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_begins_anew_after_a_success() {
        let mut back_off = BackOff::default();
        let waits: Vec<u128> = (0..9).map(|_| back_off.next(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        back_off.reset();
        assert_eq!(back_off.next(1.0), Duration::from_millis(75));
    }
}
