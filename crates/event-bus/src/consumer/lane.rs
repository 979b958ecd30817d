//! The order per key within one partition: which events may run now.
//!
//! A lane holds the events of one key in offset order. While one of them waits for its retry the whole lane waits;
//! other lanes don't. Pure: the time is an argument.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

/// A lane's key: the record's key bytes. Records without a key share one lane.
pub type LaneKey = Option<Bytes>;

/// How many events of one lane may be taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// As many as there are: they run one after another in one transaction.
    Queue,
    /// One: each runs in a transaction of its own, beside other lanes' events.
    Head,
}

/// The lanes of one partition.
#[derive(Debug)]
pub struct Lanes {
    width: Width,
    lanes: HashMap<LaneKey, Lane>,
    /// Offsets that may be taken now, of all lanes.
    ready: BTreeSet<i64>,
    keys: HashMap<i64, LaneKey>,
    waiting: BTreeSet<(Instant, i64)>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Not taken, ascending.
    queue: VecDeque<i64>,
    taken: usize,
    /// The offset whose retry the lane waits for.
    waits_for: Option<i64>,
}

impl Lanes {
    /// Lanes that are empty.
    #[must_use]
    pub fn new(width: Width) -> Self {
        Self {
            width,
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            keys: HashMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Adds an event behind those of its key. Offsets come in ascending order.
    pub fn push(&mut self, offset: i64, key: LaneKey) {
        self.lanes.entry(key.clone()).or_default().queue.push_back(offset);
        self.offer(&key, offset);
        self.keys.insert(offset, key);
    }

    /// Takes up to `most` events that may run now, in offset order. Each must come back through [`Self::done`],
    /// [`Self::give_back`] or [`Self::wait`].
    pub fn take(&mut self, most: usize) -> Vec<i64> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(offset) = self.ready.pop_first() else { break };
            let Some(lane) = self.keys.get(&offset).and_then(|key| self.lanes.get_mut(key)) else {
                continue;
            };
            let Ok(place) = lane.queue.binary_search(&offset) else { continue };
            lane.queue.remove(place);
            lane.taken += 1;
            taken.push(offset);
        }
        taken
    }

