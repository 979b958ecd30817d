//! The APIs as a client meets them.

mod cluster;
mod configs;
mod damaged;
mod faults;
mod skipped;
mod groups;
mod records;
mod stopping;
mod topics;
mod transactions;
