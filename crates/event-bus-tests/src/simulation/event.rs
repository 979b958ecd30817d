//! The events of the simulation, and what their handler makes of them.

use bytes::Bytes;
use event_bus::consumer::core::Arrival;
use event_bus::consumer::lane::LaneKey;
use event_bus::dead_letter::{Cause, Reason};

/// What is the matter with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing.
    Good,
    /// Its handler takes seconds.
    Slow,
    /// Its handler takes longer than partitions on their way out wait for it.
    Long,
    /// So many attempts fail.
    Flaky(u32),
    /// Every attempt fails.
    Poison,
    /// Every attempt panics.
    Panics,
    /// No attempt ends.
    Stuck,
    /// The handler hides an error of the database.
    Swallows,
    /// The handler rejects it.
    Rejected,
    /// It is no envelope.
    Malformed,
    /// It ends the process.
    Killer,
}

impl Nature {
    /// Whether it must become a dead letter.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        !matches!(self, Self::Good | Self::Slow | Self::Long | Self::Flaky(_))
    }
}

/// What an event is known by, in the order in which the source's transactions committed.
pub type EventNumber = usize;

/// A record of the log.
#[derive(Clone, Debug)]
pub struct SimEvent {
    /// Which event.
    pub number: EventNumber,
    /// Where the record stands.
    pub partition: i32,
    /// Where the record stands in there.
    pub offset: i64,
    /// Its key.
    pub key: LaneKey,
    /// What its handler makes of it.
    pub nature: Nature,
    /// For a replay of a dead letter of a parked key: its place in the chain.
    pub chain_seq: Option<u64>,
    doom: Option<Cause>,
}

/// Names of keys.
pub const KEYS: [&[u8]; 6] = [b"ash", b"birch", b"cedar", b"elm", b"fir", b"oak"];

impl SimEvent {
    /// A record at the end of a partition that has `offset` records.
    #[must_use]
    pub fn new(number: EventNumber, place: (i32, i64), key: LaneKey, nature: Nature) -> Self {
        let doom = (nature == Nature::Malformed)
            .then(|| Cause::new(Reason::Malformed, "NotJson", "it is no envelope"));
        let (partition, offset) = place;
        Self { number, partition, offset, key, nature, chain_seq: None, doom }
    }

    /// The record of its replay. What was wrong is mended.
    #[must_use]
    pub fn replayed(&self, offset: i64, chain_seq: u64) -> Self {
        let nature = Nature::Good;
        Self { offset, nature, chain_seq: Some(chain_seq), doom: None, ..self.clone() }
    }

    /// How a trace names it.
    #[must_use]
    pub fn name(&self) -> String {
        let key = self.key.as_deref().map_or("-".into(), String::from_utf8_lossy);
        let replay = self.chain_seq.map_or(String::new(), |seq| format!(" replay {seq}"));
        format!(
            "e{}({}/{} {key} {:?}{replay})",
            self.number, self.partition, self.offset, self.nature
        )
    }
}

/// The key of that name.
#[must_use]
pub fn key(index: usize) -> LaneKey {
    Some(Bytes::from_static(KEYS[index % KEYS.len()]))
}

impl Arrival for SimEvent {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn key(&self) -> &LaneKey {
        &self.key
    }

    fn seed(&self) -> u64 {
        self.number as u64
    }

    fn doom(&self) -> Option<&Cause> {
        self.doom.as_ref()
    }

    fn is_replay(&self) -> bool {
        self.chain_seq.is_some()
    }
}
