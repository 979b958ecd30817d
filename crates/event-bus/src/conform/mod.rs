//! Whether services keep to the contract, whatever they are written in: told by their traffic.
//!
//! [`Inspector`] is given the records of topics and counts, by service, what the contract forbids or what is doubtful. It is
//! pure and takes no more memory for more records; [`inspect`] reads the topics for it. What a running consumer does with what it
//! is sent, [`consumer`] tries.

pub mod consumer;
mod kind;
mod order;
mod read;
mod recent;
mod record;
mod report;
mod topics;

pub use kind::{Kind, Severity};
pub use order::Sequence;
pub use read::inspect;
pub use recent::{IDS_REMEMBERED, KEYS_REMEMBERED};
pub use report::{Counted, Example, Report};
pub use topics::{Inspector, Rules};

#[cfg(test)]
mod tests;
