//! What the lag collector tells, in each of the ways in which others tell something wrong.

mod collected;
mod kafka_alone;
mod traps;
