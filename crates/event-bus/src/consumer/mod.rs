//! The consumer runtime: from fetched records to settled offsets.
//!
//! `receive` reads a record, `execute` runs a batch in a transaction (`stateless`: without one) through `invoke`, which
//! calls the handler, and `run` connects both to Kafka's consumer thread.
//! What they decide, the core decides, and it awaits nothing: `session` says what is to be done next, `partition` what
//! each of its partitions may run, `track` what may be committed, `lane` keeps the order per key, `batch` says what
//! follows when a transaction breaks, `stuck` when the Kafka consumer is to be built anew.

mod attempts;
mod batch;
mod bury;
mod command;
mod commits;
mod drain;
mod dry_run;
pub(crate) mod erased;
mod execute;
mod gauges;
mod infrastructure;
mod invoke;
mod job;
pub mod lane;
mod moment;
mod outage;
mod ownership;
mod partition;
pub(crate) mod receive;
mod run;
mod runner;
mod session;
mod settings;
mod stateless;
mod stuck;
mod take_over;
pub mod track;
mod trouble;
mod unowned;

pub(crate) use execute::Executor;
pub(crate) use gauges::Gauges;
pub(crate) use invoke::Invoker;
pub(crate) use job::{Job, Report, Verdict};
pub(crate) use receive::doom_of;
pub(crate) use run::{Fenced, Subscription};
pub(crate) use runner::Runner;
pub(crate) use settings::Settings;
pub(crate) use stateless::StatelessExecutor;
pub(crate) use stuck::Position;

/// The core by itself, for whoever drives it without Kafka, a database and a clock: the simulation.
#[cfg(feature = "simulation")]
pub mod core {
    pub use super::batch::{Batch, Broken, Guard};
    pub use super::command::{
        Assignment, Command, CutOff, Input, Notice, Offer, Outcome, Release, TaskId, Turn,
    };
    pub use super::job::{Arrival, Death, Job, Report, Verdict};
    pub use super::moment::Moment;
    pub use super::session::Session;
    pub use super::settings::Settings;
    pub use super::stuck::Position;
    pub use super::trouble::Trouble;
    pub use crate::flaw::{Flaw, Flaws};
    pub use crate::store::Holding;
}
