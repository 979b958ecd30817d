//! Runs events in a transaction: inbox row, handler, outbox rows, commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use super::attempts::Attempts;
use super::batch::{self, Batch, Guard};
use super::command::Turn;
use super::infrastructure::{is_broken_transaction, trouble_in, trouble_of};
use super::invoke::{Invoker, verdict_of};
use super::job::{Job, Report, Verdict};
use super::receive::Received;
use super::trouble::Trouble;
use crate::catalogue;
use crate::dead_letter::{Cause, Reason, error_chain};
use crate::flaw::{Flaw, Flaws};
use crate::kafka::admin::Admin;
use crate::metrics::Tally;
use crate::middleware::{Place, Subscriber};
use crate::names::{GroupName, ServiceName, TopicName};
use crate::outbox::Outbox;
use crate::replay::Outcome;
use crate::rerun::{Epoch, Past, Plan};
use crate::store::{Begun, Claimant, Claimed, Tx};

/// What runs one subscription's events.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) outbox: Outbox,
    pub(crate) event: Arc<catalogue::Event>,
    pub(crate) group: GroupName,
    pub(crate) service: ServiceName,
    pub(crate) invoker: Invoker,
    /// Whether a key is parked behind a dead letter.
    pub(crate) parks: bool,
    /// Tells which of the topics of its name the event's topic is.
    pub(crate) admin: Admin,
    /// Where it is told what became of replays.
    pub(crate) outcomes: TopicName,
}

/// What may have killed the last process runs alone in this one, and everything else beside each other. So whoever dies
/// knows of what.
pub(super) static GATE: RwLock<()> = RwLock::const_new(());

/// How much longer than a handler a transaction may stand still, before the database takes its process for frozen.
const BESIDE_HANDLER: Duration = Duration::from_secs(5);

/// What is told of a transaction, once it is known how it ended: it is counted and traced.
pub(super) struct Told {
    pub(super) tally: Tally,
    pub(super) attempts: Attempts,
}

pub(super) type Event = Job<Arc<Received>>;
type Broken = batch::Broken<sqlx::Error>;

/// Under which rows of the inbox an event runs; `None` where nothing is to be done about it.
fn epoch_of(past: &Past, job: &Event) -> Option<Epoch> {
    let received = &job.received;
    let (offset, key) = (received.record.offset, received.record.key.as_deref());
    match past.plan(offset, key, &received.claim.tenant) {
        Plan::Run(epoch) if received.is_for_this_group() => Some(epoch),
        _ => None,
    }
}

/// The offset behind the last of these events, where a range that is read again ends there or shortly before. Shortly, for
/// what stands at its end may be no event.
fn passed(past: &Past, jobs: &[Event]) -> Option<i64> {
    const SHORTLY: i64 = 100;
    let behind = jobs.last()?.received.record.offset + 1;
    let ends = |end: i64| (end..end + SHORTLY).contains(&behind);
    past.reruns.iter().any(|rerun| !rerun.is_over && ends(rerun.span.end)).then_some(behind)
}

/// A statement of the runtime's own failed. No event is to blame, whatever the database says, unless it says that the
/// transaction was broken before.
fn by_own(error: sqlx::Error) -> Broken {
    match trouble_of(&error) {
        Some(trouble) => Broken::Database(trouble, error),
        None if is_broken_transaction(&error) => Broken::Suspect(error),
        None => Broken::Database(Trouble::Down, error),
    }
}

/// The commit failed, which may be what a handler did: a deferred constraint, say.
fn by_commit(error: sqlx::Error) -> Broken {
    match trouble_of(&error) {
        Some(trouble) => Broken::Database(trouble, error),
        None => Broken::Suspect(error),
    }
}

impl Executor {
    /// Runs the jobs in their order in one transaction. All are of one partition.
    pub(crate) async fn run(&self, turn: &Turn<Arc<Received>>) -> Report {
        if !turn.is_careful {
            let _shared = GATE.read().await;
            return self.run_together(turn).await;
        }
        let _alone = GATE.write().await;
        if let Err(broken) = self.note_attempts(turn, |job| job.to_note).await {
            return self.report(turn, broken);
        }
        let report = self.run_together(turn).await;
        if let [(_, Verdict::Failed(_))] = report.verdicts[..]
            && let Err(broken) = self.note_attempts(turn, |job| Some(job.attempt)).await
        {
            // The event did not kill, and is suspected for longer than it has to be.
            self.log_rollback(&turn.jobs, &broken);
        }
        report
    }

