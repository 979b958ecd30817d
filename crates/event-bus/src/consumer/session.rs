//! What a subscription decides between two rebuilds of its Kafka consumer: what to start, what to commit, when to give
//! partitions back.
//!
//! Pure: it is told what happened and when, and answers with commands. Nobody else decides anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Command, Input, Notice, Outcome, TaskId};
use super::commits::{COMMIT_EVENTS, Commits};
use super::job::{Arrival, Report};
use super::moment::Moment;
use super::outage::Outage;
use super::partition::{Flow, Partition};
use super::settings::Settings;
use super::trouble::Trouble;
use crate::catalogue::Execution;

/// How long running handlers may go on when their partition is revoked or the service stops. Then they are rolled back.
pub const DRAIN: Duration = Duration::from_secs(10);

/// One subscription's state.
#[derive(Debug)]
pub struct Session<E> {
    settings: Arc<Settings>,
    partitions: BTreeMap<i32, Assigned<E>>,
    tasks: BTreeMap<TaskId, Task>,
    /// Numbers assignments, so that a task of an earlier one is told from the present one's.
    assignments: u64,
    last_task: TaskId,
    /// The partition that started a task last.
    last_turn: i32,
    outage: Outage,
    commits: Commits,
    /// The partitions that wait to be given back.
    revoke: Option<Drain>,
    phase: Phase,
    commands: Vec<Command<E>>,
}

#[derive(Debug)]
struct Assigned<E> {
    assignment: u64,
    state: Partition<E>,
}

/// A started task that has not ended. One that was aborted counts until it has.
#[derive(Clone, Copy, Debug)]
struct Task {
    partition: i32,
    assignment: u64,
}

#[derive(Debug)]
struct Drain {
    partitions: BTreeSet<i32>,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Stops once its tasks have ended, or at this time.
    Closing(Instant),
    Over,
}

impl<E: Arrival> Session<E> {
    /// A session without partitions.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            partitions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            assignments: 0,
            last_task: TaskId(0),
            last_turn: -1,
            outage: Outage::default(),
            commits: Commits::default(),
            revoke: None,
            phase: Phase::Open,
            commands: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done.
    pub fn on(&mut self, input: Input<E>, now: Moment) -> Vec<Command<E>> {
        if self.phase != Phase::Over {
            self.take_in(input, now);
            self.probe_if_due(now.instant);
            self.commit_if_due(now.instant);
            self.give_back_if_drained(now.instant);
            self.close_if_drained(now.instant);
            self.dispatch(now.instant);
        }
        std::mem::take(&mut self.commands)
    }

