//! Which records `read_committed` consumers may see: below the last stable offset, and not of an aborted transaction.

use std::collections::VecDeque;

/// A transaction that was aborted, as this partition has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The offset of its marker.
    pub marker_offset: i64,
}

/// The ended transactions of a partition, as far as consumers have to know about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stability {
    /// By marker offset, ascending.
    aborted: Vec<Aborted>,
    /// Transactions whose marker is not visible yet, so that they still count as open: (first offset, marker's).
    ending: VecDeque<(i64, i64)>,
}

impl Stability {
    /// Takes note of a transaction whose marker is in the log now.
    pub fn ended(&mut self, first_offset: i64, marker_offset: i64) {
        self.ending.push_back((first_offset, marker_offset));
    }

    /// Takes note of an abort; markers come in the order of their offsets.
    pub fn aborted(&mut self, transaction: Aborted) {
        self.aborted.push(transaction);
    }

    /// Markers below `visible_end` are visible now.
    pub fn visible_up_to(&mut self, visible_end: i64) {
        while self.ending.front().is_some_and(|(_, marker)| *marker < visible_end) {
            self.ending.pop_front();
        }
    }

    /// The last stable offset, given the first offset of the oldest open transaction.
    pub fn last_stable(&self, first_open: Option<i64>, visible_end: i64) -> i64 {
        let first_ending = self.ending.iter().map(|(first, _)| *first).min();
        [first_open, first_ending].into_iter().flatten().fold(visible_end, i64::min)
    }

    /// The aborted transactions with records in `from..upper`, for a consumer that filters them out.
    pub fn aborted_in(&self, from: i64, upper: i64) -> Vec<Aborted> {
        let start = self.aborted.partition_point(|aborted| aborted.marker_offset < from);
        self.aborted[start..]
            .iter()
            .filter(|aborted| aborted.first_offset < upper)
            .copied()
            .collect()
    }

    /// Forgets transactions that ended before the log's start.
    pub fn forget_before(&mut self, start_offset: i64) {
        let gone = self.aborted.partition_point(|aborted| aborted.marker_offset < start_offset);
        self.aborted.drain(..gone);
    }
}
