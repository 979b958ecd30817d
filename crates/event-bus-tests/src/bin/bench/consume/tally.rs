//! How many events a handler has had, and since when.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

/// Counts a run's events up to a number.
pub struct Tally {
    wanted: usize,
    count: AtomicUsize,
    began: OnceLock<Instant>,
    is_full: Notify,
}

impl Tally {
    pub fn of(wanted: usize) -> Tally {
        let (count, began) = (AtomicUsize::new(0), OnceLock::new());
        Tally { wanted, count, began, is_full: Notify::new() }
    }

    /// A handler was called.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// A handler is done with so many events.
    pub fn add(&self, events: usize) {
        let before = self.count.fetch_add(events, Ordering::AcqRel);
        if before < self.wanted && before + events >= self.wanted {
            self.is_full.notify_one();
        }
    }

    /// Waits for the last event and says when the first one came.
    pub async fn full(&self) -> Instant {
        self.is_full.notified().await;
        *self.began.get().expect("a handler was called before the last one")
    }
}
