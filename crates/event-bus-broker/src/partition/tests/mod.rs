//! Partitions: what is appended, refused, shown and taken back.

mod appending;
mod fixtures;
mod history;
mod payloads;
mod storage;
mod transactions;

pub(crate) use fixtures::Batch;
