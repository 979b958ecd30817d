//! The topic's partitions and the group's committed offsets.

use super::event::{EventNumber, Nature, SimEvent};
use event_bus::consumer::lane::LaneKey;

/// The broker's part that keeps something.
#[derive(Debug)]
pub struct Log {
    partitions: Vec<Vec<SimEvent>>,
    committed: Vec<Option<i64>>,
}

impl Log {
    /// Empty partitions.
    #[must_use]
    pub fn new(partitions: usize) -> Self {
        Self { partitions: vec![Vec::new(); partitions], committed: vec![None; partitions] }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// Where a partition ends.
    #[must_use]
    pub fn end(&self, partition: i32) -> i64 {
        i64::try_from(self.of(partition).len()).unwrap_or(i64::MAX)
    }

    fn of(&self, partition: i32) -> &[SimEvent] {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .map_or(&[], |p| p)
    }

    /// Appends an event.
    pub fn append(
        &mut self,
        number: EventNumber,
        partition: i32,
        key: LaneKey,
        nature: Nature,
    ) -> SimEvent {
        let event = SimEvent::new(number, (partition, self.end(partition)), key, nature);
        self.push(event.clone());
        event
    }

    /// Appends a replay of an event.
    pub fn append_replay(&mut self, event: &SimEvent, chain_seq: u64) -> SimEvent {
        let replay = event.replayed(self.end(event.partition), chain_seq);
        self.push(replay.clone());
        replay
    }

    fn push(&mut self, event: SimEvent) {
        if let Ok(index) = usize::try_from(event.partition) {
            self.partitions[index].push(event);
        }
    }

    /// Up to `most` records from `offset` on.
    #[must_use]
    pub fn read(&self, partition: i32, offset: i64, most: usize) -> &[SimEvent] {
        let records = self.of(partition);
        let from = usize::try_from(offset).unwrap_or(0).min(records.len());
        &records[from..records.len().min(from + most)]
    }

    /// What the group committed.
    #[must_use]
    pub fn committed(&self, partition: i32) -> Option<i64> {
        self.committed.get(usize::try_from(partition).ok()?).copied().flatten()
    }

    /// Commits, or resets.
    pub fn commit(&mut self, partition: i32, offset: i64) {
        if let Ok(index) = usize::try_from(partition) {
            self.committed[index] = Some(offset);
        }
    }
}
