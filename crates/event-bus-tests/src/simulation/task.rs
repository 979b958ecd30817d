//! A task that runs events, as the executor does, a statement at a time.

use std::sync::Arc;

use event_bus::consumer::core::{
    Batch, Broken, Guard, Input, Report, TaskId, Trouble, Turn, Verdict,
};
use event_bus::dead_letter::{Cause, Reason};

use super::database::{Claimed, Refusal, TxId};
use super::event::{EventNumber, Nature, SimEvent};
use super::process::ProcessId;
use super::world::{Millis, Step, World};

/// So often a statement waits for another transaction before the database ends one of them.
const DEADLOCK_AFTER: u32 = 200;
/// How long a handler may take.
const HANDLER_TIMEOUT: Millis = 12_000;

/// A task.
pub struct Task {
    pub(super) turn: Turn<SimEvent>,
    pub(super) stage: Stage,
    pub(super) tx: Option<TxId>,
    guard: Guard,
    batch: Batch<SimEvent>,
    claimed: Vec<Option<Claimed>>,
    waited: u32,
}

/// What a task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits until it may run beside what runs in its process.
    Gate,
    /// Notes the attempt.
    Note,
    /// Begins a transaction.
    Begin,
    /// Compares the token.
    Fence,
    /// Claims all events.
    Claim,
    /// Takes the next event.
    Next,
    /// Claims the event behind a savepoint.
    Marked(usize),
    /// A handler has run.
    Handled(usize),
    /// Commits.
    Commit,
}

type Failure = Broken<&'static str>;

/// What a stage leads to.
enum Then {
    /// The next stage, after so long.
    On(Stage, Millis),
    /// The same one again.
    Wait,
    /// The report.
    End(Report),
    /// The process dies.
    Die,
}

impl Task {
    /// A task that has not begun.
    pub(super) fn new(turn: Turn<SimEvent>) -> Self {
        let batch = Batch::new(Arc::clone(&turn.jobs), Guard::Together);
        Self {
            turn,
            stage: Stage::Gate,
            tx: None,
            guard: Guard::Together,
            batch,
            claimed: Vec::new(),
            waited: 0,
        }
    }

    fn begin_anew(&mut self, guard: Guard) {
        self.guard = guard;
        self.batch = Batch::new(Arc::clone(&self.turn.jobs), guard);
        self.claimed.clear();
        self.waited = 0;
    }

    /// The event that a death of the process would be blamed on.
    pub(super) fn in_danger(&self) -> Option<EventNumber> {
        let index = match self.stage {
            Stage::Gate | Stage::Note => return None,
            Stage::Handled(index) | Stage::Marked(index) => index,
            _ if self.turn.is_careful => 0,
            _ => return None,
        };
        self.turn.jobs.get(index).map(|job| job.received.number)
    }

    /// What a death of the process in this stage counts as.
    pub(super) fn crash_name(&self) -> &'static str {
        match self.stage {
            Stage::Gate => "crash at the gate",
            Stage::Note => "crash before a note",
            Stage::Begin => "crash before a transaction",
            Stage::Fence => "crash before the fence",
            Stage::Claim => "crash before a claim",
            Stage::Next | Stage::Marked(_) => "crash between events",
            Stage::Handled(_) => "crash in a handler",
            Stage::Commit => "crash before a commit",
        }
    }
}

impl World {
    /// A task goes on.
    pub(super) fn go_on(&mut self, id: ProcessId, task: TaskId) {
        if self.awake(id, Step::Task(id, task)).is_none() {
            return;
        }
        let Some(process) = self.processes.get_mut(&id) else { return };
        let Some(mut taken) = process.tasks.remove(&task) else { return };
        let result = self.advance(id, &mut taken);
        match result.unwrap_or_else(|broken| self.broke(&mut taken, broken)) {
            Then::On(stage, wait) => {
                taken.stage = stage;
                taken.waited = 0;
                self.put(id, task, taken, wait);
            }
            Then::Wait => {
                taken.waited += 1;
                self.put(id, task, taken, 5);
            }
            Then::End(report) => self.give(id, Input::Finished(task, report)),
            Then::Die => {
                self.coverage.note("killed by an event");
                self.put(id, task, taken, 0);
                self.crash(id);
            }
        }
    }

