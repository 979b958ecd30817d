//! Ways to be wrong, on purpose.
//!
//! The simulation turns one on and has to notice. Without the feature `simulation` there are none, and nothing of this is
//! left in the program.

/// A mistake that the core can be told to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The committed offset passes events that are not settled.
    WatermarkPastGap,
    /// Behind an event that waits for its retry, its key goes on.
    LaneReleasedEarly,
    /// Offsets are committed after their partition was lost.
    CommitAfterLost,
    /// Failures are counted per partition.
    RetryCounterPerPartition,
    /// A parked key is released by the first of its events that is replayed.
    ParkedKeyOutOfOrder,
    /// An attempt that was cut off in good order counts as if its process had died.
    CutOffCounts,
}

/// The flaw that is turned on, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    #[cfg(feature = "simulation")]
    flaw: Option<Flaw>,
}

impl Flaws {
    /// None but this one.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn only(flaw: Option<Flaw>) -> Self {
        Self { flaw }
    }

    /// Whether the core is to make this mistake.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn have(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// There are none.
    #[cfg(not(feature = "simulation"))]
    #[must_use]
    pub const fn have(self, _: Flaw) -> bool {
        false
    }
}
