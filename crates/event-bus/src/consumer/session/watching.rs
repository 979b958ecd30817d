//! Whether the Kafka consumer does what it is there for.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::command::{Command, Notice};
use super::super::job::Arrival;
use super::super::stuck::Position;
use super::{Phase, Session};

impl<E: Arrival> Session<E> {
    /// Notes how far the client is, and asks for the ends of the logs where it does not move.
    pub(super) fn moved(&mut self, mut positions: Vec<Position>, now: Instant) {
        positions.retain(|position| self.is_to_be_fetched(position.partition));
        let quiet = self.watch.moved(&positions, now);
        if !quiet.is_empty() {
            self.commands.push(Command::AskEnds(quiet));
        }
    }

    /// A partition that is halted, paused or on its way out is not.
    fn is_to_be_fetched(&self, partition: i32) -> bool {
        let is_leaving = self.revoke.as_ref().is_some_and(|drain| drain.concerns(partition));
        let is_here = self.partitions.get(&partition).is_some_and(|here| !here.state.is_paused());
        is_here && !is_leaving
    }

    /// Ends the session if its consumer is stuck: another consumer begins behind the last commit.
    pub(super) fn ended(&mut self, ends: &BTreeMap<i32, i64>, now: Instant) {
        let stuck = self.watch.ended(ends, now);
        if !stuck.is_empty() && matches!(self.phase, Phase::Open) {
            self.commands.push(Command::Tell(Notice::Stuck(stuck)));
            self.abandon();
        }
    }
}
