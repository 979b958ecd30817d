//! A process of the service: one session of the core, its consumer thread, its tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use event_bus::consumer::core::{
    Assignment, Command, Input, Notice, Outcome, Release, Session, TaskId, Trouble,
};

use super::database::Refusal;
use super::event::SimEvent;
use super::fetcher::{Fetcher, Order};
use super::task::Task;
use super::world::{Millis, Step, World};

/// A process, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "p{}", self.0)
    }
}

/// A process.
pub struct Process {
    pub(super) place: usize,
    pub(super) session: Session<SimEvent>,
    /// Counts the sessions of the process, so that answers to an earlier one are dropped.
    pub(super) number: u32,
    pub(super) inbox: VecDeque<Input<SimEvent>>,
    pub(super) wakes_at: Option<Millis>,
    pub(super) fetcher: Option<Fetcher>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) frozen_until: Option<Millis>,
    pub(super) is_stopping: bool,
    /// What its session was told that it lost.
    pub(super) lost: BTreeSet<i32>,
}

impl World {
    /// A process starts.
    pub(super) fn start(&mut self, place: usize) {
        if self.places[place].is_some() {
            return;
        }
        self.last_process += 1;
        let id = ProcessId(self.last_process);
        self.places[place] = Some(id);
        let member = self.group.join();
        let process = Process {
            place,
            session: Session::new(self.settings.clone()),
            number: 1,
            inbox: VecDeque::new(),
            wakes_at: None,
            fetcher: Some(Fetcher::new(member)),
            tasks: BTreeMap::new(),
            frozen_until: None,
            is_stopping: false,
            lost: BTreeSet::new(),
        };
        self.processes.insert(id, process);
        self.tell(|| format!("{id} starts in place {place} as member {member}"));
        self.call_members();
    }

    /// Puts a step off until a frozen process goes on. Gives the process otherwise.
    pub(super) fn awake(&mut self, id: ProcessId, step: Step) -> Option<(&mut Process, Step)> {
        let frozen_until = self.processes.get(&id)?.frozen_until;
        match frozen_until {
            Some(until) if until > self.now => {
                let wait = until - self.now + self.random.of(0..20);
                self.after(wait, step);
                None
            }
            _ => self.processes.get_mut(&id).map(|process| (process, step)),
        }
    }

