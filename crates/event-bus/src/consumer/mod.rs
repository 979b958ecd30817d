//! The consumer runtime: from fetched records to settled offsets.
//!
//! `receive` reads a record, `track` knows what may be committed, `lane` what may run, `partition` joins the two,
//! `execute` runs a batch in a transaction, and `run` connects them to Kafka's consumer thread.

pub(crate) mod erased;
mod execute;
mod infrastructure;
pub mod lane;
mod outage;
mod partition;
mod receive;
mod run;
pub mod track;

pub(crate) use execute::Executor;
pub(crate) use run::Subscription;
