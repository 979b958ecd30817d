//! A consumer thread: it polls, carries out orders and holds the group up while partitions are revoked.

use std::collections::{BTreeMap, VecDeque};

use event_bus::consumer::core::{Input, Offer, Outcome};

use super::event::SimEvent;
use super::group::{Member, Word};
use super::process::ProcessId;
use super::world::{Step, World};

/// What a session told its consumer thread.
#[derive(Debug)]
pub enum Order {
    /// Fetch no more of it.
    Pause(i32),
    /// Fetch it again.
    Resume(i32),
    /// Commit.
    Commit(Vec<(i32, i64)>),
    /// Commit, leave and end.
    Close(Vec<(i32, i64)>),
}

/// A consumer thread.
#[derive(Debug)]
pub struct Fetcher {
    /// Who it is for the coordinator.
    pub member: Member,
    orders: VecDeque<Order>,
    assigned: BTreeMap<i32, Position>,
    /// The partitions that it waits to give back.
    revoked: Option<Vec<i32>>,
    is_called: bool,
}

#[derive(Debug)]
struct Position {
    next: i64,
    is_paused: bool,
}

impl Fetcher {
    /// A thread that joined the group.
    #[must_use]
    pub fn new(member: Member) -> Self {
        Self {
            member,
            orders: VecDeque::new(),
            assigned: BTreeMap::new(),
            revoked: None,
            is_called: false,
        }
    }

    /// Whether it holds a partition.
    #[must_use]
    pub fn holds(&self, partition: i32) -> bool {
        self.assigned.contains_key(&partition)
    }
}

impl World {
    fn fetcher(&mut self, id: ProcessId) -> Option<&mut Fetcher> {
        self.processes.get_mut(&id)?.fetcher.as_mut()
    }

    /// Gives a thread an order.
    pub(super) fn order(&mut self, id: ProcessId, order: Order) {
        if let Some(fetcher) = self.fetcher(id) {
            fetcher.orders.push_back(order);
            self.call(id);
        }
    }

    /// Makes a thread go round soon.
    pub(super) fn call(&mut self, id: ProcessId) {
        let wait = self.random.of(1..30);
        if let Some(fetcher) = self.fetcher(id)
            && !std::mem::replace(&mut fetcher.is_called, true)
        {
            self.after(wait, Step::Fetch(id));
        }
    }

