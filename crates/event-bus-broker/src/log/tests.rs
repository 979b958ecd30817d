//! Tests of the log as a whole.

mod compaction;
mod damage;
mod faults;
mod fixtures;
mod model;
mod retention;
mod serving;
mod stretches;
