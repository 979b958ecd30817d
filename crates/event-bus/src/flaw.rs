//! Ways to be wrong, on purpose: mistakes that other projects have made.
//!
//! The simulation, torture and the tests turn one on and have to notice. Without the feature `simulation` there are none,
//! and nothing of this is left in the program.

/// A mistake that the library can be told to make.
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
    /// The offset is committed when an event is received, before it has its effect.
    OffsetBeforeEffect,
    /// A handler's effect is committed, and the inbox row after it.
    EffectBeforeInbox,
    /// Whether an event was handled before is looked up, and then its row is inserted.
    SelectThenInsert,
    /// A dead letter is handed to the client, and nobody waits for its report.
    DeadLetterUnawaited,
    /// Attempts are counted in memory only.
    AttemptsInMemory,
    /// Rows of the inbox are purged, and what they said is forgotten.
    PurgeTooEarly,
    /// The relay goes on behind the greatest id that it has seen.
    CursorRelay,
    /// The relay sends in the order of transaction ids.
    OrderByTransactionId,
    /// Relays share one shard's rows out among them by locks that they skip.
    SkipLockedWorkers,
    /// A relay that lost its lease still removes rows.
    LeaseWithoutFence,
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

    /// The one that the environment variable `EVENT_BUS_FLAW` turns on for this process, by its name in kebab case.
    ///
    /// # Panics
    /// When there is no flaw of that name.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn of_process() -> Self {
        static FLAWS: std::sync::OnceLock<Flaws> = std::sync::OnceLock::new();
        *FLAWS.get_or_init(|| {
            let name = std::env::var("EVENT_BUS_FLAW").ok();
            Self::only(name.map(|name| {
                Flaw::of_name(&name).unwrap_or_else(|| panic!("there is no flaw {name}"))
            }))
        })
    }

    /// There is none.
    #[cfg(not(feature = "simulation"))]
    #[must_use]
    pub const fn of_process() -> Self {
        Self {}
    }

    /// Whether this mistake is to be made.
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

#[cfg(feature = "simulation")]
impl Flaw {
    /// Those that a process can be started with, by their names.
    pub const OF_PROCESSES: [(&'static str, Self); 10] = [
        ("offset-before-effect", Self::OffsetBeforeEffect),
        ("effect-before-inbox", Self::EffectBeforeInbox),
        ("select-then-insert", Self::SelectThenInsert),
        ("dead-letter-unawaited", Self::DeadLetterUnawaited),
        ("attempts-in-memory", Self::AttemptsInMemory),
        ("purge-too-early", Self::PurgeTooEarly),
        ("cursor-relay", Self::CursorRelay),
        ("order-by-transaction-id", Self::OrderByTransactionId),
        ("skip-locked-workers", Self::SkipLockedWorkers),
        ("lease-without-fence", Self::LeaseWithoutFence),
    ];

    fn of_name(wanted: &str) -> Option<Self> {
        Self::OF_PROCESSES.iter().find(|(name, _)| *name == wanted).map(|(_, flaw)| *flaw)
    }
}
