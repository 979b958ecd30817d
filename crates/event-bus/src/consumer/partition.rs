//! One assigned partition: what it holds, what may run next, and what follows from how it ended.
//!
//! Pure: the time comes as an argument, and what is to be done goes out as a return value.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::infrastructure::Trouble;
use super::lane::{Lanes, Width};
use super::receive::Received;
use super::track::Tracker;
use crate::dead_letter::{Cause, Reason};
use crate::limits::{MAX_BATCH, PARTITION_WINDOW};
use crate::retry::{self, Next};

/// A paused partition is fetched again once its window has this many events or fewer.
const RESUME_AT: usize = PARTITION_WINDOW / 2;
/// So often in a row may one event alone be in another transaction's way before that counts as a failed attempt: it may
/// deadlock with itself.
const CONTENTIONS_PER_ATTEMPT: u32 = 10;
/// How long a dead letter waits that could not be written.
const BURIAL_WAIT: Duration = Duration::from_secs(1);

/// One event's turn.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) received: Arc<Received>,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// Set when the event is to be dead-lettered instead of handled.
    pub(crate) death: Option<Death>,
}

/// The end of an event.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub(crate) cause: Cause,
    pub(crate) attempts: u32,
    pub(crate) first_failed_at: Timestamp,
    pub(crate) failed_at: Timestamp,
}

/// How an event's turn ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its effect is committed, or it was one already, or its dead letter is written.
    Settled,
    /// An attempt failed; it may be tried again.
    Failed(Cause),
    /// It must not be tried again.
    Dead(Cause),
    /// It did not run.
    NotRun,
    /// It was rolled back because the database or a neighbour failed; that is no attempt.
    Disturbed(Trouble),
}

/// What the fetcher is to do about a partition's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Pause,
    Resume,
}

#[derive(Debug)]
struct Entry {
    received: Arc<Received>,
    failed_attempts: u32,
    disturbances: u32,
    first_failed_at: Option<Timestamp>,
    death: Option<Death>,
}

/// An assigned partition.
#[derive(Debug)]
pub(crate) struct Partition {
    waits: Arc<[Duration]>,
    tracker: Tracker,
    lanes: Lanes,
    entries: HashMap<i64, Entry>,
    running: usize,
    batch_limit: usize,
    paused: bool,
    committed: Option<i64>,
    settled_since_commit: usize,
}

impl Partition {
    pub(crate) fn new(width: Width, waits: Arc<[Duration]>) -> Self {
        Self {
            waits,
            tracker: Tracker::default(),
            lanes: Lanes::new(width),
            entries: HashMap::new(),
            running: 0,
            batch_limit: MAX_BATCH,
            paused: false,
            committed: None,
            settled_since_commit: 0,
        }
    }

    /// Takes in a record. One that can't be an event is dead at once, `at` this time.
    pub(crate) fn receive(&mut self, received: Arc<Received>, at: Timestamp) {
        let offset = received.record.offset;
        if !self.tracker.receive(offset) {
            return;
        }
        let death = received.envelope.as_ref().err().map(|cause| Death {
            cause: cause.clone(),
            attempts: 0,
            first_failed_at: at,
            failed_at: at,
        });
        self.lanes.push(offset, received.record.key.clone());
        let entry =
            Entry { received, failed_attempts: 0, disturbances: 0, first_failed_at: None, death };
        self.entries.insert(offset, entry);
    }

    /// The next events to run, at most `most`, in offset order.
    pub(crate) fn take(&mut self, most: usize, now: Instant) -> Vec<Job> {
        self.lanes.wake(now);
        let offsets = self.lanes.take(most.min(self.batch_limit));
        self.running += offsets.len();
        let entries = &self.entries;
        offsets
            .iter()
            .filter_map(|offset| entries.get(offset))
            .map(|entry| Job {
                received: Arc::clone(&entry.received),
                attempt: entry.failed_attempts + 1,
                death: entry.death.clone(),
            })
            .collect()
    }

