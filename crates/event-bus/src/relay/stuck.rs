//! When the producer of a relay is stuck: it hears of nothing that it sent, while brokers answer others. Pure.

use std::time::{Duration, Instant};

/// What is known of a producer that gets nowhere.
#[derive(Debug)]
pub(super) struct Watch {
    /// How long it may get nowhere while others are answered.
    limit: Duration,
    asked_at: Instant,
    /// Since when it has stood, and since when others were answered meanwhile, each time they were asked.
    answered: Option<(Instant, Instant)>,
}

impl Watch {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, asked_at: now, answered: None }
    }

    /// Whether to ask the brokers now, for a producer that has stood since then.
    pub(super) fn asks(&mut self, since: Option<Instant>, now: Instant) -> bool {
        let pause = self.limit / 4;
        let is_due = since.is_some_and(|since| now >= since.max(self.asked_at) + pause);
        if is_due {
            self.asked_at = now;
        }
        is_due
    }

    /// Takes note of whether they answered, and since when the producer has stood after that. Says whether it is stuck.
    pub(super) fn told(&mut self, is_answered: bool, since: Option<Instant>, now: Instant) -> bool {
        let Some(since) = since.filter(|_| is_answered) else {
            self.answered = None;
            return false;
        };
        let before = self.answered.filter(|(stood, _)| *stood == since);
        let (_, first) = *self.answered.insert(before.unwrap_or((since, now)));
        let is_stuck = now >= first + self.limit;
        if is_stuck {
            self.answered = None;
        }
        is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    /// A producer that is looked at every ten seconds.
    struct Looked {
        watch: Watch,
        now: Instant,
    }

    impl Looked {
        fn new() -> Self {
            let now = Instant::now();
            Self { watch: Watch::new(LIMIT, now), now }
        }

        /// Whether it was found stuck within so many looks.
        fn is_stuck_within(
            &mut self,
            looks: u32,
            since: Option<Instant>,
            is_answered: bool,
        ) -> bool {
            (0..looks).any(|_| {
                self.now += Duration::from_secs(10);
                self.watch.asks(since, self.now) && self.watch.told(is_answered, since, self.now)
            })
        }
    }

    #[test]
    fn a_producer_is_stuck_that_stands_while_others_are_answered_all_the_time() {
        let mut looked = Looked::new();
        let since = Some(looked.now);
        // Quiet for a quarter of the limit, and then others were answered for all of it.
        assert!(!looked.is_stuck_within(14, since, true));
        assert!(looked.is_stuck_within(1, since, true));
        assert!(!looked.is_stuck_within(12, since, true), "it begins anew");
    }

    #[test]
    fn time_without_brokers_does_not_count() {
        let mut looked = Looked::new();
        let since = Some(looked.now);
        assert!(!looked.is_stuck_within(60, since, false));
        assert!(!looked.is_stuck_within(12, since, true));
        assert!(!looked.is_stuck_within(3, since, false));
        assert!(!looked.is_stuck_within(12, since, true));
    }

    #[test]
    fn who_hears_of_something_or_has_nothing_on_its_way_is_not_stuck() {
        let mut looked = Looked::new();
        for _ in 0..5 {
            let since = Some(looked.now);
            assert!(!looked.is_stuck_within(12, since, true));
        }
        assert!(!looked.is_stuck_within(60, None, true));
    }
}
