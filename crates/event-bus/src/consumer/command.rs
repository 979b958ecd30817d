//! What a session is told, and what it wants done.

use super::job::{Job, Report};

/// A task that a session started, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// Whether something that was asked for was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was.
    Done,
    /// It was not.
    Failed,
}

/// What a session is told.
#[derive(Debug)]
pub enum Input<E> {
    /// These partitions are ours. A halted one is left out.
    Assigned(Vec<i32>),
    /// Events came, ascending within a partition.
    Fetched(Vec<E>),
    /// These partitions go to another member, which waits for [`Command::GiveBack`].
    Revoked(Vec<i32>),
    /// These partitions are somebody else's already.
    Lost(Vec<i32>),
    /// A task of [`Command::Run`] ended.
    Finished(TaskId, Report),
    /// A task ended without a report, as an aborted one does.
    Aborted(TaskId),
    /// A task ended by a fault of the runtime's own: nobody knows what became of its events.
    Broke,
    /// [`Command::Commit`] was carried out, or was not.
    Committed(Outcome),
    /// [`Command::Probe`] was answered, or was not.
    Probed(Outcome),
    /// The consumer can't go on.
    Failed,
    /// Finish what runs, commit and leave the group.
    Stop,
    /// The time of [`Session::next_wake`](super::session::Session::next_wake) came.
    Woken,
}

/// What a session wants done, in this order.
#[derive(Debug)]
pub enum Command<E> {
    /// Run the jobs, all of this partition, in their order, and tell [`Input::Finished`].
    Run(TaskId, i32, Vec<Job<E>>),
    /// End the task and take back what it did.
    Abort(TaskId),
    /// Fetch no more of this partition. Events already on their way may still come.
    Pause(i32),
    /// Fetch this partition again.
    Resume(i32),
    /// Commit the offsets, and tell [`Input::Committed`].
    Commit(Vec<(i32, i64)>),
    /// Commit the offsets and let the revoked partitions go.
    GiveBack(Vec<(i32, i64)>),
    /// Ask the database for a sign of life, and tell [`Input::Probed`].
    Probe,
    /// Commit the offsets and leave the group: the session is over.
    Close(Vec<(i32, i64)>),
    /// Leave without a commit: the session is over, and another may begin.
    Abandon,
    /// Something that an operator should know.
    Tell(Notice),
}

/// What an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The database is down or refuses; nothing starts until it answers.
    DatabaseDown,
    /// The database answers again.
    DatabaseAnswers,
    /// Handlers outlasted the deadline of a revoke or a stop and are rolled back.
    Outlasted,
}
