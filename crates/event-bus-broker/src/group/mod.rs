//! The group coordinator: who is in which group, who leads it, and what it has committed.
//!
//! `state` is the membership machine and `ledger` what is durable; both are pure. This module and its neighbours are
//! the rim: one lock, parked requests, the journal, and one task that wakes at the next deadline.

mod action;
mod administration;
mod clock;
mod commits;
mod ledger;
mod membership;
mod retention;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod transactional;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kafka_protocol::ResponseError;
use tokio::sync::{Notify, oneshot};

pub(crate) use action::{JoinAnswer, SyncAnswer};
pub(crate) use commits::{CommittedPartition, CommittedTopic, NewOffset};
pub(crate) use ledger::PartitionName;
pub(crate) use membership::{JoinRequest, SyncRequest};
pub use settings::GroupSettings;
pub(crate) use state::{Committer, Description, Leaver, Left, MemberDescription, Protocol};

use crate::journal::Journal;
use crate::log::Flusher;
use action::{Action, Then, WaiterId};
use clock::Clock;
use ledger::{Entry, GroupRecord, Ledger};
use state::Group;
use writing::InFlight;

/// Why the coordinator can't start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal can't be read.
    #[error("what consumer groups committed can't be read")]
    Journal(#[source] Box<dyn std::error::Error + Send + std::marker::Sync>),
    /// An entry that is intact but not one that this version knows.
    #[error(
        "entry {number} of the groups' journal is none that this version knows: use the version that wrote it, or \
         move the journal away to start without committed offsets"
    )]
    Unknown {
        /// Which entry, counted from 0.
        number: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The group coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: GroupSettings,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
    /// Wakes the task that keeps time.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    groups: BTreeMap<String, Group>,
    ledger: Ledger,
    /// Entries that are written and not durable yet.
    in_flight: InFlight,
    joins: HashMap<WaiterId, oneshot::Sender<JoinAnswer>>,
    syncs: HashMap<WaiterId, oneshot::Sender<SyncAnswer>>,
    next_waiter: u64,
    /// When the task that keeps time wakes by itself.
    armed_ms: i64,
    /// When offsets are looked through for expired ones.
    next_sweep_ms: i64,
    is_stopped: bool,
}

impl Groups {
    /// Reads what an earlier broker left in the journal at `path` (none: in memory) and starts to keep time. Members
    /// of an earlier broker go on, each with a fresh session. Offsets of topics that are gone are removed: a crash may
    /// have come between a topic's deletion and theirs.
    ///
    /// Has to be called on a tokio runtime, which it uses until it is stopped or dropped.
    ///
    /// # Errors
    /// When the journal can't be read: nothing is skipped.
    pub fn open(
        path: Option<&Path>,
        flusher: Flusher,
        settings: GroupSettings,
        topic_exists: impl Fn(&str) -> bool,
    ) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Journal(Box::new(error));
        let (journal, entries) = Journal::open(path, flusher).map_err(refused)?;
        let mut ledger = Ledger::default();
        for (number, entry) in entries.iter().enumerate() {
            let entry = serde_json::from_slice(entry)
                .map_err(|source| OpenError::Unknown { number, source })?;
            ledger.apply(entry);
        }
        let gone: BTreeSet<&str> = ledger.topics().filter(|topic| !topic_exists(topic)).collect();
        if !gone.is_empty() {
            let topics = gone.into_iter().map(str::to_owned).collect();
            let entry = Entry::TopicsRemoved { topics };
            let pending = journal.push(&entry.encode()).map_err(refused)?;
            pending.durable_blocking().map_err(refused)?;
            ledger.apply(entry);
        }
        let clock = Clock::start();
        let now_ms = clock.now_ms();
        let mut groups = BTreeMap::new();
        for record in ledger.records() {
            groups.insert(record.group.clone(), Group::restored(record.clone(), now_ms));
        }
        for id in ledger.groups_with_offsets() {
            groups.entry(id.to_owned()).or_insert_with(|| Group::new(id, now_ms));
        }
        let state = State {
            groups,
            ledger,
            in_flight: InFlight::default(),
            joins: HashMap::new(),
            syncs: HashMap::new(),
            next_waiter: 0,
            armed_ms: i64::MIN,
            next_sweep_ms: now_ms + settings::millis(settings.retention_check_interval),
            is_stopped: false,
        };
        let wake = Arc::new(Notify::new());
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { settings, clock, journal, state, wake });
        tokio::spawn(keep_time(Arc::downgrade(&shared), Arc::clone(&shared.wake)));
        Ok(Self { shared })
    }

    /// Answers everybody who waits, with an error that sends them to look for the coordinator again, and accepts
    /// nothing more.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.is_stopped = true;
        let error = ResponseError::CoordinatorNotAvailable;
        for (_, waiter) in state.joins.drain() {
            // Whoever is gone needs no answer.
            let _ = waiter.send(JoinAnswer::refused(error, ""));
        }
        for (_, waiter) in state.syncs.drain() {
            let _ = waiter.send(SyncAnswer::refused(error));
        }
        self.shared.wake.notify_one();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task that keeps time finds its work gone.
        self.wake.notify_one();
    }
}

