//! The consumer runtime: from fetched records to settled offsets.
//!
//! `receive` reads a record, `execute` runs a batch in a transaction, and `run` connects both to Kafka's consumer thread.
//! What they decide, the core decides, and it awaits nothing: `session` says what is to be done next, `partition` what
//! each of its partitions may run, `track` what may be committed, `lane` keeps the order per key, `batch` says what
//! follows when a transaction breaks.

mod batch;
mod command;
mod commits;
pub(crate) mod erased;
mod execute;
mod infrastructure;
mod job;
pub mod lane;
mod moment;
mod outage;
mod partition;
mod receive;
mod run;
mod session;
mod settings;
pub mod track;
mod trouble;

pub(crate) use execute::Executor;
pub(crate) use run::Subscription;
pub(crate) use settings::Settings;
