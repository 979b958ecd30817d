//! One assigned partition: what it holds, what may run next, and what follows from how it ended.
//!
//! Pure: the time comes as an argument, and what is to be done goes out as a return value.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Offer;
use super::job::{Arrival, Death, Job, Verdict};
use super::lane::{LaneKey, Lanes};
use super::moment::Moment;
use super::settings::Settings;
use super::track::Tracker;
use super::trouble::Trouble;
use crate::catalogue::BehindDeadLetter;
use crate::dead_letter::{Cause, Reason};
use crate::flaw::Flaw;
use crate::retry::{self, Next};
use crate::store::Holding;

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
    came: Instant,
    failed_attempts: u32,
    disturbances: u32,
    first_failed_at: Option<jiff::Timestamp>,
    death: Option<Death>,
    /// Whether it may be what killed the last owner, in an attempt that nobody noted.
    is_suspect: bool,
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
    /// What the database knew when the partition was taken over, and what of it is still to be looked at.
    is_held: bool,
    is_dirty: bool,
    noted: BTreeMap<i64, u32>,
    /// Where the log ended when the partition was assigned.
    log_end: Option<i64>,
    /// The offset behind the newest event.
    next: Option<i64>,
    careful_left: usize,
    /// What runs alone in its process.
    careful: BTreeSet<i64>,
    /// Events of which an attempt was noted before it began, and that did not tell yet how it ended.
    begun: BTreeSet<i64>,
    parked: BTreeSet<LaneKey>,
    /// Failures of all events, for [`Flaw::RetryCounterPerPartition`].
    failures: u32,
}