    /// Lays something before a session.
    pub(super) fn give(&mut self, id: ProcessId, input: Input<SimEvent>) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.inbox.push_back(input);
        let wait = self.random.of(0..4);
        self.after(wait, Step::TakeIn(id));
    }

    /// A session takes in the next thing.
    pub(super) fn take_in(&mut self, id: ProcessId) {
        let Some((process, _)) = self.awake(id, Step::TakeIn(id)) else { return };
        if let Some(input) = process.inbox.pop_front() {
            self.on(id, input);
        }
    }

    /// A session's clock rings.
    pub(super) fn wake(&mut self, id: ProcessId) {
        let Some((process, _)) = self.awake(id, Step::Wake(id)) else { return };
        process.wakes_at = None;
        let due = process.session.next_wake();
        if due.is_some_and(|due| self.until(due) == 0) {
            self.on(id, Input::Woken);
        } else {
            self.set_clock(id);
        }
    }

    fn on(&mut self, id: ProcessId, input: Input<SimEvent>) {
        let moment = self.moment();
        let told = self.describe(id, &input);
        self.tell(|| told);
        let Some(process) = self.processes.get_mut(&id) else { return };
        match &input {
            Input::Lost(partitions) => process.lost.extend(partitions),
            Input::Assigned(offers) => {
                process.lost.retain(|lost| offers.iter().all(|offer| offer.partition != *lost));
            }
            _ => {}
        }
        for command in process.session.on(input, moment) {
            self.carry_out(id, command);
        }
        self.set_clock(id);
    }

    fn describe(&self, id: ProcessId, input: &Input<SimEvent>) -> String {
        if !self.is_traced() {
            return String::new();
        }
        match input {
            Input::Fetched(events) => {
                let names: Vec<String> = events.iter().map(SimEvent::name).collect();
                format!("{id} fetched {}", names.join(", "))
            }
            Input::Finished(task, report) => {
                let verdicts: Vec<String> = report
                    .verdicts
                    .iter()
                    .map(|(offset, verdict)| format!("{offset} {}", verdict_name(verdict)))
                    .collect();
                format!("{id} task {} ended: {}", task.0, verdicts.join(", "))
            }
            other => format!("{id} is told {other:?}"),
        }
    }

    fn set_clock(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        let Some(due) = process.session.next_wake() else { return };
        let wait = self.until(due);
        let at = self.now + wait;
        let is_set = process.wakes_at.is_some_and(|set| set <= at);
        if !is_set {
            if let Some(process) = self.processes.get_mut(&id) {
                process.wakes_at = Some(at);
            }
            self.after(wait, Step::Wake(id));
        }
    }

    fn carry_out(&mut self, id: ProcessId, command: Command<SimEvent>) {
        self.check_command(id, &command);
        let Some(process) = self.processes.get_mut(&id) else { return };
        let session = process.number;
        match command {
            Command::TakeOver(assignment, _) => {
                let wait = self.random.of(1..5);
                self.after(wait, Step::TakeOver(id, session, assignment, false));
            }
            Command::Release(task, release) => {
                let wait = self.random.of(1..5);
                self.after(wait, Step::Release(id, session, task, release));
            }
            Command::Run(task, turn) => {
                self.tell(|| {
                    let names: Vec<String> =
                        turn.jobs.iter().map(|job| job.received.name()).collect();
                    let how = if turn.is_careful { "carefully " } else { "" };
                    format!("{id} task {} {how}runs {}", task.0, names.join(", "))
                });
                if let Some(process) = self.processes.get_mut(&id) {
                    process.tasks.insert(task, Task::new(turn));
                }
                self.after(0, Step::Task(id, task));
            }
            Command::Abort(task) => self.abort(id, task),
            Command::Pause(partition) => self.order(id, Order::Pause(partition)),
            Command::Resume(partition) => self.order(id, Order::Resume(partition)),
            Command::Commit(offsets) => self.order(id, Order::Commit(offsets)),
            Command::GiveBack(offsets) => self.give_back(id, &offsets),
            Command::Probe => {
                let wait = self.random.of(1..30);
                self.after(wait, Step::Probe(id, session));
            }
            // The model's consumer tells no positions.
            Command::AskEnds(_) => {}
            Command::Close(offsets) => self.close(id, offsets),
            Command::Abandon => self.abandon(id),
            Command::Tell(notice) => {
                if notice == Notice::Outlasted {
                    self.coverage.note("handlers outlasted a deadline");
                }
                self.tell(|| format!("{id} says {notice:?}"));
            }
        }
    }

    /// A session is over and another one follows.
    fn abandon(&mut self, id: ProcessId) {
        self.tell(|| format!("{id} abandons its session"));
        self.coverage.note("consumer failed");
        self.drop_fetcher(id);
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.number += 1;
        process.inbox.clear();
        let left: Vec<TaskId> = process.tasks.keys().copied().collect();
        for task in left {
            self.abort(id, task);
        }
        self.after(1_000, Step::Rebuild(id));
    }

    /// A failed consumer is built anew.
    pub(super) fn rebuild(&mut self, id: ProcessId) {
        let settings = self.settings.clone();
        let Some((process, _)) = self.awake(id, Step::Rebuild(id)) else { return };
        process.session = Session::new(settings);
        process.inbox.clear();
        let is_stopping = process.is_stopping;
        let member = self.group.join();
        if let Some(process) = self.processes.get_mut(&id) {
            process.fetcher = Some(Fetcher::new(member));
        }
        self.tell(|| format!("{id} builds its consumer anew as member {member}"));
        if is_stopping {
            self.give(id, Input::Stop);
        }
        self.call_members();
    }

    /// A partition is taken over in the database.
    pub(super) fn take_over(
        &mut self,
        id: ProcessId,
        session: u32,
        assignment: Assignment,
        waits: bool,
    ) {
        let step = Step::TakeOver(id, session, assignment, waits);
        let is_mine = self.processes.get(&id).is_some_and(|process| process.number == session);
        if !is_mine {
            if waits {
                self.database.stop_waiting(assignment.partition);
            }
            return;
        }
        let Some((_, step)) = self.awake(id, step) else { return };
        let committed = self.log.committed(assignment.partition).unwrap_or(0);
        match self.database.take_over(assignment.partition, committed, waits) {
            Ok(holding) => {
                if holding.is_dirty {
                    self.coverage.note("partition found dirty");
                }
                self.give(id, Input::TakenOver(assignment, Ok(holding)));
            }
            Err(Refusal::Wait) => {
                self.coverage.note("takeover waited for a transaction");
                let Step::TakeOver(id, session, assignment, _) = step else { return };
                if self.random.percent(1) {
                    self.coverage.note("takeover given up");
                    self.database.stop_waiting(assignment.partition);
                    self.give(id, Input::TakenOver(assignment, Err(Trouble::Contention)));
                } else {
                    self.after(5, Step::TakeOver(id, session, assignment, true));
                }
            }
            Err(_) => {
                self.coverage.note("takeover met an outage");
                self.give(id, Input::TakenOver(assignment, Err(Trouble::Down)));
            }
        }
    }

    /// Partitions are let go in the database.
    pub(super) fn release(&mut self, id: ProcessId, session: u32, task: TaskId, release: Release) {
        let step = Step::Release(id, session, task, release);
        let Some((process, step)) = self.awake(id, step) else { return };
        let is_present = process.number == session;
        let Step::Release(_, _, _, release) = step else { return };
        for cut_off in release.cut_off {
            if self.database.take_attempt_back(cut_off) {
                self.coverage.note("attempt taken back");
            }
        }
        for (partition, token) in release.clean {
            self.database.release(partition, token);
        }
        if is_present {
            self.give(id, Input::Released(task));
        }
    }

    /// The database is asked for a sign of life.
    pub(super) fn probe(&mut self, id: ProcessId, session: u32) {
        let Some((process, _)) = self.awake(id, Step::Probe(id, session)) else { return };
        if process.number == session {
            let outcome = if self.database.is_down { Outcome::Failed } else { Outcome::Done };
            self.give(id, Input::Probed(outcome));
        }
    }

    /// Ends a process at once.
    pub(super) fn crash(&mut self, id: ProcessId) {
        let Some(process) = self.processes.remove(&id) else { return };
        self.tell(|| format!("{id} dies"));
        self.places[process.place] = None;
        for task in process.tasks.values() {
            self.coverage.note(task.crash_name());
            if let Some(event) = task.in_danger() {
                self.published[event].deaths += 1;
            }
            if let Some(tx) = task.tx {
                let wait = self.random.of(0..200);
                self.after(wait, Step::RollBack(tx));
            }
        }
        if let Some(fetcher) = process.fetcher {
            self.after(self.plan.session_timeout, Step::Expire(fetcher.member));
        }
        let wait = self.random.of(100..2_000);
        self.after(wait, Step::Start(process.place));
    }

    /// Ends a process that stopped.
    pub(super) fn end(&mut self, id: ProcessId) {
        let Some(process) = self.processes.remove(&id) else { return };
        self.tell(|| format!("{id} has stopped"));
        self.places[process.place] = None;
        let wait = self.random.of(100..5_000);
        self.after(wait, Step::Start(process.place));
    }
}

fn verdict_name(verdict: &event_bus::consumer::core::Verdict) -> String {
    use event_bus::consumer::core::Verdict;
    match verdict {
        Verdict::Failed(cause) => format!("failed ({})", cause.error_type),
        Verdict::Dead(cause) => format!("dead ({})", cause.error_type),
        Verdict::Disturbed(Trouble::Fenced) => "fenced".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
