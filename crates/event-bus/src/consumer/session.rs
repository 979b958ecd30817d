//! What a subscription decides between two rebuilds of its Kafka consumer: what to start, what to commit, when to give
//! partitions back.
//!
//! Pure: it is told what happened and when, and answers with commands. Nobody else decides anything.

mod assigned;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::command::{Assignment, Command, Input, Notice, Offer, Outcome, Release, TaskId, Turn};
use super::commits::{COMMIT_EVENTS, Commits};
use super::drain::Drain;
use super::gauges::Gauges;
use super::job::{Arrival, Report};
use super::moment::Moment;
use super::outage::Outage;
use super::ownership::Ownership;
use super::partition::{Flow, Partition};
use super::settings::Settings;
use super::stuck::Watch;
use super::trouble::Trouble;
use crate::catalogue::Execution;
use crate::flaw::Flaw;
use crate::rerun::Past;
use crate::store::Holding;
use assigned::Assigned;

/// One subscription's state.
#[derive(Debug)]
pub struct Session<E> {
    settings: Arc<Settings>,
    partitions: BTreeMap<i32, Assigned<E>>,
    /// Started and not ended, with their tokens. One that was aborted counts until it has.
    tasks: BTreeMap<TaskId, (Assignment, i64)>,
    assignments: u64,
    last_task: TaskId,
    /// The partition that started a task last.
    last_turn: i32,
    outage: Outage,
    commits: Commits,
    /// The partitions that wait to be given back.
    revoke: Option<Drain>,
    watch: Watch,
    phase: Phase,
    commands: Vec<Command<E>>,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// Stops once its tasks have ended.
    Closing(Drain),
    Over,
}

impl<E: Arrival> Session<E> {
    /// A session without partitions.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            commits: Commits::new(settings.commit_every),
            watch: Watch::new(settings.stuck_after),
            settings,
            partitions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            assignments: 0,
            last_task: TaskId(0),
            last_turn: -1,
            outage: Outage::default(),
            revoke: None,
            phase: Phase::Open,
            commands: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done.
    pub fn on(&mut self, input: Input<E>, now: Moment) -> Vec<Command<E>> {
        if !matches!(self.phase, Phase::Over) {
            self.take_in(input, now);
            self.probe_if_due(now.instant);
            self.commit_if_due(now.instant);
            self.give_back_if_drained(now.instant);
            self.close_if_drained(now.instant);
            self.start_what_may(now);
        }
        std::mem::take(&mut self.commands)
    }

