//! One assigned partition: what it holds, what may run next, and what follows from how it ended.
//!
//! Pure: the time comes as an argument, and what is to be done goes out as a return value.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Arrival, Death, Job, Verdict};
use super::lane::Lanes;
use super::moment::Moment;
use super::settings::Settings;
use super::track::Tracker;
use super::trouble::Trouble;
use crate::dead_letter::{Cause, Reason};
use crate::retry::{self, Next};

/// So often in a row may one event alone be in another transaction's way before that counts as a failed attempt: it may
/// deadlock with itself.
const CONTENTIONS_PER_ATTEMPT: u32 = 10;
/// How long a dead letter waits that could not be written.
const BURIAL_WAIT: Duration = Duration::from_secs(1);

/// What the fetcher is to do about a partition's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The window is full.
    Pause,
    /// There is room again.
    Resume,
}

#[derive(Debug)]
struct Entry<E> {
    received: E,
    failed_attempts: u32,
    disturbances: u32,
    first_failed_at: Option<jiff::Timestamp>,
    death: Option<Death>,
}

/// An assigned partition.
#[derive(Debug)]
pub struct Partition<E> {
    settings: Arc<Settings>,
    tracker: Tracker,
    lanes: Lanes,
    entries: HashMap<i64, Entry<E>>,
    running: usize,
    batch_limit: usize,
    paused: bool,
    committed: Option<i64>,
    settled_since_commit: usize,
}

impl<E: Arrival> Partition<E> {
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            tracker: Tracker::default(),
            lanes: Lanes::new(settings.width()),
            entries: HashMap::new(),
            running: 0,
            batch_limit: settings.batch,
            settings,
            paused: false,
            committed: None,
            settled_since_commit: 0,
        }
    }

    /// Takes in a record. One that can't be an event is dead at once.
    pub fn receive(&mut self, received: E, now: Moment) {
        let offset = received.offset();
        if !self.tracker.receive(offset) {
            return;
        }
        let death = received.doom().map(|cause| Death {
            cause: cause.clone(),
            attempts: 0,
            first_failed_at: now.time,
            failed_at: now.time,
        });
        self.lanes.push(offset, received.key().clone());
        let entry =
            Entry { received, failed_attempts: 0, disturbances: 0, first_failed_at: None, death };
        self.entries.insert(offset, entry);
    }

    /// The next events to run, at most `most`, in offset order.
    pub fn take(&mut self, most: usize, now: Instant) -> Vec<Job<E>> {
        self.lanes.wake(now);
        let offsets = self.lanes.take(most.min(self.batch_limit));
        self.running += offsets.len();
        let entries = &self.entries;
        offsets
            .iter()
            .filter_map(|offset| entries.get(offset))
            .map(|entry| Job {
                received: entry.received.clone(),
                attempt: entry.failed_attempts + 1,
                death: entry.death.clone(),
            })
            .collect()
    }

    /// Notes how the events of one transaction ended.
    pub fn apply(&mut self, verdicts: Vec<(i64, Verdict)>, now: Moment) {
        // Whoever ran in a transaction of its own may have caused a disturbance itself.
        let alone = verdicts.len() == 1;
        self.running = self.running.saturating_sub(verdicts.len());
        let disturbed =
            verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Disturbed(_)));
        self.batch_limit = if disturbed {
            (verdicts.len() / 2).max(1)
        } else {
            (self.batch_limit * 2).min(self.settings.batch)
        };
        for (offset, verdict) in verdicts {
            match verdict {
                Verdict::Settled => self.settle(offset),
                Verdict::NotRun => self.lanes.give_back(offset),
                Verdict::Failed(cause) => self.fail(offset, cause, now),
                Verdict::Dead(cause) => self.bury(offset, cause, now),
                Verdict::Disturbed(Trouble::Contention) if alone => self.disturb(offset, now),
                // What is down is down for all, however often this event was the one to find out.
                Verdict::Disturbed(_) => self.lanes.give_back(offset),
            }
        }
    }

    fn settle(&mut self, offset: i64) {
        self.entries.remove(&offset);
        self.lanes.done(offset);
        self.tracker.settle(offset);
        self.settled_since_commit += 1;
    }

    fn fail(&mut self, offset: i64, cause: Cause, now: Moment) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        if entry.death.is_some() {
            // What killed the event stays what its dead letter says, whatever keeps that from being written.
            return self.lanes.wait(offset, now.instant + BURIAL_WAIT);
        }
        entry.failed_attempts += 1;
        entry.disturbances = 0;
        entry.first_failed_at.get_or_insert(now.time);
        match retry::after_failure(
            &self.settings.waits,
            entry.failed_attempts,
            entry.received.seed(),
        ) {
            Next::RetryAfter(wait) => self.lanes.wait(offset, now.instant + wait),
            Next::DeadLetter => {
                entry.death =
                    Some(entry.death_by(Cause { reason: Reason::RetriesExhausted, ..cause }, now));
                self.lanes.give_back(offset);
            }
        }
    }

    fn bury(&mut self, offset: i64, cause: Cause, now: Moment) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        // A rejection is an attempt that failed; a collision was found before the handler ran.
        entry.failed_attempts += u32::from(cause.reason == Reason::Rejected);
        entry.death = Some(entry.death_by(cause, now));
        self.lanes.give_back(offset);
    }

    fn disturb(&mut self, offset: i64, now: Moment) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        entry.disturbances += 1;
        // A dead letter that can't be written waits for the database, however long that takes.
        if entry.disturbances >= CONTENTIONS_PER_ATTEMPT && entry.death.is_none() {
            let text = format!(
                "{CONTENTIONS_PER_ATTEMPT} times in a row the database took its transaction back for another's sake"
            );
            self.fail(offset, Cause::new(Reason::RetriesExhausted, "Infrastructure", text), now);
        } else {
            self.lanes.give_back(offset);
        }
    }

    /// The offset to commit, if it differs from the last committed one.
    pub fn to_commit(&self) -> Option<i64> {
        self.tracker.watermark().filter(|watermark| self.committed != Some(*watermark))
    }

    pub fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
        self.settled_since_commit = 0;
    }

    pub fn settled_since_commit(&self) -> usize {
        self.settled_since_commit
    }

    /// How many events run now.
    pub fn running(&self) -> usize {
        self.running
    }

    /// When a waiting key may go on.
    pub fn next_wake(&self) -> Option<Instant> {
        self.lanes.next_wake()
    }

    /// Whether fetching must stop for a full window, or may go on.
    pub fn flow(&mut self) -> Option<Flow> {
        let held = self.tracker.window_len();
        if !self.paused && held >= self.settings.window {
            self.paused = true;
            Some(Flow::Pause)
        } else if self.paused && held <= self.settings.window / 2 {
            self.paused = false;
            Some(Flow::Resume)
        } else {
            None
        }
    }
}

