//! Where a replay stands.

use serde::{Deserialize, Serialize};

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It goes on, in an ops process that runs.
    Running,
    /// Somebody cancelled it, and what was not sent is about to be opened again.
    Cancelling,
    /// It stopped by itself, and what was not sent is about to be opened again.
    Stopping,
    /// All were sent, and all outcomes told.
    Finished,
    /// Somebody cancelled it.
    Cancelled,
    /// It stopped by itself.
    Stopped,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Running,
        Self::Cancelling,
        Self::Stopping,
        Self::Finished,
        Self::Cancelled,
        Self::Stopped,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled | Self::Stopped)
    }
}

impl std::str::FromStr for Stage {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or(())
    }
}
