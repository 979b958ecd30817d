//! Which offsets of one partition are settled, and so how far the group may commit.
//!
//! Pure: no clock, no I/O.

use std::collections::VecDeque;

/// The offsets of one partition between the watermark and the newest one received.
///
/// Events settle in any order; the watermark only passes settled ones. Offsets need not be consecutive: compaction
/// and transaction markers leave gaps.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Ascending; the front one, if any, is not settled.
    window: VecDeque<Tracked>,
    last_received: Option<i64>,
    unsettled: usize,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    offset: i64,
    settled: bool,
}

impl Tracker {
    /// Notes a received offset. Says whether it is new: after a reconnect the client may deliver one again.
    pub fn receive(&mut self, offset: i64) -> bool {
        if self.last_received.is_some_and(|last| offset <= last) {
            return false;
        }
        self.last_received = Some(offset);
        self.window.push_back(Tracked { offset, settled: false });
        self.unsettled += 1;
        true
    }

    /// Notes that an event's effect is committed, or that it was skipped or dead-lettered.
    pub fn settle(&mut self, offset: i64) {
        let Ok(index) = self.window.binary_search_by_key(&offset, |tracked| tracked.offset) else {
            return;
        };
        if !self.window[index].settled {
            self.window[index].settled = true;
            self.unsettled -= 1;
        }
        while self.window.front().is_some_and(|front| front.settled) {
            self.window.pop_front();
        }
    }

    /// The offset to commit: the first unsettled one, or the one behind the last received. `None` before the first.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        match self.window.front() {
            Some(front) => Some(front.offset),
            None => self.last_received.map(|last| last + 1),
        }
    }

    /// The newest settled offset that was received. Committing behind it is wrong: it is
    /// [`Flaw::WatermarkPastGap`](crate::flaw::Flaw::WatermarkPastGap).
    pub(super) fn last_settled(&self) -> Option<i64> {
        match self.window.iter().rev().find(|tracked| tracked.settled) {
            Some(tracked) => Some(tracked.offset),
            None => self.watermark().map(|watermark| watermark - 1),
        }
    }

    /// How many offsets lie between the watermark and the newest, settled ones among them: what the window bounds.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.window.len()
    }

    /// How many received events are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_may_be_committed_before_the_first_record() {
        assert_eq!(Tracker::default().watermark(), None);
    }

    #[test]
    fn the_watermark_never_passes_an_unsettled_event() {
        let mut tracker = Tracker::default();
        for offset in [3, 4, 7] {
            assert!(tracker.receive(offset));
        }
        tracker.settle(4);
        tracker.settle(7);
        assert_eq!(tracker.watermark(), Some(3));
        tracker.settle(3);
        assert_eq!(tracker.watermark(), Some(8));
        assert_eq!(tracker.window_len(), 0);
    }

    #[test]
    fn an_offset_delivered_again_is_not_new() {
        let mut tracker = Tracker::default();
        assert!(tracker.receive(3));
        assert!(!tracker.receive(3));
        assert!(!tracker.receive(2));
        assert_eq!(tracker.unsettled(), 1);
    }

    proptest! {
        #[test]
        fn the_watermark_is_the_first_unsettled_offset(
            gaps in prop::collection::vec(1_i64..4, 1..60),
            settled in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let mut tracker = Tracker::default();
            let mut offsets = Vec::new();
            let mut offset = -1;
            for gap in gaps {
                offset += gap;
                offsets.push(offset);
                tracker.receive(offset);
            }
            let mut open: std::collections::BTreeSet<i64> = offsets.iter().copied().collect();
            for index in settled {
                let chosen = *index.get(&offsets);
                tracker.settle(chosen);
                open.remove(&chosen);
                let expected = open.first().copied().unwrap_or(offset + 1);
                prop_assert_eq!(tracker.watermark(), Some(expected));
                prop_assert_eq!(tracker.unsettled(), open.len());
            }
        }
    }
}