impl<E> Entry<E> {
    fn death_by(&self, cause: Cause, now: Moment) -> Death {
        Death {
            cause,
            attempts: self.failed_attempts,
            first_failed_at: self.first_failed_at.unwrap_or(now.time),
            failed_at: now.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::catalogue::Execution;
    use crate::consumer::lane::LaneKey;

    /// An event at offset 0, dead if there is a cause.
    #[derive(Clone, Debug)]
    struct One(Option<Cause>);

    impl Arrival for One {
        fn partition(&self) -> i32 {
            0
        }

        fn offset(&self) -> i64 {
            0
        }

        fn key(&self) -> &LaneKey {
            &None
        }

        fn seed(&self) -> u64 {
            7
        }

        fn doom(&self) -> Option<&Cause> {
            self.0.as_ref()
        }
    }

    fn holding(doom: Option<Cause>) -> Partition<One> {
        let settings = Settings::new(Execution::Batched, Arc::new([Duration::from_secs(1)]));
        let mut partition = Partition::new(Arc::new(settings));
        partition.receive(One(doom), at(Instant::now()));
        partition
    }

    fn at(instant: Instant) -> Moment {
        Moment { instant, time: Timestamp::UNIX_EPOCH }
    }

    fn attempt_after(partition: &mut Partition<One>, trouble: Trouble, times: u32) -> u32 {
        let mut now = Instant::now();
        for _ in 0..times {
            assert_eq!(partition.take(1, now).len(), 1);
            partition.apply(vec![(0, Verdict::Disturbed(trouble))], at(now));
            now += Duration::from_secs(10);
        }
        partition.take(1, now)[0].attempt
    }

    #[test]
    fn an_outage_is_no_attempt_however_often_an_event_meets_it() {
        assert_eq!(attempt_after(&mut holding(None), Trouble::Down, 50), 1);
    }

    #[test]
    fn the_tenth_contention_of_an_event_alone_is_an_attempt() {
        assert_eq!(attempt_after(&mut holding(None), Trouble::Contention, 9), 1);
        assert_eq!(attempt_after(&mut holding(None), Trouble::Contention, 10), 2);
    }

    #[test]
    fn a_dead_letter_that_could_not_be_written_keeps_its_cause_and_waits() {
        let cause = Cause::new(Reason::Malformed, "NotJson", "no JSON");
        let mut partition = holding(Some(cause.clone()));
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(partition.take(1, now + BURIAL_WAIT).len(), 1);
            let other = Cause::new(Reason::RetriesExhausted, "Database", "refused");
            partition.apply(vec![(0, Verdict::Failed(other))], at(now));
            assert!(partition.take(1, now).is_empty());
            assert_eq!(partition.next_wake(), Some(now + BURIAL_WAIT));
        }
        let job = partition.take(1, now + BURIAL_WAIT).remove(0);
        assert_eq!(job.death.map(|death| death.cause), Some(cause));
    }
}
