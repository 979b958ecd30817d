//! What a session's state shows to whoever watches it.

use std::time::Instant;

/// A session at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Events that run.
    pub in_flight: usize,
    /// Keys that wait for a retry.
    pub waiting_keys: usize,
    /// When the oldest event came that is not settled.
    pub oldest: Option<Instant>,
}