    /// Makes those go round whom the coordinator has something to tell.
    pub(super) fn call_members(&mut self) {
        let addressed: Vec<Member> = self.group.addressed().collect();
        let processes: Vec<ProcessId> = self
            .processes
            .iter()
            .filter(|(_, process)| {
                process.fetcher.as_ref().is_some_and(|fetcher| addressed.contains(&fetcher.member))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in processes {
            self.call(id);
        }
    }

    /// Makes all go round.
    pub(super) fn call_all(&mut self) {
        let all: Vec<ProcessId> = self.processes.keys().copied().collect();
        for id in all {
            self.call(id);
        }
    }

    /// A thread goes round.
    pub(super) fn fetch(&mut self, id: ProcessId) {
        if self.awake(id, Step::Fetch(id)).is_none() {
            return;
        }
        let Some(fetcher) = self.fetcher(id) else { return };
        fetcher.is_called = false;
        if fetcher.revoked.is_some() {
            return;
        }
        while let Some(order) = self.fetcher(id).and_then(|fetcher| fetcher.orders.pop_front()) {
            self.obey(id, order);
        }
        let Some(member) = self.fetcher(id).map(|fetcher| fetcher.member) else { return };
        if !self.group.has(member) {
            return self.lose_all(id);
        }
        match self.group.word_for(member) {
            Some(Word::Assign(partitions)) => self.assigned(id, &partitions),
            Some(Word::Revoke(partitions)) => self.revoked(id, partitions),
            None if self.rests(id) => self.call(id),
            None => self.poll(id),
        }
        self.call_members();
    }

    fn obey(&mut self, id: ProcessId, order: Order) {
        match order {
            Order::Pause(partition) => self.set_paused(id, partition, true),
            Order::Resume(partition) => self.set_paused(id, partition, false),
            Order::Commit(offsets) => {
                let outcome = self.commit(id, &offsets);
                self.give(id, Input::Committed(outcome));
            }
            Order::Close(offsets) => {
                let outcome = self.commit(id, &offsets);
                self.tell(|| format!("{id} leaves the group, commit {outcome:?}"));
                self.drop_fetcher(id);
                self.end(id);
            }
        }
    }

    fn set_paused(&mut self, id: ProcessId, partition: i32, is_paused: bool) {
        let position = self.fetcher(id).and_then(|fetcher| fetcher.assigned.get_mut(&partition));
        if let Some(position) = position {
            position.is_paused = is_paused;
            if is_paused {
                self.coverage.note("partition paused");
            } else {
                self.call(id);
            }
        }
    }

    /// Commits what is still assigned.
    fn commit(&mut self, id: ProcessId, offsets: &[(i32, i64)]) -> Outcome {
        let Some(fetcher) = self.fetcher(id) else { return Outcome::Failed };
        let member = fetcher.member;
        let held = offsets.iter().filter(|(partition, _)| fetcher.holds(*partition));
        let held: Vec<(i32, i64)> = held.copied().collect();
        if held.is_empty() {
            return Outcome::Done;
        }
        if self.commits_fail {
            self.coverage.note("commit failed");
            return Outcome::Failed;
        }
        if !held.iter().all(|(partition, _)| self.group.is_owner(member, *partition)) {
            self.coverage.note("commit of a former owner refused");
            return Outcome::Failed;
        }
        self.tell(|| format!("{id} commits {held:?}"));
        for (partition, offset) in held {
            self.check_commit(partition, offset);
            self.log.commit(partition, offset);
        }
        Outcome::Done
    }

    fn lose_all(&mut self, id: ProcessId) {
        let member = self.group.join();
        let Some(fetcher) = self.fetcher(id) else { return };
        fetcher.member = member;
        let lost: Vec<i32> = std::mem::take(&mut fetcher.assigned).into_keys().collect();
        if !lost.is_empty() {
            self.coverage.note("partitions lost");
            self.give(id, Input::Lost(lost));
        }
        self.call(id);
        self.call_members();
    }

    fn assigned(&mut self, id: ProcessId, partitions: &[i32]) {
        let mut offers = Vec::new();
        for partition in partitions.iter().copied() {
            let next = self.log.committed(partition).unwrap_or(0);
            let log_end = Some(self.log.end(partition));
            offers.push(Offer { partition, start: Some(next), log_end });
            if let Some(fetcher) = self.fetcher(id) {
                fetcher.assigned.insert(partition, Position { next, is_paused: false });
            }
        }
        self.give(id, Input::Assigned(offers));
        self.call(id);
    }

    fn revoked(&mut self, id: ProcessId, partitions: Vec<i32>) {
        self.coverage.note(if self.plan.is_eager { "eager revoke" } else { "cooperative revoke" });
        if let Some(fetcher) = self.fetcher(id) {
            fetcher.revoked = Some(partitions.clone());
            self.give(id, Input::Revoked(partitions));
        }
    }

    /// Whether a thread whose session has enough to run does not fetch in this round. It does in some.
    fn rests(&mut self, id: ProcessId) -> bool {
        let is_sated = self.processes.get(&id).is_some_and(|process| process.session.is_sated());
        let rests = is_sated && self.random.percent(75);
        if rests {
            self.coverage.note("fetching held");
        }
        rests
    }

    /// Hands records over, and goes round again if there are more.
    fn poll(&mut self, id: ProcessId) {
        let most = self.plan.handover;
        let Some(fetcher) =
            self.processes.get_mut(&id).and_then(|process| process.fetcher.as_mut())
        else {
            return;
        };
        let mut records: Vec<SimEvent> = Vec::new();
        for (partition, position) in &mut fetcher.assigned {
            if !position.is_paused {
                let read = self.log.read(*partition, position.next, most);
                position.next += i64::try_from(read.len()).unwrap_or(0);
                records.extend_from_slice(read);
            }
        }
        if !records.is_empty() {
            self.give(id, Input::Fetched(records));
            self.call(id);
        }
    }

    /// The session let revoked partitions go.
    pub(super) fn give_back(&mut self, id: ProcessId, offsets: &[(i32, i64)]) {
        let Some(fetcher) = self.fetcher(id) else { return };
        let member = fetcher.member;
        let Some(partitions) = fetcher.revoked.take() else { return };
        self.commit(id, offsets);
        if let Some(fetcher) = self.fetcher(id) {
            fetcher.assigned.retain(|partition, _| !partitions.contains(partition));
        }
        self.tell(|| format!("{id} gives back {partitions:?}"));
        self.group.given_back(member, &partitions);
        self.call(id);
        self.call_members();
    }

    /// The session is over. A revoke that it did not see any more is answered for it.
    pub(super) fn close(&mut self, id: ProcessId, offsets: Vec<(i32, i64)>) {
        let Some(fetcher) = self.fetcher(id) else { return };
        if let Some(partitions) = fetcher.revoked.clone() {
            let theirs = offsets.iter().filter(|(partition, _)| partitions.contains(partition));
            let theirs: Vec<(i32, i64)> = theirs.copied().collect();
            self.give_back(id, &theirs);
        }
        self.order(id, Order::Close(offsets));
    }

    /// A thread ends and its member leaves.
    pub(super) fn drop_fetcher(&mut self, id: ProcessId) {
        let fetcher = self.processes.get_mut(&id).and_then(|process| process.fetcher.take());
        if let Some(fetcher) = fetcher {
            self.group.leave(fetcher.member);
            self.call_members();
        }
    }

    /// The coordinator waited long enough for a member that died or is frozen.
    pub(super) fn expire(&mut self, member: Member) {
        let holder = self.processes.values().find(|process| {
            process.fetcher.as_ref().is_some_and(|fetcher| fetcher.member == member)
        });
        let is_silent =
            holder.is_none_or(|process| process.frozen_until.is_some_and(|until| until > self.now));
        let is_frozen = holder.is_some();
        if is_silent && self.group.has(member) {
            self.tell(|| format!("member {member} is taken for dead"));
            if is_frozen {
                self.coverage.note("frozen owner replaced");
            }
            self.group.leave(member);
            self.call_members();
        }
    }
}
