//! The events of one transaction: which runs next, and what follows when the transaction breaks.
//!
//! Pure: who runs them tells how each ended.

use std::collections::HashSet;
use std::sync::Arc;

use super::job::{Arrival, Job, Report, Verdict};
use super::lane::LaneKey;
use super::trouble::Trouble;
use crate::dead_letter::Cause;

/// Whether a failing event takes the transaction with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// All or nothing: the fast way.
    Together,
    /// A savepoint per event: the good commit.
    Marked,
}

/// Why a transaction was rolled back. `X` is the database's error.
#[derive(Debug)]
pub enum Broken<X> {
    /// A handler failed, or an id was another event's. Under [`Guard::Together`] only.
    Handler(usize, Verdict),
    /// A handler panicked or took too long. Its transaction is gone.
    Interrupted(usize, Verdict),
    /// A handler met a database failure.
    Infrastructure(Trouble),
    /// A statement of the runtime's own failed, or the commit, and the database is why.
    Database(Trouble, X),
    /// The transaction could not go on or commit, for something that one of the handlers did in it and hid.
    Suspect(X),
}

/// One try to bring jobs, all of one partition, through a transaction in their order.
#[derive(Debug)]
pub struct Batch<E> {
    jobs: Arc<[Job<E>]>,
    guard: Guard,
    verdicts: Vec<Verdict>,
    failed_keys: HashSet<LaneKey>,
}

impl<E: Arrival> Batch<E> {
    /// A try under `guard`.
    #[must_use]
    pub fn new(jobs: Arc<[Job<E>]>, guard: Guard) -> Self {
        let verdicts = Vec::with_capacity(jobs.len());
        Self { jobs, guard, verdicts, failed_keys: HashSet::new() }
    }

    /// The place of the next event to run; those behind a failed one of their key are passed over.
    pub fn next_turn(&mut self) -> Option<usize> {
        loop {
            let index = self.verdicts.len();
            let job = self.jobs.get(index)?;
            if !self.failed_keys.contains(job.received.key()) {
                return Some(index);
            }
            self.verdicts.push(Verdict::NotRun);
        }
    }

    /// Notes how the turn ended that [`Self::next_turn`] gave.
    ///
    /// # Errors
    /// When the transaction must be rolled back for it: together, the later events of its key have their inbox rows
    /// already, and those must not be committed.
    pub fn note<X>(&mut self, verdict: Verdict) -> Result<(), Broken<X>> {
        let index = self.verdicts.len();
        if matches!(verdict, Verdict::Failed(_) | Verdict::Dead(_)) {
            if self.guard == Guard::Together {
                return Err(Broken::Handler(index, verdict));
            }
            self.failed_keys.insert(self.jobs[index].received.key().clone());
        }
        self.verdicts.push(verdict);
        Ok(())
    }

    /// What to report once the transaction is committed.
    #[must_use]
    pub fn committed(self) -> Report {
        let offsets = self.jobs.iter().map(|job| job.received.offset());
        Report { verdicts: offsets.zip(self.verdicts).collect(), trouble: None }
    }
}

impl<X> Broken<X> {
    /// Whether the jobs run once more, each behind a savepoint: a handler's error may have had its cause in a
    /// neighbour, or there may be more of them. After a panic or a lost connection only the culprit is known.
    #[must_use]
    pub fn runs_apart(&self, guard: Guard, jobs: usize) -> bool {
        guard == Guard::Together && jobs > 1 && matches!(self, Self::Handler(..) | Self::Suspect(_))
    }

    /// The database's error and what kind of trouble it is, where it is what broke the transaction.
    pub fn database_error(&self) -> Option<(Option<Trouble>, &X)> {
        match self {
            Self::Database(trouble, error) => Some((Some(*trouble), error)),
            Self::Suspect(error) => Some((None, error)),
            Self::Handler(..) | Self::Interrupted(..) | Self::Infrastructure(_) => None,
        }
    }

    /// What to report when the jobs don't run once more.
    pub fn report<E: Arrival>(self, jobs: &[Job<E>], cause: impl FnOnce(&X) -> Cause) -> Report {
        match self {
            Self::Handler(index, verdict) | Self::Interrupted(index, verdict) => {
                only(jobs, index, verdict)
            }
            Self::Infrastructure(trouble) | Self::Database(trouble, _) => disturbed(jobs, trouble),
            // Whose failure it is is known when an event runs alone, and looked for one by one otherwise.
            Self::Suspect(error) if jobs.len() == 1 => {
                only(jobs, 0, Verdict::Failed(cause(&error)))
            }
            Self::Suspect(_) => disturbed(jobs, Trouble::Contention),
        }
    }
}

/// One event has a verdict; the transaction took the others back.
fn only<E: Arrival>(jobs: &[Job<E>], index: usize, verdict: Verdict) -> Report {
    let mut verdict = Some(verdict);
    let verdicts = jobs.iter().enumerate().map(|(place, job)| {
        let verdict = verdict.take_if(|_| place == index).unwrap_or(Verdict::NotRun);
        (job.received.offset(), verdict)
    });
    Report { verdicts: verdicts.collect(), trouble: None }
}

fn disturbed<E: Arrival>(jobs: &[Job<E>], trouble: Trouble) -> Report {
    let verdicts = jobs.iter().map(|job| (job.received.offset(), Verdict::Disturbed(trouble)));
    Report { verdicts: verdicts.collect(), trouble: Some(trouble) }
}
