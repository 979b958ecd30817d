//! What a session is told, and what it wants done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::{Job, Report};
use super::stuck::Position;
use super::trouble::Trouble;
use crate::rerun::Past;
use crate::store::Holding;

/// A task that a session started, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// A partition that the group gives to this consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its number.
    pub partition: i32,
    /// Where it is fetched from, if that is known.
    pub start: Option<i64>,
    /// Where its log ends at this time, if that is known. What stands behind it no earlier owner has seen.
    pub log_end: Option<i64>,
}

/// One time that a partition was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: i32,
    /// Counts the assignments of a session.
    pub number: u64,
}

/// Jobs of one partition that run together.
#[derive(Debug)]
pub struct Turn<E> {
    /// The partition.
    pub partition: i32,
    /// The token under which the transaction may be committed.
    pub token: i64,
    /// In their order.
    pub jobs: Arc<[Job<E>]>,
    /// Whether nothing else may run in this process meanwhile: one of the jobs may be what killed the last one.
    pub is_careful: bool,
    /// What the inbox knows of the partition beside its rows.
    pub past: Past,
}

/// What the database is told of partitions that are let go in good order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Attempts that were noted before they began, and cut off: the process lives, so nobody died of them.
    pub cut_off: Vec<CutOff>,
    /// Partitions in which everything ran that may have killed an owner, with their tokens. Their next owner need not be
    /// careful.
    pub clean: Vec<(i32, i64)>,
}

/// An attempt that was noted before it began, and cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// The event's partition.
    pub partition: i32,
    /// The partition's token.
    pub token: i64,
    /// The event's offset.
    pub offset: i64,
    /// How many attempts the event has had without this one; `None` where none was noted.
    pub attempts: Option<u32>,
}

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
    Assigned(Vec<Offer>),
    /// [`Command::TakeOver`] was carried out, or what kept it from that.
    TakenOver(Assignment, Result<Holding, Trouble>),
    /// [`Command::Release`] was carried out, or failed.
    Released(TaskId),
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
    /// How far the client is, told every now and then.
    Positions(Vec<Position>),
    /// [`Command::AskEnds`] was answered. What could not be read is left out.
    Ends(BTreeMap<i32, i64>),
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
    /// Take the partition over in the database, and tell [`Input::TakenOver`]. What stands before the offset is settled.
    TakeOver(Assignment, Option<i64>),
    /// Tell the database, in its order, and then [`Input::Released`].
    Release(TaskId, Release),
    /// Run the jobs, and tell [`Input::Finished`].
    Run(TaskId, Turn<E>),
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
    /// Ask where the logs of these partitions end, by another connection than the consumer's, and tell [`Input::Ends`].
    AskEnds(Vec<i32>),
    /// Commit the offsets and leave the group: the session is over.
    Close(Vec<(i32, i64)>),
    /// Leave without a commit: the session is over, and another may begin.
    Abandon,
    /// Something that an operator should know.
    Tell(Notice),
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The database is down or refuses; nothing starts until it answers.
    DatabaseDown,
    /// The database answers again.
    DatabaseAnswers,
    /// Handlers outlasted the deadline of a revoke or a stop and are rolled back.
    Outlasted,
    /// The Kafka consumer fetches nothing of these partitions, though there is something to fetch.
    Stuck(Vec<i32>),
}