    /// When to tell [`Input::Woken`], if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let closing = match &self.phase {
            Phase::Over => return None,
            Phase::Closing(drain) => Some(drain.deadline()),
            Phase::Open => None,
        };
        let revoke = self.revoke.as_ref().map(Drain::deadline);
        [closing, revoke, self.outage.next_probe(), self.commits.due(), self.next_start()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether so much may run that no more needs to be fetched now. Fetching should go on, but slowly: what is ready may
    /// all be of partitions whose handlers take their time, and the others wait for what is fetched.
    #[must_use]
    pub fn is_sated(&self) -> bool {
        self.settings.is_enough(self.partitions.values().filter_map(|each| each.state.ready()))
    }

    /// What its state shows.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let partitions = || self.partitions.values().map(|assigned| &assigned.state);
        Gauges {
            in_flight: partitions().map(Partition::running).sum(),
            waiting_keys: partitions().map(Partition::waiting_keys).sum(),
            oldest: partitions().filter_map(Partition::oldest).min(),
        }
    }

    fn take_in(&mut self, input: Input<E>, now: Moment) {
        match input {
            Input::Assigned(offers) => self.assign(offers, now.instant),
            Input::TakenOver(assignment, holding) => self.taken_over(assignment, holding, now),
            Input::Fetched(events) => self.receive(events, now),
            Input::Revoked(numbers) => self.revoke = Some(Drain::of(numbers, now.instant)),
            Input::Lost(numbers) => self.lose(&numbers.into_iter().collect()),
            Input::Finished(task, report) => self.finish(task, report, now),
            Input::Aborted(task) => drop(self.tasks.remove(&task)),
            Input::Released(task) => self.released(task),
            // It leaves events that nobody runs: the next session begins behind the last commit.
            Input::Broke | Input::Failed => self.abandon(),
            Input::Committed(outcome) => self.committed(outcome, now.instant),
            Input::Probed(Outcome::Done) => {
                self.outage.answered();
                self.commands.push(Command::Tell(Notice::DatabaseAnswers));
            }
            Input::Probed(Outcome::Failed) => self.outage.unanswered(now.instant),
            Input::Positions(positions) => self.moved(positions, now.instant),
            Input::Ends(ends) => self.ended(&ends, now.instant),
            Input::Stop if matches!(self.phase, Phase::Open) => {
                self.phase = Phase::Closing(Drain::of_all(now.instant));
            }
            Input::Stop | Input::Woken => {}
        }
    }

    fn assign(&mut self, offers: Vec<Offer>, now: Instant) {
        self.commits.forgive();
        for offer in offers {
            self.assignments += 1;
            let state = Partition::new(Arc::clone(&self.settings), offer);
            let ownership = Ownership::wanted(now);
            let number = self.assignments;
            let assigned = Assigned { number, ownership, past: Past::default(), state };
            self.partitions.insert(offer.partition, assigned);
            // A pause may have been ordered for an earlier assignment that was lost meanwhile.
            self.commands.push(Command::Resume(offer.partition));
        }
    }

    fn taken_over(
        &mut self,
        assignment: Assignment,
        holding: Result<Holding, Trouble>,
        now: Moment,
    ) {
        match (self.present(assignment), holding) {
            (Some(assigned), Ok(holding)) => {
                assigned.ownership.given(holding.token);
                assigned.past = holding.past.clone();
                assigned.state.take_over(holding, now);
            }
            (Some(assigned), Err(Trouble::Down)) => {
                assigned.ownership.refused(now.instant);
                self.begin_outage(now.instant);
            }
            // A transaction of the last owner does not end.
            (Some(assigned), Err(_)) => assigned.ownership.fenced(now.instant),
            // It was let go meanwhile, and nothing ran under the token.
            (None, Ok(holding)) if !holding.is_dirty => {
                let clean = vec![(assignment.partition, holding.token)];
                self.release(Release { clean, ..Release::default() });
            }
            (None, _) => {}
        }
    }

    fn present(&mut self, assignment: Assignment) -> Option<&mut Assigned<E>> {
        let assigned = self.partitions.get_mut(&assignment.partition);
        assigned.filter(|assigned| assigned.number == assignment.number)
    }

    fn begin_outage(&mut self, now: Instant) {
        if self.outage.begin(now) {
            self.commands.push(Command::Tell(Notice::DatabaseDown));
        }
    }

    fn receive(&mut self, events: Vec<E>, now: Moment) {
        for event in events {
            if let Some(assigned) = self.partitions.get_mut(&event.partition()) {
                assigned.state.receive(event, now);
            }
        }
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        for number in numbers {
            self.regulate(number);
        }
    }

    fn finish(&mut self, task: TaskId, report: Report, now: Moment) {
        let Some((assignment, token)) = self.tasks.remove(&task) else { return };
        let (trouble, has_committed) = (report.trouble, report.has_committed());
        if trouble == Some(Trouble::Down) {
            self.begin_outage(now.instant);
        } else if has_committed {
            self.outage.over();
        }
        let Some(assigned) = self.present(assignment) else { return };
        if trouble == Some(Trouble::Fenced) {
            // Another task may have found that out before, and the partition may be ours again.
            if assigned.ownership.token() == Some(token) {
                assigned.ownership.fenced(now.instant);
            }
        } else if has_committed {
            assigned.ownership.proven();
        }
        assigned.state.apply(report.verdicts, now);
        let many_settled = assigned.state.settled_since_commit() >= COMMIT_EVENTS;
        if assigned.state.to_commit().is_some() {
            self.commits.settled(now.instant);
        }
        self.regulate(assignment.partition);
        if many_settled {
            self.commit();
        }
    }

    /// Stops fetching a partition whose window is full, and fetches it again once there is room.
    fn regulate(&mut self, number: i32) {
        let Some(assigned) = self.partitions.get_mut(&number) else { return };
        match assigned.state.flow() {
            Some(Flow::Pause) => self.commands.push(Command::Pause(number)),
            Some(Flow::Resume) => self.commands.push(Command::Resume(number)),
            None => {}
        }
    }

    fn commit_if_due(&mut self, now: Instant) {
        if self.commits.due().is_some_and(|due| due <= now) {
            self.commit();
        }
    }

    fn commit(&mut self) {
        if self.commits.is_in_flight() {
            return;
        }
        let offsets = self.watermarks(|_| true);
        if offsets.is_empty() {
            // The partitions whose commit failed are somebody else's now, who starts where they were committed.
            self.commits.rest();
            return;
        }
        let watermarks = offsets.iter().filter_map(|(partition, offset)| {
            let number = self.partitions.get(partition)?.number;
            Some((Assignment { partition: *partition, number }, *offset))
        });
        self.commits.start(watermarks.collect());
        self.commands.push(Command::Commit(offsets));
    }

    fn committed(&mut self, outcome: Outcome, now: Instant) {
        for (assignment, offset) in self.commits.end(outcome, now) {
            // What was committed for an earlier assignment says nothing about where this one stands.
            if let Some(assigned) = self.present(assignment) {
                assigned.state.committed(offset);
            }
        }
        if !self.watermarks(|_| true).is_empty() {
            self.commits.settled(now);
        }
    }

    fn watermarks(&self, of: impl Fn(&i32) -> bool) -> Vec<(i32, i64)> {
        self.partitions
            .iter()
            .filter(|(number, _)| of(number))
            .filter_map(|(number, assigned)| Some((*number, assigned.state.to_commit()?)))
            .collect()
    }

    fn give_back_if_drained(&mut self, now: Instant) {
        let Some(mut drain) = self.revoke.take() else { return };
        if self.is_drained(&mut drain, now) {
            let let_go = match &self.phase {
                Phase::Closing(closing) => closing.offsets_of(&drain),
                Phase::Open | Phase::Over => Vec::new(),
            };
            self.give_back(drain, let_go);
        } else {
            self.revoke = Some(drain);
        }
    }

    /// Gives partitions back. Of some a stop has let go already.
    fn give_back(&mut self, drain: Drain, let_go: Vec<(i32, i64)>) {
        let mut offsets = drain.into_offsets();
        offsets.extend(let_go);
        self.commands.push(Command::GiveBack(offsets));
    }

    fn close_if_drained(&mut self, now: Instant) {
        let Phase::Closing(drain) = &mut self.phase else { return };
        let mut drain = std::mem::replace(drain, Drain::of_all(now));
        if self.is_drained(&mut drain, now) {
            if let Some(revoke) = self.revoke.take() {
                // The consumer's thread waits for this before it can close.
                let let_go = drain.offsets_of(&revoke);
                self.give_back(revoke, let_go);
            }
            self.phase = Phase::Over;
            self.commands.push(Command::Close(drain.into_offsets()));
        } else {
            self.phase = Phase::Closing(drain);
        }
    }

    /// Whether everything is done before partitions are given back: what ran in them has ended, and the database knows
    /// that they were let go.
    fn is_drained(&mut self, drain: &mut Drain, now: Instant) -> bool {
        if drain.is_running() {
            let runs = self.tasks.values().any(|(task, _)| drain.concerns(task.partition));
            if runs && drain.deadline() > now {
                return false;
            }
            if runs {
                self.commands.push(Command::Tell(Notice::Outlasted));
            }
            let offsets = self.watermarks(|number| drain.concerns(*number));
            let numbers = self.partitions.keys().copied().filter(|number| drain.concerns(*number));
            let released = self.forget(&numbers.collect());
            drain.ran(offsets, released, now);
        }
        drain.is_released() || drain.deadline() <= now
    }

    fn released(&mut self, task: TaskId) {
        self.drains().for_each(|drain| drain.released(task));
    }

    fn drains(&mut self) -> impl Iterator<Item = &mut Drain> {
        let closing = match &mut self.phase {
            Phase::Closing(drain) => Some(drain),
            Phase::Open | Phase::Over => None,
        };
        closing.into_iter().chain(&mut self.revoke)
    }

    fn lose(&mut self, numbers: &BTreeSet<i32>) {
        if self.settings.flaws.have(Flaw::CommitAfterLost) {
            let offsets = self.watermarks(|number| numbers.contains(number));
            self.commands.push(Command::Commit(offsets));
        }
        self.drains().for_each(|drain| drain.lost(numbers));
        self.forget(numbers);
    }

    /// Lets partitions go, and says which task tells the database, if there is something to tell.
    fn forget(&mut self, numbers: &BTreeSet<i32>) -> Option<TaskId> {
        let mut release = Release::default();
        self.partitions.retain(|number, assigned| {
            let stays = !numbers.contains(number);
            if let Some(token) = assigned.ownership.token().filter(|_| !stays) {
                assigned.let_go(*number, token, &mut release);
            }
            stays
        });
        let aborted = self.tasks.iter().filter(|(_, (task, _))| numbers.contains(&task.partition));
        self.commands.extend(aborted.map(|(task, _)| Command::Abort(*task)));
        (release != Release::default()).then(|| self.release(release))
    }

    fn release(&mut self, release: Release) -> TaskId {
        let task = self.next_task();
        self.commands.push(Command::Release(task, release));
        task
    }

    fn next_task(&mut self) -> TaskId {
        self.last_task = TaskId(self.last_task.0 + 1);
        self.last_task
    }

    /// The consumer is gone, or the state can't be trusted: nothing may be committed.
    fn abandon(&mut self) {
        let all = self.partitions.keys().copied();
        let all = all.chain(self.tasks.values().map(|(task, _)| task.partition)).collect();
        self.forget(&all);
        self.phase = Phase::Over;
        self.commands.push(Command::Abandon);
    }

    fn probe_if_due(&mut self, now: Instant) {
        if self.outage.next_probe().is_some_and(|probe| probe <= now) {
            self.outage.asked();
            self.commands.push(Command::Probe);
        }
    }

    /// Starts what may run now, and asks for what has to be ours before.
    fn start_what_may(&mut self, now: Moment) {
        if !matches!(self.phase, Phase::Open) || self.outage.is_on() {
            return;
        }
        self.take_partitions_over(now.instant);
        if self.commits.are_failing() {
            return;
        }
        // The one behind the last that had a turn comes first, and each gives way after one task: where all share the
        // room, a busy partition must not keep the others from theirs.
        let mut numbers: Vec<i32> = self.partitions.keys().copied().collect();
        numbers.sort_unstable_by_key(|number| (*number <= self.last_turn, *number));
        while !numbers.is_empty() {
            numbers.retain(|number| self.start_one(*number, now));
        }
    }

    fn take_partitions_over(&mut self, now: Instant) {
        for (partition, assigned) in &mut self.partitions {
            let is_leaving = self.revoke.as_ref().is_some_and(|drain| drain.concerns(*partition));
            if !is_leaving && assigned.ownership.due().is_some_and(|due| due <= now) {
                assigned.ownership.asked();
                let assignment = Assignment { partition: *partition, number: assigned.number };
                self.commands.push(Command::TakeOver(assignment, assigned.state.start()));
            }
        }
    }

    /// Starts one task of a partition, if one may start.
    fn start_one(&mut self, partition: i32, now: Moment) -> bool {
        let Some((token, most)) = self.room(partition) else { return false };
        let Some(assigned) = self.partitions.get_mut(&partition) else { return false };
        let jobs = assigned.state.take(most, now);
        if jobs.is_empty() {
            return false;
        }
        let (is_careful, past) = (assigned.state.is_careful(), assigned.past.clone());
        let assignment = Assignment { partition, number: assigned.number };
        let task = self.next_task();
        self.tasks.insert(task, (assignment, token));
        self.last_turn = partition;
        let turn = Turn { partition, token, jobs: jobs.into(), is_careful, past };
        self.commands.push(Command::Run(task, turn));
        true
    }

    /// Under which token how many events of a partition may start as one task now; `None` when none may.
    fn room(&self, partition: i32) -> Option<(i64, usize)> {
        if self.revoke.as_ref().is_some_and(|drain| drain.concerns(partition)) {
            return None;
        }
        let assigned = self.partitions.get(&partition)?;
        let most = match self.settings.execution {
            Execution::Batched => (assigned.state.running() == 0).then_some(self.settings.batch),
            Execution::Concurrent(most) => {
                (self.tasks.len() < usize::from(most.get())).then_some(1)
            }
        };
        Some((assigned.ownership.token()?, most?))
    }

    /// When something may start that may not now. A partition that can start nothing wakes up when its running events
    /// end.
    fn next_start(&self) -> Option<Instant> {
        if !matches!(self.phase, Phase::Open) || self.outage.is_on() {
            return None;
        }
        let retries = self.partitions.iter().filter_map(|(number, assigned)| {
            self.room(*number)?;
            assigned.state.next_wake()
        });
        let retry = if self.commits.are_failing() { None } else { retries.min() };
        let leaving = |number| self.revoke.as_ref().is_some_and(|drain| drain.concerns(number));
        let taken = self.partitions.iter().filter(|(number, _)| !leaving(**number));
        let due = taken.filter_map(|(_, assigned)| assigned.ownership.due()).min();
        [retry, due].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