    /// When to tell [`Input::Woken`], if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let closing = match self.phase {
            Phase::Over => return None,
            Phase::Closing(deadline) => Some(deadline),
            Phase::Open => None,
        };
        let revoke = self.revoke.as_ref().map(|drain| drain.deadline);
        [closing, revoke, self.outage.next_probe(), self.commits.due(), self.next_retry()]
            .into_iter()
            .flatten()
            .min()
    }

    fn take_in(&mut self, input: Input<E>, now: Moment) {
        match input {
            Input::Assigned(numbers) => self.assign(numbers),
            Input::Fetched(events) => self.receive(events, now),
            Input::Revoked(numbers) => {
                let partitions = numbers.into_iter().collect();
                self.revoke = Some(Drain { partitions, deadline: now.instant + DRAIN });
            }
            Input::Lost(numbers) => self.forget(&numbers.into_iter().collect()),
            Input::Finished(task, report) => self.finish(task, report, now),
            Input::Aborted(task) => drop(self.tasks.remove(&task)),
            // It leaves events that nobody runs: the next session begins behind the last commit.
            Input::Broke | Input::Failed => self.abandon(),
            Input::Committed(outcome) => self.committed(outcome, now.instant),
            Input::Probed(Outcome::Done) => {
                self.outage.answered();
                self.commands.push(Command::Tell(Notice::DatabaseAnswers));
            }
            Input::Probed(Outcome::Failed) => self.outage.unanswered(now.instant),
            Input::Stop if self.phase == Phase::Open => {
                self.phase = Phase::Closing(now.instant + DRAIN);
            }
            Input::Stop | Input::Woken => {}
        }
    }

    fn assign(&mut self, numbers: Vec<i32>) {
        self.commits.forgive();
        for number in numbers {
            self.assignments += 1;
            let state = Partition::new(Arc::clone(&self.settings));
            self.partitions.insert(number, Assigned { assignment: self.assignments, state });
            // A pause may have been ordered for an earlier assignment that was lost meanwhile.
            self.commands.push(Command::Resume(number));
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
        let Some(task) = self.tasks.remove(&task) else { return };
        if report.trouble == Some(Trouble::Down) {
            if self.outage.begin(now.instant) {
                self.commands.push(Command::Tell(Notice::DatabaseDown));
            }
        } else if report.has_committed() {
            self.outage.over();
        }
        let Some(assigned) = self.partitions.get_mut(&task.partition) else { return };
        if assigned.assignment != task.assignment {
            return;
        }
        assigned.state.apply(report.verdicts, now);
        let many_settled = assigned.state.settled_since_commit() >= COMMIT_EVENTS;
        if assigned.state.to_commit().is_some() {
            self.commits.settled(now.instant);
        }
        self.regulate(task.partition);
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
        let assignments = offsets.iter().filter_map(|(number, offset)| {
            Some((*number, self.partitions.get(number)?.assignment, *offset))
        });
        self.commits.start(assignments.collect());
        self.commands.push(Command::Commit(offsets));
    }

    fn committed(&mut self, outcome: Outcome, now: Instant) {
        for (number, assignment, offset) in self.commits.end(outcome, now) {
            // What was committed for an earlier assignment says nothing about where this one stands.
            if let Some(assigned) = self.partitions.get_mut(&number)
                && assigned.assignment == assignment
            {
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
        let Some(revoke) = self.revoke.take_if(|revoke| {
            revoke.deadline <= now
                || !self.tasks.values().any(|task| revoke.partitions.contains(&task.partition))
        }) else {
            return;
        };
        let offsets = self.watermarks(|number| revoke.partitions.contains(number));
        self.let_go(&revoke.partitions);
        self.commands.push(Command::GiveBack(offsets));
    }

    fn close_if_drained(&mut self, now: Instant) {
        let Phase::Closing(deadline) = self.phase else { return };
        if deadline > now && !self.tasks.is_empty() {
            return;
        }
        let offsets = self.watermarks(|_| true);
        if self.revoke.take().is_some() {
            // The consumer's thread waits for this before it can close.
            self.commands.push(Command::GiveBack(Vec::new()));
        }
        let all = self.partitions.keys().copied().collect();
        self.let_go(&all);
        self.phase = Phase::Over;
        self.commands.push(Command::Close(offsets));
    }

    /// Forgets partitions whose time to drain is over.
    fn let_go(&mut self, numbers: &BTreeSet<i32>) {
        if self.tasks.values().any(|task| numbers.contains(&task.partition)) {
            self.commands.push(Command::Tell(Notice::Outlasted));
        }
        self.forget(numbers);
    }

    fn forget(&mut self, numbers: &BTreeSet<i32>) {
        self.partitions.retain(|number, _| !numbers.contains(number));
        let aborted = self.tasks.iter().filter(|(_, task)| numbers.contains(&task.partition));
        self.commands.extend(aborted.map(|(task, _)| Command::Abort(*task)));
    }

    /// The consumer is gone, or the state can't be trusted: nothing may be committed.
    fn abandon(&mut self) {
        let all = self.tasks.values().map(|task| task.partition).collect();
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

    /// Starts what may run now.
    fn dispatch(&mut self, now: Instant) {
        if self.phase != Phase::Open || !self.may_start() {
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

    fn may_start(&self) -> bool {
        !self.outage.is_on() && !self.commits.are_failing()
    }

    /// Starts one task of a partition, if one may start.
    fn start_one(&mut self, number: i32, now: Instant) -> bool {
        let Some(most) = self.room(number) else { return false };
        let Some(assigned) = self.partitions.get_mut(&number) else { return false };
        let jobs = assigned.state.take(most, now);
        if jobs.is_empty() {
            return false;
        }
        self.last_task = TaskId(self.last_task.0 + 1);
        let task = Task { partition: number, assignment: assigned.assignment };
        self.tasks.insert(self.last_task, task);
        self.last_turn = number;
        self.commands.push(Command::Run(self.last_task, number, jobs));
        true
    }

    /// How many events of a partition may start as one task now; `None` when none may.
    fn room(&self, number: i32) -> Option<usize> {
        if self.revoke.as_ref().is_some_and(|revoke| revoke.partitions.contains(&number)) {
            return None;
        }
        match self.settings.execution {
            Execution::Batched => {
                let state = &self.partitions.get(&number)?.state;
                (state.running() == 0).then_some(self.settings.batch)
            }
            Execution::Concurrent(most) => {
                (self.tasks.len() < usize::from(most.get())).then_some(1)
            }
        }
    }

    /// When a waiting key may go on. A partition that can start nothing wakes up when its running events end.
    fn next_retry(&self) -> Option<Instant> {
        if self.phase != Phase::Open || !self.may_start() {
            return None;
        }
        let startable = self.partitions.iter().filter(|(number, _)| self.room(**number).is_some());
        startable.filter_map(|(_, assigned)| assigned.state.next_wake()).min()
    }
}