    async fn note_attempts(
        &self,
        turn: &Turn<Arc<Received>>,
        attempts: impl Fn(&Event) -> Option<u32>,
    ) -> Result<(), Broken> {
        let store = self.outbox.store();
        if Flaws::of_process().have(Flaw::AttemptsInMemory) {
            return Ok(());
        }
        for job in turn.jobs.iter() {
            if let Some(attempts) = attempts(job) {
                let offset = job.received.record.offset;
                store
                    .note_attempt(&self.claimant(turn.partition), turn.token, offset, attempts)
                    .await
                    .map_err(by_own)?;
            }
        }
        Ok(())
    }

    async fn run_together(&self, turn: &Turn<Arc<Received>>) -> Report {
        let mut guard = Guard::Together;
        loop {
            match self.attempt(turn, guard).await {
                Ok(report) => return report,
                Err(broken) if broken.runs_apart(guard, turn.jobs.len()) => guard = Guard::Marked,
                Err(broken) => return self.report(turn, broken),
            }
        }
    }

    fn report(&self, turn: &Turn<Arc<Received>>, broken: Broken) -> Report {
        self.log_rollback(&turn.jobs, &broken);
        let cause = |error: &sqlx::Error| Cause::of(Reason::RetriesExhausted, "Database", error);
        broken.report(&turn.jobs, cause)
    }

    fn log_rollback(&self, jobs: &[Event], broken: &Broken) {
        let Some((trouble, error)) = broken.database_error() else { return };
        tracing::warn!(
            group = %self.group, topic = %self.event.topic, events = jobs.len(), error = error_chain(error), ?trouble,
            "a transaction failed"
        );
    }

    async fn attempt(&self, turn: &Turn<Arc<Received>>, guard: Guard) -> Result<Report, Broken> {
        let claimant = self.claimant(turn.partition);
        let limit = self.invoker.timeout + BESIDE_HANDLER;
        let begun = self.outbox.store().begin_owned(&claimant, turn.token, limit).await;
        let mut tx = match begun.map_err(by_own)? {
            Begun::Owned(tx) => tx,
            Begun::Fenced => return Err(Broken::Infrastructure(Trouble::Fenced)),
        };
        let jobs = &turn.jobs;
        let epochs: Vec<_> = jobs.iter().map(|job| epoch_of(&turn.past, job)).collect();
        let claimed = match guard {
            Guard::Together => {
                self.claim(&mut tx, claimant, jobs, &epochs).await.map_err(by_own)?
            }
            Guard::Marked => Vec::new(),
        };
        let mut told =
            Told { tally: Tally::default(), attempts: Attempts::new(&self.invoker.tracer) };
        let is_one_call = guard == Guard::Together && self.invoker.takes_batches();
        if is_one_call {
            self.handle_fresh(&mut tx, jobs, &claimed, &mut told).await?;
        }
        let mut batch = Batch::new(Arc::clone(jobs), guard);
        while let Some(index) = batch.next_turn() {
            let job = &jobs[index];
            let verdict = match (epochs[index], &job.death, guard) {
                (None, _, _) => Verdict::Settled,
                (Some(epoch), Some(death), _) => {
                    let claimant = claimant.under(epoch);
                    self.bury(&mut tx, &claimant, job, death, &mut told).await.map_err(by_own)?
                }
                (Some(epoch), None, Guard::Together) => {
                    let claimed = claimed.get(index).map_or(Claimed::Seen, |(claimed, _)| *claimed);
                    let verdict = match claimed {
                        Claimed::Fresh if is_one_call => Verdict::Settled,
                        Claimed::Fresh => {
                            self.handle(&mut tx, index, &[job], epoch, &mut told).await?
                        }
                        Claimed::Collides => collision(job),
                        Claimed::Seen | Claimed::OutOfTurn => Verdict::Settled,
                    };
                    told.tally.count(claimed);
                    self.end_replay(&mut tx, &claimant, job, claimed, verdict)
                        .await
                        .map_err(by_own)?
                }
                (Some(epoch), None, Guard::Marked) => {
                    let claimant = claimant.under(epoch);
                    self.handle_marked(&mut tx, &claimant, (index, job), epoch, &mut told).await?
                }
            };
            if turn.is_careful && verdict.is_settled() {
                let offset = job.received.record.offset;
                tx.forget_attempts(&claimant, offset).await.map_err(by_own)?;
            }
            batch.note(verdict)?;
        }
        if let Some(behind) = passed(&turn.past, jobs) {
            tx.end_reruns(&claimant, behind).await.map_err(by_own)?;
        }
        tx.flush().await.map_err(by_own)?;
        self.outbox.end(tx).await.map_err(by_commit)?;
        self.invoker.metrics.committed(&told.tally);
        told.attempts.committed();
        let report = batch.committed();
        if Flaws::of_process().have(Flaw::EffectBeforeInbox) {
            self.claim_late(&claimant, jobs, &report).await.map_err(by_own)?;
        }
        Ok(report)
    }