    /// Notes how taken events ended. `alone` says that the event ran in a transaction of its own, so that a
    /// disturbance may be its doing.
    pub(crate) fn apply(&mut self, verdicts: Vec<(i64, Verdict)>, now: Instant, at: Timestamp) {
        let alone = verdicts.len() == 1;
        self.running = self.running.saturating_sub(verdicts.len());
        let disturbed =
            verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Disturbed(_)));
        self.batch_limit = if disturbed {
            (verdicts.len() / 2).max(1)
        } else {
            (self.batch_limit * 2).min(MAX_BATCH)
        };
        for (offset, verdict) in verdicts {
            match verdict {
                Verdict::Settled => self.settle(offset),
                Verdict::NotRun => self.lanes.give_back(offset),
                Verdict::Failed(cause) => self.fail(offset, cause, now, at),
                Verdict::Dead(cause) => self.bury(offset, cause, at),
                Verdict::Disturbed(Trouble::Contention) if alone => self.disturb(offset, now, at),
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

    fn fail(&mut self, offset: i64, cause: Cause, now: Instant, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        if entry.death.is_some() {
            // What killed the event stays what its dead letter says, whatever keeps that from being written.
            return self.lanes.wait(offset, now + BURIAL_WAIT);
        }
        entry.failed_attempts += 1;
        entry.disturbances = 0;
        entry.first_failed_at.get_or_insert(at);
        match retry::after_failure(&self.waits, entry.failed_attempts, entry.received.seed()) {
            Next::RetryAfter(wait) => self.lanes.wait(offset, now + wait),
            Next::DeadLetter => {
                entry.death =
                    Some(entry.death_by(Cause { reason: Reason::RetriesExhausted, ..cause }, at));
                self.lanes.give_back(offset);
            }
        }
    }

    fn bury(&mut self, offset: i64, cause: Cause, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        // A rejection is an attempt that failed; a collision was found before the handler ran.
        entry.failed_attempts += u32::from(cause.reason == Reason::Rejected);
        entry.death = Some(entry.death_by(cause, at));
        self.lanes.give_back(offset);
    }

    fn disturb(&mut self, offset: i64, now: Instant, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        entry.disturbances += 1;
        // A dead letter that can't be written waits for the database, however long that takes.
        if entry.disturbances >= CONTENTIONS_PER_ATTEMPT && entry.death.is_none() {
            let text = format!(
                "{CONTENTIONS_PER_ATTEMPT} times in a row the database took its transaction back for another's sake"
            );
            self.fail(
                offset,
                Cause::new(Reason::RetriesExhausted, "Infrastructure", text),
                now,
                at,
            );
        } else {
            self.lanes.give_back(offset);
        }
    }

    /// The offset to commit, if it differs from the last committed one.
    pub(crate) fn to_commit(&self) -> Option<i64> {
        self.tracker.watermark().filter(|watermark| self.committed != Some(*watermark))
    }

    pub(crate) fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
        self.settled_since_commit = 0;
    }

    pub(crate) fn settled_since_commit(&self) -> usize {
        self.settled_since_commit
    }

    /// How many events run now.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// When a waiting key may go on.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.lanes.next_wake()
    }

    /// Whether fetching must stop for a full window, or may go on.
    pub(crate) fn flow(&mut self) -> Option<Flow> {
        let held = self.tracker.window_len();
        if !self.paused && held >= PARTITION_WINDOW {
            self.paused = true;
            Some(Flow::Pause)
        } else if self.paused && held <= RESUME_AT {
            self.paused = false;
            Some(Flow::Resume)
        } else {
            None
        }
    }
}

impl Entry {
    fn death_by(&self, cause: Cause, at: Timestamp) -> Death {
        Death {
            cause,
            attempts: self.failed_attempts,
            first_failed_at: self.first_failed_at.unwrap_or(at),
            failed_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::kafka::Record;
    use crate::names::EventId;
    use crate::store::Claim;

    /// A partition that holds one event at offset 0, dead if `envelope` is why.
    fn holding(envelope: Cause) -> Partition {
        let mut partition = Partition::new(Width::Queue, Arc::new([Duration::from_secs(1)]));
        let record = Record {
            topic: "shop.orders.placed".parse().unwrap(),
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: Some(Bytes::from_static(b"a")),
            value: None,
            headers: Vec::new(),
        };
        let event_id = EventId::of_position(&record.topic, 0, 0, 0, b"");
        let claim = Claim { tenant: String::new(), event_id, sha256: [0; 32], offset: 0 };
        let received = Arc::new(Received { record, claim, envelope: Err(envelope) });
        partition.receive(received, Timestamp::UNIX_EPOCH);
        partition
    }

    /// The same, alive: the state does not look into the envelope once it is received.
    fn holding_alive() -> Partition {
        let mut partition = holding(Cause::new(Reason::Malformed, "Test", "unused"));
        partition.entries.get_mut(&0).unwrap().death = None;
        partition
    }

    fn attempt_after(partition: &mut Partition, trouble: Trouble, times: u32) -> u32 {
        let mut now = Instant::now();
        for _ in 0..times {
            assert_eq!(partition.take(1, now).len(), 1);
            partition.apply(vec![(0, Verdict::Disturbed(trouble))], now, Timestamp::UNIX_EPOCH);
            now += Duration::from_secs(10);
        }
        partition.take(1, now)[0].attempt
    }

    #[test]
    fn an_outage_is_no_attempt_however_often_an_event_meets_it() {
        assert_eq!(attempt_after(&mut holding_alive(), Trouble::Down, 50), 1);
    }

    #[test]
    fn the_tenth_contention_of_an_event_alone_is_an_attempt() {
        assert_eq!(attempt_after(&mut holding_alive(), Trouble::Contention, 9), 1);
        assert_eq!(attempt_after(&mut holding_alive(), Trouble::Contention, 10), 2);
    }

    #[test]
    fn a_dead_letter_that_could_not_be_written_keeps_its_cause_and_waits() {
        let cause = Cause::new(Reason::Malformed, "NotJson", "no JSON");
        let mut partition = holding(cause.clone());
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(partition.take(1, now + BURIAL_WAIT).len(), 1);
            let other = Cause::new(Reason::RetriesExhausted, "Database", "refused");
            partition.apply(vec![(0, Verdict::Failed(other))], now, Timestamp::UNIX_EPOCH);
            assert!(partition.take(1, now).is_empty());
            assert_eq!(partition.next_wake(), Some(now + BURIAL_WAIT));
        }
        let job = partition.take(1, now + BURIAL_WAIT).remove(0);
        assert_eq!(job.death.map(|death| death.cause), Some(cause));
    }
}