/// Wakes at each deadline, until the coordinator is stopped or gone.
async fn keep_time(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let Some(next_ms) = strong.tick() else { return };
        let next = strong.clock.instant(next_ms);
        drop(strong);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = wake.notified() => {}
        }
    }
}

impl Shared {
    /// The state. It is whole between any two statements that can panic, so a poisoned lock is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts on all deadlines that have passed, and says when the next one is; none once it is stopped.
    fn tick(self: &Arc<Self>) -> Option<i64> {
        let mut state = self.lock();
        if state.is_stopped {
            return None;
        }
        let now_ms = self.clock.now_ms();
        let due = |group: &Group| group.wake_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        let ids: Vec<String> =
            state.groups.iter().filter(|(_, group)| due(group)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(group) = state.groups.get_mut(&id) else { continue };
            let actions = group.tick(now_ms, &self.settings);
            self.act(&mut state, &id, actions);
        }
        if state.next_sweep_ms <= now_ms {
            self.sweep(&mut state, now_ms);
            let interval_ms = settings::millis(self.settings.retention_check_interval).max(1);
            state.next_sweep_ms = now_ms.saturating_add(interval_ms);
        }
        let next = state.groups.values().filter_map(Group::wake_at_ms).min();
        state.armed_ms = next.map_or(state.next_sweep_ms, |at_ms| at_ms.min(state.next_sweep_ms));
        Some(state.armed_ms)
    }

    /// Does what a group asks for.
    fn act(self: &Arc<Self>, state: &mut State, id: &str, mut actions: Vec<Action>) {
        while !actions.is_empty() {
            let mut next = Vec::new();
            for action in actions {
                match action {
                    Action::AnswerJoin(waiter, answer) => {
                        if let Some(waiter) = state.joins.remove(&waiter) {
                            // Whoever is gone needs no answer.
                            let _ = waiter.send(answer);
                        }
                    }
                    Action::AnswerSync(waiter, answer) => {
                        if let Some(waiter) = state.syncs.remove(&waiter) {
                            let _ = waiter.send(answer);
                        }
                    }
                    Action::Persist(record, then) => {
                        next.extend(self.persist(state, id, record, then));
                    }
                }
            }
            actions = next;
        }
        let wake_at_ms = state.groups.get(id).and_then(Group::wake_at_ms);
        if wake_at_ms.is_some_and(|at_ms| at_ms < state.armed_ms) {
            state.armed_ms = wake_at_ms.unwrap_or(state.armed_ms);
            self.wake.notify_one();
        }
    }

    /// Writes a group's record and tells the group once it is durable; at once where it can't even be written.
    fn persist(
        self: &Arc<Self>,
        state: &mut State,
        id: &str,
        record: GroupRecord,
        then: Then,
    ) -> Vec<Action> {
        match self.write(state, Entry::Group(record.clone())) {
            Ok(applied) => {
                let shared = Arc::clone(self);
                let id = id.to_owned();
                tokio::spawn(async move {
                    let is_durable = applied.await.is_ok();
                    let mut state = shared.lock();
                    let actions = shared.persisted(&mut state, &id, record, &then, is_durable);
                    shared.act(&mut state, &id, actions);
                });
                Vec::new()
            }
            Err(_) => self.persisted(state, id, record, &then, false),
        }
    }

    fn persisted(
        &self,
        state: &mut State,
        id: &str,
        record: GroupRecord,
        then: &Then,
        is_durable: bool,
    ) -> Vec<Action> {
        let now_ms = self.clock.now_ms();
        let Some(group) = state.groups.get_mut(id) else { return Vec::new() };
        group.persisted(record, then, is_durable, now_ms, &self.settings)
    }
}

impl State {
    /// A place to park a join.
    fn park_join(&mut self) -> (WaiterId, oneshot::Receiver<JoinAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let waiter = self.waiter();
        self.joins.insert(waiter, sender);
        (waiter, receiver)
    }

    /// A place to park a sync.
    fn park_sync(&mut self) -> (WaiterId, oneshot::Receiver<SyncAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let waiter = self.waiter();
        self.syncs.insert(waiter, sender);
        (waiter, receiver)
    }

    fn waiter(&mut self) -> WaiterId {
        self.next_waiter += 1;
        WaiterId(self.next_waiter)
    }
}
