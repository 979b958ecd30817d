//! A range that handlers run in transactions which are rolled back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Only, Span};
use crate::names::EventId;

/// So many events that would fail are told one by one.
const MOST_FAILING: usize = 20;

/// What is to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Where.
    pub spans: Vec<Span>,
    /// Which events.
    pub only: Only,
    /// At most so many of each partition: their transaction is open until the last one ran.
    pub most: u64,
}

/// An event whose handler failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The partition.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The event.
    pub event_id: EventId,
    /// What the handler said, or why it must not see the event.
    pub error: String,
}

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// Events that ran, or were not let to.
    pub events: u64,
    /// Those of them that took effect before, or are dead: to deliver them again does nothing.
    pub known: u64,
    /// Those that failed.
    pub failed: u64,
    /// The first of these.
    pub failing: Vec<Failing>,
    /// What the handlers emitted, by topic.
    pub emitted: BTreeMap<String, u64>,
    /// Rows that the handlers wrote, changed or removed. On PostgreSQL by table; SQLite tells one number for all.
    pub rows: BTreeMap<String, u64>,
    /// Whether there are more than were to be tried.
    pub is_cut: bool,
}

impl DryRun {
    /// Notes a failure.
    pub(crate) fn fails(&mut self, failing: Failing) {
        self.failed += 1;
        if self.failing.len() < MOST_FAILING {
            self.failing.push(failing);
        }
    }
}