    /// What the inbox says to each event that may run, and under which epoch that is.
    async fn claim(
        &self,
        tx: &mut Tx,
        claimant: Claimant<'_>,
        jobs: &[Event],
        epochs: &[Option<Epoch>],
    ) -> Result<Vec<(Claimed, Epoch)>, sqlx::Error> {
        let mut claimed = vec![(Claimed::Seen, Epoch::default()); jobs.len()];
        let living = |index: &usize| jobs[*index].death.is_none() && epochs[*index].is_some();
        let living: Vec<usize> = (0..jobs.len()).filter(living).collect();
        // All are of one epoch, unless a range that runs again begins or ends among them.
        for part in living.chunk_by(|one, other| epochs[*one] == epochs[*other]) {
            let epoch = epochs[part[0]].unwrap_or_default();
            let claims: Vec<_> =
                part.iter().map(|index| jobs[*index].received.claim.clone()).collect();
            let answers = tx.claim(&claimant.under(epoch), &claims).await?;
            for (index, answer) in part.iter().zip(answers) {
                claimed[*index] = (answer, epoch);
            }
        }
        Ok(claimed)
    }

    /// What [`Flaw::EffectBeforeInbox`] does behind the commit of the effects.
    async fn claim_late(
        &self,
        claimant: &Claimant<'_>,
        jobs: &[Event],
        report: &Report,
    ) -> Result<(), sqlx::Error> {
        // Long enough for a process to be killed between the two.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let mut tx = self.outbox.begin().await?;
        let settled = report.verdicts.iter().filter(|(_, verdict)| verdict.is_settled());
        let settled: Vec<i64> = settled.map(|(offset, _)| *offset).collect();
        let is_settled = |job: &&Event| settled.contains(&job.received.record.offset);
        let is_claimed = |job: &&Event| job.death.is_none() && job.received.is_for_this_group();
        for job in jobs.iter().filter(is_claimed).filter(is_settled) {
            tx.claim_now(claimant, std::slice::from_ref(&job.received.claim)).await?;
        }
        self.outbox.commit(tx).await
    }

    async fn handle_marked(
        &self,
        tx: &mut Tx,
        claimant: &Claimant<'_>,
        (index, job): (usize, &Event),
        epoch: Epoch,
        told: &mut Told,
    ) -> Result<Verdict, Broken> {
        tx.mark().await.map_err(by_own)?;
        let claims = std::slice::from_ref(&job.received.claim);
        let claimed = tx.claim(claimant, claims).await.map_err(by_own)?;
        let claimed = claimed.first().copied().unwrap_or(Claimed::Seen);
        let verdict = match claimed {
            Claimed::Fresh => self.handle(tx, index, &[job], epoch, told).await?,
            Claimed::Collides => collision(job),
            Claimed::Seen | Claimed::OutOfTurn => Verdict::Settled,
        };
        if !matches!(verdict, Verdict::Settled) {
            undo(tx).await?;
            return Ok(verdict);
        }
        match tx.keep().await {
            Ok(()) => {
                told.tally.count(claimed);
                self.end_replay(tx, claimant, job, claimed, verdict).await.map_err(by_own)
            }
            // The handler swallowed an error of the database, and PostgreSQL has given up the transaction.
            Err(error) if trouble_of(&error).is_none() => {
                undo(tx).await?;
                let cause = Cause::of(Reason::RetriesExhausted, "SwallowedDatabaseError", &error);
                told.attempts.failed(&cause);
                Ok(Verdict::Failed(cause))
            }
            Err(error) => Err(by_own(error)),
        }
    }