    fn put(&mut self, id: ProcessId, task: TaskId, taken: Task, wait: Millis) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.tasks.insert(task, taken);
            self.after(wait, Step::Task(id, task));
        }
    }

    fn advance(&mut self, id: ProcessId, task: &mut Task) -> Result<Then, Failure> {
        let soon = self.random.of(0..3);
        Ok(match task.stage {
            Stage::Gate if !self.gate_is_open(id, task) => Then::Wait,
            Stage::Gate => Then::On(Stage::Note, 0),
            Stage::Note => {
                let job = &task.turn.jobs[0];
                if let Some(attempts) = job.to_note {
                    self.database.note(&job.received, attempts).map_err(failed)?;
                    self.coverage.note("attempt noted");
                }
                Then::On(Stage::Begin, soon)
            }
            Stage::Begin => {
                task.tx = Some(self.database.begin(task.turn.partition).map_err(failed)?);
                Then::On(Stage::Fence, soon)
            }
            Stage::Fence => match self.database.fence(tx_of(task)?, task.turn.token) {
                Ok(()) => Then::On(Stage::Claim, soon),
                Err(refusal) => self.refused(task, refusal)?,
            },
            Stage::Claim if task.guard == Guard::Marked => Then::On(Stage::Next, 0),
            Stage::Claim => self.claim_all(task, soon)?,
            Stage::Next => self.take_next(task, soon)?,
            Stage::Marked(index) => self.claim_marked(task, index)?,
            Stage::Handled(index) => self.handled(id, task, index)?,
            Stage::Commit => self.commit_task(id, task)?,
        })
    }

    /// A careful task runs alone in its process, and others wait for it.
    fn gate_is_open(&self, id: ProcessId, task: &Task) -> bool {
        let Some(process) = self.processes.get(&id) else { return false };
        let mut runs = process.tasks.values().filter(|other| other.stage != Stage::Gate);
        if task.turn.is_careful {
            runs.next().is_none()
        } else {
            let waits = |other: &Task| other.stage == Stage::Gate && other.turn.is_careful;
            !runs.any(|other| other.turn.is_careful) && !process.tasks.values().any(waits)
        }
    }

    fn refused(&mut self, task: &Task, refusal: Refusal) -> Result<Then, Failure> {
        if refusal == Refusal::Wait && task.waited < DEADLOCK_AFTER {
            return Ok(Then::Wait);
        }
        match refusal {
            Refusal::Wait => self.coverage.note("deadlock"),
            Refusal::Trouble(Trouble::Fenced) => self.coverage.note("former owner fenced"),
            Refusal::Trouble(_) | Refusal::Gone => self.coverage.note("outage met"),
        }
        Err(failed(refusal))
    }

    fn claim_all(&mut self, task: &mut Task, soon: Millis) -> Result<Then, Failure> {
        let tx = tx_of(task)?;
        while let Some(job) = task.turn.jobs.get(task.claimed.len()) {
            let event = &job.received;
            let claimed = if job.death.is_some() || !self.database.is_in_turn(tx, event) {
                None
            } else {
                match self.database.claim(tx, event) {
                    Ok(claimed) => Some(claimed),
                    Err(refusal) => return self.refused(task, refusal),
                }
            };
            task.claimed.push(claimed);
        }
        Ok(Then::On(Stage::Next, soon))
    }

    fn take_next(&mut self, task: &mut Task, soon: Millis) -> Result<Then, Failure> {
        let tx = tx_of(task)?;
        let Some(index) = task.batch.next_turn() else { return Ok(Then::On(Stage::Commit, soon)) };
        let job = &task.turn.jobs[index];
        if let Some(death) = &job.death {
            let parks = self.plan.is_parking();
            if let Err(refusal) = self.database.bury(tx, &job.received, death, parks) {
                return self.refused(task, refusal);
            }
            // It may have been written before, by a commit whose reply got lost.
            let is_parked = self.database.is_parked(tx, &job.received);
            task.batch.note(if is_parked { Verdict::Parked } else { Verdict::Settled })?;
            return Ok(Then::On(Stage::Next, soon));
        }
        if task.guard == Guard::Marked {
            self.database.mark(tx).map_err(failed)?;
            return Ok(Then::On(Stage::Marked(index), soon));
        }
        self.enter(task, index, task.claimed.get(index).copied().flatten())
    }

    fn claim_marked(&mut self, task: &mut Task, index: usize) -> Result<Then, Failure> {
        let tx = tx_of(task)?;
        let event = &task.turn.jobs[index].received;
        if !self.database.is_in_turn(tx, event) {
            return self.enter(task, index, None);
        }
        match self.database.claim(tx, event) {
            Ok(claimed) => self.enter(task, index, Some(claimed)),
            Err(refusal) => self.refused(task, refusal),
        }
    }

    fn enter(
        &mut self,
        task: &mut Task,
        index: usize,
        claimed: Option<Claimed>,
    ) -> Result<Then, Failure> {
        if claimed == Some(Claimed::Fresh) {
            let wait = self.handler_takes(task.turn.jobs[index].received.nature);
            return Ok(Then::On(Stage::Handled(index), wait));
        }
        self.coverage.note(if claimed.is_some() {
            "duplicate skipped"
        } else {
            "replay out of turn"
        });
        let event = &task.turn.jobs[index].received;
        self.database.forget_note(tx_of(task)?, event).map_err(failed)?;
        let is_released =
            event.chain_seq.is_some() && !self.database.is_parked(tx_of(task)?, event);
        task.batch.note(if is_released { Verdict::Released } else { Verdict::Settled })?;
        Ok(Then::On(Stage::Next, 0))
    }

    fn handler_takes(&mut self, nature: Nature) -> Millis {
        match nature {
            Nature::Slow => {
                self.coverage.note("slow handler");
                self.random.of(500..11_500)
            }
            Nature::Long => self.random.of(10_500..11_500),
            Nature::Stuck => HANDLER_TIMEOUT,
            _ => self.random.of(0..8),
        }
    }

    /// What the handler made of the event.
    fn handled(&mut self, id: ProcessId, task: &mut Task, index: usize) -> Result<Then, Failure> {
        let tx = tx_of(task)?;
        let job = &task.turn.jobs[index];
        let event = &job.received;
        if self.random.percent(self.plan.contention_percent) {
            self.coverage.note("handler met a deadlock");
            return Err(Broken::Infrastructure(Trouble::Contention));
        }
        let verdict = match event.nature {
            Nature::Good | Nature::Slow | Nature::Long => self.effect(tx, event)?,
            Nature::Flaky(fails) if job.attempt > fails => self.effect(tx, event)?,
            Nature::Flaky(_) | Nature::Poison => Verdict::Failed(cause("HandlerError")),
            Nature::Rejected => Verdict::Dead(Cause::new(Reason::Rejected, "Rejected", "no")),
            Nature::Panics => {
                return Err(Broken::Interrupted(index, Verdict::Failed(cause("Panic"))));
            }
            Nature::Stuck => {
                return Err(Broken::Interrupted(index, Verdict::Failed(cause("TimedOut"))));
            }
            Nature::Swallows => {
                self.database.spoil(tx).map_err(failed)?;
                self.effect(tx, event)?
            }
            Nature::Killer => {
                self.tell(|| format!("{id} is killed by {}", event.name()));
                return Ok(Then::Die);
            }
            // It has a death and no handler.
            Nature::Malformed => Verdict::NotRun,
        };
        let verdict = if task.guard == Guard::Marked { self.keep(tx, verdict)? } else { verdict };
        task.batch.note(verdict)?;
        Ok(Then::On(Stage::Next, 0))
    }

    fn effect(&mut self, tx: TxId, event: &SimEvent) -> Result<Verdict, Failure> {
        let released = self.database.take_effect(tx, event).map_err(failed)?;
        if released {
            self.coverage.note("parked key released");
        }
        Ok(if released { Verdict::Released } else { Verdict::Settled })
    }

    /// Keeps what happened behind the savepoint, or takes it back.
    fn keep(&mut self, tx: TxId, verdict: Verdict) -> Result<Verdict, Failure> {
        let verdict = if self.database.is_spoilt(tx) {
            Verdict::Failed(cause("SwallowedDatabaseError"))
        } else {
            verdict
        };
        if !verdict.is_settled() {
            self.database.undo(tx).map_err(failed)?;
        }
        Ok(verdict)
    }

    fn commit_task(&mut self, id: ProcessId, task: &mut Task) -> Result<Then, Failure> {
        let tx = tx_of(task)?;
        if self.database.is_spoilt(tx) {
            return Err(Broken::Suspect("the transaction is aborted"));
        }
        self.commit_tx(id, tx)?;
        task.tx = None;
        if self.random.percent(self.plan.lost_reply_percent) {
            self.coverage.note("reply to a commit lost");
            return Err(failed(Refusal::Gone));
        }
        let batch = std::mem::replace(
            &mut task.batch,
            Batch::new(Arc::clone(&task.turn.jobs), Guard::Together),
        );
        Ok(Then::End(batch.committed()))
    }

    fn commit_tx(&mut self, id: ProcessId, tx: TxId) -> Result<(), Failure> {
        if !self.database.is_under_its_token(tx) {
            self.violate(|| format!("{id} committed under the token of a former owner"));
        }
        let effects = self.database.commit(tx).map_err(failed)?;
        for event in effects {
            self.check_effect(id, &event);
        }
        Ok(())
    }

    /// The transaction broke: once more, or the report.
    fn broke(&mut self, task: &mut Task, broken: Failure) -> Then {
        if let Some(tx) = task.tx.take() {
            self.database.roll_back(tx);
        }
        if broken.runs_apart(task.guard, task.turn.jobs.len()) {
            self.coverage.note("batch run apart");
            task.begin_anew(Guard::Marked);
            return Then::On(Stage::Begin, 0);
        }
        let jobs = Arc::clone(&task.turn.jobs);
        let report = broken.report(&jobs, |_| cause("Database"));
        if task.turn.is_careful && matches!(report.verdicts[..], [(_, Verdict::Failed(_))]) {
            // The event did not kill: what was noted on suspicion is taken back.
            let noted = self.database.note(&jobs[0].received, jobs[0].attempt);
            if noted.is_err() {
                self.coverage.note("suspicion stayed");
            }
        }
        Then::End(report)
    }

    /// Ends a task. A commit that is under way may still succeed.
    pub(super) fn abort(&mut self, id: ProcessId, task: TaskId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let Some(taken) = process.tasks.remove(&task) else { return };
        self.coverage.note("task aborted");
        if let Some(tx) = taken.tx {
            let is_committed = taken.stage == Stage::Commit
                && self.random.percent(50)
                && !self.database.is_spoilt(tx)
                && self.commit_tx(id, tx).is_ok();
            if is_committed {
                self.coverage.note("commit of an aborted task");
            } else {
                let wait = self.random.of(0..10);
                self.after(wait, Step::RollBack(tx));
            }
        }
        self.give(id, Input::Aborted(task));
    }
}

fn tx_of(task: &Task) -> Result<TxId, Failure> {
    task.tx.ok_or(Broken::Database(Trouble::Down, "no transaction"))
}

fn failed(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Trouble(trouble) => Broken::Database(trouble, "refused"),
        Refusal::Wait => Broken::Database(Trouble::Contention, "deadlock"),
        Refusal::Gone => Broken::Database(Trouble::Down, "connection lost"),
    }
}

fn cause(error_type: &str) -> Cause {
    Cause::new(Reason::RetriesExhausted, error_type, "it failed")
}
