//! The coordinator's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::settings::millis;

/// Milliseconds since 1970 that never go back: the wall clock is read once. A clock that is set while the broker
/// runs would end sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    started_ms: i64,
}

impl Clock {
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: millis(since_1970) }
    }

    pub fn now_ms(&self) -> i64 {
        self.started_ms.saturating_add(millis(self.started.elapsed()))
    }

    /// The instant at which `now_ms` will be this.
    pub fn instant(&self, at_ms: i64) -> Instant {
        let since = u64::try_from(at_ms.saturating_sub(self.started_ms)).unwrap_or(0);
        self.started + Duration::from_millis(since)
    }
}
