//! Partitions on their way out. Pure: the time is an argument.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::command::TaskId;

/// How long running handlers may go on when their partition is revoked or the service stops. Then they are rolled back.
const RUN: Duration = Duration::from_secs(10);
/// How long the database may take to note that a partition was let go. Without that its next owner is careful.
const RELEASE: Duration = Duration::from_secs(2);

/// Partitions that are to be given back, and how far that is.
#[derive(Debug)]
pub struct Drain {
    /// `None` stands for all of the session.
    partitions: Option<BTreeSet<i32>>,
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Their handlers may finish.
    Running,
    /// This task tells the database; these offsets are to be committed.
    Releasing(Option<TaskId>, Vec<(i32, i64)>),
}

impl Drain {
    /// These partitions are on their way out.
    #[must_use]
    pub fn of(partitions: Vec<i32>, now: Instant) -> Self {
        let partitions = Some(partitions.into_iter().collect());
        Self { partitions, deadline: now + RUN, stage: Stage::Running }
    }

    /// All partitions are.
    #[must_use]
    pub fn of_all(now: Instant) -> Self {
        Self { partitions: None, deadline: now + RUN, stage: Stage::Running }
    }

    /// Whether a partition is among them.
    #[must_use]
    pub fn concerns(&self, partition: i32) -> bool {
        self.partitions.as_ref().is_none_or(|partitions| partitions.contains(&partition))
    }

    /// When the present stage ends at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether handlers may still run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// No handler runs any more. `offsets` are to be committed, and the task tells the database.
    pub fn ran(&mut self, offsets: Vec<(i32, i64)>, release: Option<TaskId>, now: Instant) {
        self.stage = Stage::Releasing(release, offsets);
        self.deadline = now + RELEASE;
    }

    /// A task that tells the database has ended.
    pub fn released(&mut self, task: TaskId) {
        if let Stage::Releasing(release, _) = &mut self.stage {
            release.take_if(|release| *release == task);
        }
    }

    /// Partitions are somebody else's already: nothing of them may be committed.
    pub fn lost(&mut self, partitions: &BTreeSet<i32>) {
        if let Stage::Releasing(_, offsets) = &mut self.stage {
            offsets.retain(|(partition, _)| !partitions.contains(partition));
        }
    }

    /// Whether the database knows.
    #[must_use]
    pub fn is_released(&self) -> bool {
        matches!(self.stage, Stage::Releasing(None, _))
    }

    /// What is to be committed of the partitions of another drain.
    #[must_use]
    pub fn offsets_of(&self, other: &Drain) -> Vec<(i32, i64)> {
        match &self.stage {
            Stage::Running => Vec::new(),
            Stage::Releasing(_, offsets) => offsets
                .iter()
                .filter(|(partition, _)| other.concerns(*partition))
                .copied()
                .collect(),
        }
    }

    /// What is to be committed.
    #[must_use]
    pub fn into_offsets(self) -> Vec<(i32, i64)> {
        match self.stage {
            Stage::Running => Vec::new(),
            Stage::Releasing(_, offsets) => offsets,
        }
    }
}
