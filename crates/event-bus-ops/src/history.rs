//! How far groups were behind, and topics had got, over the last hours. Pure: it is told what was seen, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use event_bus::names::{EventName, GroupName};

use crate::snapshot::Snapshot;

/// What was seen within this time is one step.
pub const STEP: Duration = Duration::from_secs(15);
/// So many steps are remembered, which is four hours: a number for each group and each topic, and none for a partition.
const STEPS: usize = 4 * 60 * 4;
/// How long ago the events were counted that a rate is told by.
const RATE_OVER: Duration = Duration::from_secs(60);

/// A group's lag at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// The lag, summed over the topic's partitions.
    pub lag: u64,
}

/// The last hours, in steps, and what was seen last.
#[derive(Debug, Default)]
pub(crate) struct History {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    began: Instant,
    /// When the events were counted.
    at: Instant,
    /// The highest of each group, in the catalogue's order.
    lag: Box<[Moment]>,
    /// Of each topic, in the catalogue's order; none where not all of its partitions were counted.
    events: Box<[Option<u64>]>,
}

impl Step {
    fn of(snapshot: &Snapshot) -> Self {
        let at = snapshot.at;
        let lag = snapshot.groups.iter().map(|group| Moment { at, lag: group.total() });
        let events =
            snapshot.topics.iter().map(|topic| (!topic.is_partial).then_some(topic.events));
        Self { began: at, at, lag: lag.collect(), events: events.collect() }
    }

    fn take_in(&mut self, later: Self) {
        for (highest, lag) in self.lag.iter_mut().zip(later.lag) {
            if lag.lag >= highest.lag {
                *highest = lag;
            }
        }
        (self.at, self.events) = (later.at, later.events);
    }
}

impl History {
    /// Takes note of what was seen.
    pub(crate) fn note(&mut self, snapshot: &Snapshot) {
        let seen = Step::of(snapshot);
        match self.steps.back_mut() {
            Some(step) if seen.at.saturating_duration_since(step.began) < STEP => {
                step.take_in(seen);
            }
            _ => {
                if self.steps.len() == STEPS {
                    self.steps.pop_front();
                }
                self.steps.push_back(seen);
            }
        }
    }

    /// The lag of a group of the newest snapshot: the highest of each step, and what is known now.
    pub(crate) fn lag_of(&self, newest: &Snapshot, group: &GroupName) -> Vec<Moment> {
        let Some(place) = newest.groups.iter().position(|lag| lag.group == *group) else {
            return Vec::new();
        };
        let mut moments: Vec<Moment> =
            self.steps.iter().filter_map(|step| step.lag.get(place).copied()).collect();
        if moments.last().is_none_or(|last| last.at < newest.at) {
            moments.push(Moment { at: newest.at, lag: newest.groups[place].total() });
        }
        moments
    }

    /// How many events came to a topic in a second of late; `None` while too little was seen, or not all of its partitions.
    pub(crate) fn rate_of(&self, newest: &Snapshot, event: &EventName) -> Option<f64> {
        let place = newest.topics.iter().position(|topic| topic.event == *event)?;
        let age = |step: &&Step| newest.at.saturating_duration_since(step.at);
        let now = Step::of(newest).events[place]?;
        let late = self.steps.iter().rev().take_while(|step| age(step) <= RATE_OVER);
        let counted = late.filter_map(|step| Some((step, step.events.get(place).copied()??)));
        let (early, before) = counted.last()?;
        let seconds = age(&early).as_secs_f64();
        let came = now.saturating_sub(before);
        (seconds >= 1.0).then(|| came as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use event_bus::lag::{GroupLag, PartitionOffsets, PartitionReading, Reading, of_partition};
    use event_bus::names::TopicName;

    use super::*;
    use crate::snapshot::TopicCount;

    fn snapshot(at: Instant, lag: i64, events: u64) -> Snapshot {
        let offsets = PartitionOffsets { committed: Some(0), log_start: 0, log_end: lag };
        let reading = Reading::Known(of_partition(offsets));
        let partition = PartitionReading {
            partition: 0,
            committed: Some(0),
            log_start: Some(0),
            log_end: Some(lag),
            reading,
        };
        let topic = TopicName::new("corner.order.placed").unwrap();
        let group = GroupName::new("corner-shop-order-placed").unwrap();
        let groups = vec![GroupLag { group, topic: topic.clone(), partitions: vec![partition] }];
        let topic = TopicCount { events, ..TopicCount::of("OrderPlaced".parse().unwrap(), topic) };
        Snapshot { at, topics: vec![topic], groups }
    }

    /// The same without what a partition that has no leader holds.
    fn partial(at: Instant, lag: i64, events: u64) -> Snapshot {
        let mut snapshot = snapshot(at, lag, events);
        snapshot.topics[0].is_partial = true;
        snapshot
    }

    fn lags(history: &History, newest: &Snapshot) -> Vec<u64> {
        let moments = history.lag_of(newest, &newest.groups[0].group);
        assert!(moments.is_sorted_by_key(|moment| moment.at), "{moments:?}");
        moments.iter().map(|moment| moment.lag).collect()
    }

    #[test]
    fn each_step_is_its_highest_lag_and_the_last_one_is_now() {
        let (start, mut history) = (Instant::now(), History::default());
        let mut newest = snapshot(start, 0, 0);
        for (seconds, lag) in [(0, 3), (5, 40), (10, 7), (15, 2), (20, 1)] {
            newest = snapshot(start + Duration::from_secs(seconds), lag, 0);
            history.note(&newest);
        }
        assert_eq!(lags(&history, &newest), [40, 2, 1]);
        let unknown = GroupName::new("corner-nobody").unwrap();
        assert_eq!(history.lag_of(&newest, &unknown), []);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (start, mut history) = (Instant::now(), History::default());
        let mut newest = snapshot(start, 0, 0);
        for nth in 0..2 * STEPS {
            let lag = i64::try_from(nth).unwrap();
            newest = snapshot(start + STEP * u32::try_from(nth).unwrap(), lag, 0);
            history.note(&newest);
        }
        let lags = lags(&history, &newest);
        assert_eq!((lags.len(), lags[0]), (STEPS, STEPS as u64));
    }

    #[test]
    fn a_rate_takes_no_count_that_lacks_a_partition() {
        let (start, mut history) = (Instant::now(), History::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let event: EventName = "OrderPlaced".parse().unwrap();
        history.note(&snapshot(at(0), 0, 1_000));
        let newest = partial(at(20), 0, 400);
        history.note(&newest);
        assert_eq!(history.rate_of(&newest, &event), None);
        // Its partition is back: what was there before did not come of late.
        let newest = snapshot(at(40), 0, 1_200);
        history.note(&newest);
        assert_eq!(history.rate_of(&newest, &event), Some(5.0));
        let newest = snapshot(at(75), 0, 1_375);
        assert_eq!(history.rate_of(&newest, &event), Some(5.0));
    }

    #[test]
    fn a_rate_is_of_the_last_minute() {
        let (start, mut history) = (Instant::now(), History::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let event: EventName = "OrderPlaced".parse().unwrap();
        let first = snapshot(at(0), 0, 100);
        history.note(&first);
        assert_eq!(history.rate_of(&first, &event), None);
        for (seconds, events) in [(20, 100), (40, 300), (100, 900)] {
            history.note(&snapshot(at(seconds), 0, events));
        }
        let newest = snapshot(at(100), 0, 900);
        assert_eq!(history.rate_of(&newest, &event), Some(10.0));
        assert_eq!(history.rate_of(&newest, &"NothingHappened".parse().unwrap()), None);
    }
}
