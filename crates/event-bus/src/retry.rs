//! When a failed event is tried again. Pure: the wait follows from the attempt and the event alone.

use std::time::Duration;

/// The share by which a wait is shortened or lengthened, so that events that failed together don't return together.
const JITTER_PERCENT: u64 = 20;

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after this wait.
    RetryAfter(Duration),
    /// No attempts are left: the event is a dead letter.
    DeadLetter,
}

/// Decides what follows the failure of attempt `attempt` (1 is the first) under the waits of the catalogue.
///
/// `seed` spreads the waits: the same seed and attempt give the same wait.
#[must_use]
pub fn after_failure(waits: &[Duration], attempt: u32, seed: u64) -> Next {
    let index = attempt.saturating_sub(1) as usize;
    match waits.get(index) {
        Some(wait) => Next::RetryAfter(jittered(*wait, seed.wrapping_add(u64::from(attempt)))),
        None => Next::DeadLetter,
    }
}

fn jittered(wait: Duration, seed: u64) -> Duration {
    let spread = mixed(seed) % (2 * JITTER_PERCENT + 1);
    let percent = 100 - JITTER_PERCENT + spread;
    wait * u32::try_from(percent).unwrap_or(100) / 100
}

/// `SplitMix64`'s finaliser (Steele, Lea, Flood 2014): neighbouring seeds give unrelated values.
fn mixed(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAITS: [Duration; 3] =
        [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];

    #[test]
    fn three_waits_allow_four_attempts() {
        for attempt in 1..=3 {
            assert!(matches!(after_failure(&WAITS, attempt, 7), Next::RetryAfter(_)));
        }
        assert_eq!(after_failure(&WAITS, 4, 7), Next::DeadLetter);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_a_fifth_of_the_schedule(attempt in 1_u32..=3, seed in any::<u64>()) {
            let scheduled = WAITS[attempt as usize - 1];
            let Next::RetryAfter(wait) = after_failure(&WAITS, attempt, seed) else { panic!("attempts are left") };
            prop_assert!(wait >= scheduled * 4 / 5 && wait <= scheduled * 6 / 5);
            prop_assert_eq!(after_failure(&WAITS, attempt, seed), Next::RetryAfter(wait));
        }
    }
}
