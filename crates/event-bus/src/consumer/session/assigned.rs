//! A partition that the group gave, with how far the session is with it. Pure.

use super::super::command::{CutOff, Release};
use super::super::job::Arrival;
use super::super::ownership::Ownership;
use super::super::partition::Partition;
use crate::rerun::Past;

#[derive(Debug)]
pub(super) struct Assigned<E> {
    /// Tells it from earlier assignments of the partition.
    pub(super) number: u64,
    pub(super) ownership: Ownership,
    /// See [`Holding::past`](crate::store::Holding::past).
    pub(super) past: Past,
    pub(super) state: Partition<E>,
}

impl<E: Arrival> Assigned<E> {
    /// Adds what the database is told when the partition is let go.
    pub(super) fn let_go(&self, partition: i32, token: i64, release: &mut Release) {
        let cut_off = self.state.cut_off();
        release.cut_off.extend(cut_off.map(|(offset, attempts)| CutOff {
            partition,
            token,
            offset,
            attempts,
        }));
        // While an event in it may be a killer that did not run again yet, the next owner has to be as careful.
        if self.state.is_proven() {
            release.clean.push((partition, token));
        }
    }
}
