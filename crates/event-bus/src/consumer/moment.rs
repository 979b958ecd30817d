//! Now, as an argument.

use std::time::Instant;

use jiff::Timestamp;

/// A moment by both clocks: the one that waits are measured with, and the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waits and deadlines.
    pub instant: Instant,
    /// For what is written down.
    pub time: Timestamp,
}