    /// A taken event is settled.
    pub fn done(&mut self, offset: i64) {
        let Some(key) = self.keys.remove(&offset) else { return };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.taken -= 1;
            if lane.taken == 0 && lane.queue.is_empty() {
                self.lanes.remove(&key);
                return;
            }
        }
        self.offer_next(&key);
    }

    /// A taken event did not run, or runs again at once: it stands in its lane as before.
    pub fn give_back(&mut self, offset: i64) {
        if let Some(key) = self.put_back(offset) {
            self.offer(&key, offset);
        }
    }

    /// A taken event runs again, not before `until`; its lane waits with it.
    pub fn wait(&mut self, offset: i64, until: Instant) {
        let Some(key) = self.put_back(offset) else { return };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.waits_for = Some(offset);
            for queued in &lane.queue {
                self.ready.remove(queued);
            }
        }
        self.waiting.insert((until, offset));
    }

    /// A taken event runs again, not before `until`, and its lane does not wait with it. That is wrong: it is
    /// [`Flaw::LaneReleasedEarly`](crate::flaw::Flaw::LaneReleasedEarly).
    pub(super) fn wait_alone(&mut self, offset: i64, until: Instant) {
        self.put_back(offset);
        self.waiting.insert((until, offset));
        if let Some(key) = self.keys.get(&offset)
            && let Some(lane) = self.lanes.get(key)
        {
            self.ready.extend(lane.queue.iter().filter(|queued| **queued != offset));
        }
    }

    /// Lets lanes go on whose wait is over.
    pub fn wake(&mut self, now: Instant) {
        while let Some((until, offset)) = self.waiting.first().copied()
            && until <= now
        {
            self.waiting.pop_first();
            let Some(key) = self.keys.get(&offset).cloned() else { continue };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.waits_for = None;
            if self.width == Width::Queue {
                self.ready.extend(&lane.queue);
            }
            self.offer_next(&key);
        }
    }

    /// When the next waiting lane may go on.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// How many events may be taken now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many lanes wait for a retry.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn put_back(&mut self, offset: i64) -> Option<LaneKey> {
        let key = self.keys.get(&offset)?.clone();
        let lane = self.lanes.get_mut(&key)?;
        lane.taken -= 1;
        let place = lane.queue.partition_point(|queued| *queued < offset);
        lane.queue.insert(place, offset);
        Some(key)
    }

    /// Makes a queued event ready, if its lane lets it.
    fn offer(&mut self, key: &LaneKey, offset: i64) {
        match self.lanes.get(key) {
            Some(lane) if lane.waits_for.is_none() && self.width == Width::Queue => {
                self.ready.insert(offset);
            }
            _ => self.offer_next(key),
        }
    }

    /// Where one event of a lane runs at a time: makes the next one ready once none is taken.
    fn offer_next(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get(key) else { return };
        if self.width == Width::Head && lane.taken == 0 && lane.waits_for.is_none() {
            self.ready.extend(lane.queue.front());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn key(name: &'static str) -> LaneKey {
        Some(Bytes::from_static(name.as_bytes()))
    }

    #[test]
    fn a_waiting_key_holds_only_its_own_events() {
        let now = Instant::now();
        let mut lanes = Lanes::new(Width::Queue);
        lanes.push(0, key("a"));
        lanes.push(1, key("b"));
        lanes.push(2, key("a"));
        assert_eq!(lanes.take(10), [0, 1, 2]);
        lanes.wait(0, now + Duration::from_secs(1));
        lanes.done(1);
        lanes.give_back(2);
        lanes.push(3, key("a"));
        lanes.push(4, key("b"));
        assert_eq!(lanes.take(10), [4]);
        lanes.wake(now);
        assert_eq!(lanes.take(10), Vec::<i64>::new());
        lanes.wake(now + Duration::from_secs(1));
        assert_eq!(lanes.take(10), [0, 2, 3]);
    }

    #[test]
    fn heads_run_one_at_a_time_per_key() {
        let mut lanes = Lanes::new(Width::Head);
        for (offset, name) in [(0, "a"), (1, "a"), (2, "b")] {
            lanes.push(offset, key(name));
        }
        assert_eq!(lanes.take(10), [0, 2]);
        assert_eq!(lanes.take(10), Vec::<i64>::new());
        lanes.done(0);
        assert_eq!(lanes.take(10), [1]);
    }

    #[test]
    fn events_without_a_key_share_a_lane() {
        let mut lanes = Lanes::new(Width::Head);
        lanes.push(0, None);
        lanes.push(1, None);
        assert_eq!(lanes.take(10), [0]);
    }

    proptest! {
        /// Whatever fails, waits or is given back, each key's events end in offset order and none is lost.
        #[test]
        fn each_key_settles_in_order_and_nothing_is_lost(
            keys in prop::collection::vec(0_u8..5, 1..60),
            head in any::<bool>(),
            most in 1_usize..8,
            fates in prop::collection::vec(0_u8..4, 400),
        ) {
            let start = Instant::now();
            let mut lanes = Lanes::new(if head { Width::Head } else { Width::Queue });
            let mut arriving = keys.iter().enumerate();
            let mut settled: HashMap<u8, Vec<i64>> = HashMap::new();
            let mut fates = fates.into_iter();
            let mut now = start;
            while settled.values().map(Vec::len).sum::<usize>() < keys.len() {
                lanes.wake(now);
                let taken = lanes.take(most);
                for (offset, name) in arriving.by_ref().take(2) {
                    lanes.push(i64::try_from(offset).unwrap(), Some(Bytes::copy_from_slice(&[*name])));
                }
                if taken.is_empty() {
                    if lanes.waiting() == 0 {
                        continue;
                    }
                    now = lanes.next_wake().expect("what is neither ready nor settled waits");
                    continue;
                }
                // As the runtime does: behind a failed event of a batch, events of its key do not run.
                let mut failed = Vec::new();
                for offset in taken {
                    let name = keys[usize::try_from(offset).unwrap()];
                    let fate = fates.next().unwrap_or(3);
                    if failed.contains(&name) {
                        lanes.give_back(offset);
                    } else if fate == 0 {
                        failed.push(name);
                        lanes.wait(offset, now + Duration::from_millis(5));
                    } else if fate == 1 {
                        failed.push(name);
                        lanes.give_back(offset);
                    } else {
                        settled.entry(name).or_default().push(offset);
                        lanes.done(offset);
                    }
                }
            }
            for offsets in settled.values() {
                prop_assert!(offsets.is_sorted());
            }
            prop_assert!(lanes.lanes.is_empty() && lanes.ready.is_empty() && lanes.keys.is_empty());
        }
    }
}