    /// Handles all fresh events of a batch in one call, or in two where some of them run silently. Whose failure it was is
    /// known once they have run one by one.
    async fn handle_fresh(
        &self,
        tx: &mut Tx,
        jobs: &[Event],
        claimed: &[(Claimed, Epoch)],
        told: &mut Told,
    ) -> Result<(), Broken> {
        let is_fresh = |index: &usize| claimed[*index].0 == Claimed::Fresh;
        let fresh: Vec<usize> = (0..jobs.len()).filter(is_fresh).collect();
        let silent = |index: usize| claimed[index].1.is_silent;
        for part in fresh.chunk_by(|one, other| silent(*one) == silent(*other)) {
            let (first, epoch) = (part[0], claimed[part[0]].1);
            let events: Vec<&Event> = part.iter().map(|index| &jobs[*index]).collect();
            match self.handle(tx, first, &events, epoch, told).await {
                Ok(Verdict::Settled) => {}
                Err(Broken::Interrupted(_, verdict)) if events.len() > 1 => {
                    return Err(Broken::Handler(first, verdict));
                }
                Ok(verdict) => return Err(Broken::Handler(first, verdict)),
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }

    /// Handles the event at `index`, or a batch that begins with it.
    async fn handle(
        &self,
        tx: &mut Tx,
        index: usize,
        jobs: &[&Event],
        epoch: Epoch,
        told: &mut Told,
    ) -> Result<Verdict, Broken> {
        let subscriber = self.subscriber();
        let before = tx.emitted();
        let place = Place::Transaction(tx, &self.outbox);
        let called = self.invoker.call(jobs, subscriber, place, &mut told.attempts).await;
        if epoch.is_silent {
            tx.unemit(before);
        }
        let verdict = match called {
            Ok(Ok(())) => return Ok(Verdict::Settled),
            Ok(Err(failure)) => {
                if let Some(trouble) = trouble_in(failure.error()) {
                    tracing::warn!(
                        group = %self.group, topic = %self.event.topic, events = jobs.len(),
                        error = error_chain(failure.error()), ?trouble,
                        "a handler met a database failure: its events run again"
                    );
                    return Err(Broken::Infrastructure(trouble));
                }
                verdict_of(&failure)
            }
            Err(cause) => return Err(Broken::Interrupted(index, Verdict::Failed(cause))),
        };
        if let [job] = jobs {
            subscriber.log(job, &verdict);
        }
        Ok(verdict)
    }

    /// What follows from a replay that was handled, or that there was nothing to do about: it is told, and the last one of
    /// a parked key releases that.
    async fn end_replay(
        &self,
        tx: &mut Tx,
        claimant: &Claimant<'_>,
        job: &Event,
        claimed: Claimed,
        verdict: Verdict,
    ) -> Result<Verdict, sqlx::Error> {
        let (Some(replay), Verdict::Settled) = (job.received.replay(), &verdict) else {
            return Ok(verdict);
        };
        let outcome = match claimed {
            Claimed::Fresh => Outcome::Processed,
            Claimed::OutOfTurn => Outcome::OutOfTurn,
            Claimed::Seen | Claimed::Collides => Outcome::Duplicate,
        };
        self.tell(tx, replay, outcome);
        let key = job.received.record.key.as_deref();
        match replay.chain_seq {
            Some(seq)
                if claimed == Claimed::Fresh && tx.advance_chain(claimant, key, seq).await? =>
            {
                Ok(Verdict::Released)
            }
            _ => Ok(verdict),
        }
    }

    pub(super) fn subscriber(&self) -> Subscriber<'_> {
        Subscriber { event: &self.event, group: &self.group, service: &self.service }
    }
}

/// Takes back what a handler did since the mark. Where SQLite ended the transaction there is no mark any more.
async fn undo(tx: &mut Tx) -> Result<(), Broken> {
    match tx.undo().await {
        Err(error) if tx.is_lost() => Err(by_commit(error)),
        other => other.map_err(by_own),
    }
}

fn collision(job: &Event) -> Verdict {
    let text = format!(
        "an event with the id {} and other bytes was handled before",
        job.received.claim.event_id
    );
    Verdict::Dead(Cause::new(Reason::IdCollision, "IdCollision", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_runtimes_own_statement_is_nobodys_attempt() {
        let broken = by_own(sqlx::Error::RowNotFound);
        assert!(matches!(broken, Broken::Database(Trouble::Down, _)));
    }

    #[test]
    fn a_refused_commit_may_be_a_handlers_doing_but_an_outage_is_not() {
        assert!(matches!(by_commit(sqlx::Error::RowNotFound), Broken::Suspect(_)));
        let broken = by_commit(sqlx::Error::PoolClosed);
        assert!(matches!(broken, Broken::Database(Trouble::Down, _)));
    }
}