impl<E: Arrival> Partition<E> {
    pub fn new(settings: Arc<Settings>, offer: Offer) -> Self {
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
            is_held: false,
            is_dirty: false,
            noted: BTreeMap::new(),
            log_end: offer.log_end,
            next: offer.start,
            careful_left: 0,
            careful: BTreeSet::new(),
            begun: BTreeSet::new(),
            parked: BTreeSet::new(),
            failures: 0,
        }
    }

    /// Takes in what the database knew when the partition was taken over.
    pub fn take_over(&mut self, holding: Holding, now: Moment) {
        self.is_held = true;
        self.is_dirty = holding.is_dirty;
        self.noted = holding.attempts;
        self.parked = holding.parked;
        self.careful_left = if holding.is_dirty { self.settings.careful } else { 0 };
        let offsets: BTreeSet<i64> = self.entries.keys().copied().collect();
        for offset in offsets {
            self.examine(offset, now);
        }
    }

    /// Looks whether an event may have killed the last owner, and how often it was tried.
    fn examine(&mut self, offset: i64, now: Moment) {
        let Some(entry) = self.entries.get_mut(&offset) else { return };
        if self.careful_left > 0 && self.log_end.is_none_or(|end| offset < end) {
            self.careful_left -= 1;
            self.careful.insert(offset);
            entry.is_suspect = true;
        }
        let Some(attempts) = self.noted.remove(&offset) else { return };
        entry.is_suspect = false;
        entry.failed_attempts = entry.failed_attempts.max(attempts);
        let seed = entry.received.seed();
        if entry.death.is_none()
            && retry::after_failure(&self.settings.waits, attempts, seed) == Next::DeadLetter
        {
            let cause = if self.is_dirty {
                let text = format!(
                    "its process ended in attempt {attempts}, the last one, or before it told how that went"
                );
                Cause::new(Reason::Crashed, "Crashed", text)
            } else {
                let text = "the last attempt failed, and its process ended before it told why";
                Cause::new(Reason::RetriesExhausted, "Unknown", text)
            };
            entry.death = Some(entry.death_by(cause, now));
        }
    }

    /// Takes in a record. One that can't be an event is dead at once.
    pub fn receive(&mut self, received: E, now: Moment) {
        let offset = received.offset();
        if !self.tracker.receive(offset) {
            return;
        }
        self.next = Some(offset + 1);
        let death = received.doom().map(|cause| Death {
            cause: cause.clone(),
            attempts: 0,
            first_failed_at: now.time,
            failed_at: now.time,
        });
        self.lanes.push(offset, received.key().clone());
        let entry = Entry {
            received,
            came: now.instant,
            failed_attempts: 0,
            disturbances: 0,
            first_failed_at: None,
            death,
            is_suspect: false,
        };
        self.entries.insert(offset, entry);
        if self.is_held {
            self.examine(offset, now);
        }
    }

    /// The next events to run, at most `most`, in offset order.
    pub fn take(&mut self, most: usize, now: Moment) -> Vec<Job<E>> {
        self.lanes.wake(now.instant);
        let most = match self.careful.is_empty() {
            true => most.min(self.batch_limit),
            false if self.running == 0 => 1,
            false => return Vec::new(),
        };
        let mut jobs: Vec<Job<E>> = Vec::new();
        // What follows for a key from its dead letter or replay is known when that is committed.
        let mut undecided = HashSet::new();
        for offset in self.lanes.take(most) {
            let Some(entry) = self.entries.get_mut(&offset) else { continue };
            let key = entry.received.key();
            if undecided.contains(key) {
                self.lanes.give_back(offset);
                continue;
            }
            let is_parked = self.parked.contains(key);
            if is_parked && !entry.received.is_replay() && entry.death.is_none() {
                let text = "an earlier event of its key is a dead letter";
                let cause = Cause::new(Reason::ParkedBehind, "ParkedBehind", text);
                entry.death = Some(entry.death_by(cause, now));
            }
            let decides =
                if is_parked { entry.received.is_replay() } else { entry.death.is_some() };
            if decides && (is_parked || self.settings.behind == BehindDeadLetter::Park) {
                undecided.insert(key.clone());
            }
            let is_noted = !self.careful.is_empty() && entry.death.is_none();
            if is_noted {
                self.begun.insert(offset);
            }
            jobs.push(Job {
                received: entry.received.clone(),
                attempt: entry.failed_attempts + 1,
                death: entry.death.clone(),
                to_note: is_noted.then(|| entry.failed_attempts + 1 + u32::from(entry.is_suspect)),
            });
        }
        self.running += jobs.len();
        jobs
    }

    /// Whether an event that is here may be what killed the last owner.
    pub fn is_careful(&self) -> bool {
        !self.careful.is_empty()
    }

    /// Whether everything ran again that may have killed the last owner. What is still to be fetched may have, too.
    pub fn is_proven(&self) -> bool {
        let has_come = match (self.log_end, self.next) {
            (Some(end), Some(next)) => next >= end,
            _ => false,
        };
        self.careful.is_empty() && (self.careful_left == 0 || has_come)
    }

    /// The events of which an attempt was noted that came to no end, and how many attempts they have had without it:
    /// none that anybody noted, where the event may be what killed the last owner.
    pub fn cut_off(&self) -> impl Iterator<Item = (i64, Option<u32>)> {
        let counts = self.settings.flaws.have(Flaw::CutOffCounts);
        self.begun.iter().filter(move |_| !counts).filter_map(|offset| {
            let entry = self.entries.get(offset)?;
            let is_known = !entry.is_suspect && entry.failed_attempts > 0;
            Some((*offset, is_known.then_some(entry.failed_attempts)))
        })
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
                Verdict::Parked => self.settle_parked(offset),
                Verdict::Released => self.settle_released(offset),
                Verdict::NotRun => self.lanes.give_back(offset),
                Verdict::Failed(cause) => self.fail(offset, cause, now),
                Verdict::Dead(cause) => self.bury(offset, cause, now),
                Verdict::Disturbed(Trouble::Contention) if alone => self.disturb(offset, now),
                // What is down is down for all, however often this event was the one to find out.
                Verdict::Disturbed(_) => self.lanes.give_back(offset),
            }
        }
    }

    fn settle_parked(&mut self, offset: i64) {
        if let Some(entry) = self.entries.get(&offset) {
            self.parked.insert(entry.received.key().clone());
        }
        self.settle(offset);
    }

    fn settle_released(&mut self, offset: i64) {
        if let Some(entry) = self.entries.get(&offset) {
            self.parked.remove(entry.received.key());
        }
        self.settle(offset);
    }

    fn settle(&mut self, offset: i64) {
        if let Some(entry) = self.entries.remove(&offset)
            && entry.received.is_replay()
            && self.settings.flaws.have(Flaw::ParkedKeyOutOfOrder)
        {
            self.parked.remove(entry.received.key());
        }
        self.careful.remove(&offset);
        self.begun.remove(&offset);
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
        self.begun.remove(&offset);
        if self.settings.flaws.have(Flaw::RetryCounterPerPartition) {
            self.failures += 1;
            entry.failed_attempts = self.failures;
        }
        entry.is_suspect = false;
        entry.disturbances = 0;
        entry.first_failed_at.get_or_insert(now.time);
        match retry::after_failure(
            &self.settings.waits,
            entry.failed_attempts,
            entry.received.seed(),
        ) {
            Next::RetryAfter(wait) if self.settings.flaws.have(Flaw::LaneReleasedEarly) => {
                self.lanes.wait_alone(offset, now.instant + wait);
            }
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
        let flaws = self.settings.flaws;
        let watermark = if flaws.have(Flaw::WatermarkPastGap) {
            self.tracker.last_settled().map(|last| last + 1)
        } else if flaws.have(Flaw::OffsetBeforeEffect) {
            self.next
        } else {
            self.tracker.watermark()
        };
        watermark.filter(|watermark| self.committed != Some(*watermark))
    }

    /// Before which offset everything is settled, if that is known.
    pub fn start(&self) -> Option<i64> {
        self.tracker.watermark().or(self.next)
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

    /// How many events may run that don't yet, while the partition is fetched.
    pub fn ready(&self) -> Option<usize> {
        (!self.paused).then(|| self.lanes.ready())
    }

    /// How many keys wait for a retry.
    pub fn waiting_keys(&self) -> usize {
        self.lanes.waiting()
    }

    /// When the oldest event came that is not settled.
    pub fn oldest(&self) -> Option<Instant> {
        let offset = self.tracker.watermark()?;
        Some(self.entries.get(&offset)?.came)
    }

    /// When a waiting key may go on.
    pub fn next_wake(&self) -> Option<Instant> {
        self.lanes.next_wake()
    }

    /// Whether fetching has stopped for a full window.
    pub fn is_paused(&self) -> bool {
        self.paused
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
mod tests;
