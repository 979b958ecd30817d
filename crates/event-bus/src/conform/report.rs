use std::collections::BTreeMap;

use serde::Serialize;

use super::{Kind, Severity};
use crate::kafka::Record;
use crate::names::TopicName;

/// A record of which something is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// What is wrong with it, as a sentence without its full stop. It quotes the record: control characters in it are not
    /// escaped.
    pub what: String,
}

/// How often one thing was found of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The service that the records name; `(unknown)` where none does.
    pub service: String,
    /// What.
    pub kind: Kind,
    /// How bad that is.
    pub severity: Severity,
    /// On how many records.
    pub count: u64,
    /// The first of them.
    pub example: Example,
}

/// What was found, by service and kind.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records that were looked at.
    pub records: u64,
    /// Of them replays, whose value and headers are not their publisher's: nothing is checked of them.
    pub replays: u64,
    /// Of them those that were there before, byte for byte: a relay that did not hear of its success sends again.
    pub repeats: u64,
    found: BTreeMap<(String, Kind), (u64, Example)>,
}

impl Report {
    pub(super) fn add(&mut self, service: &str, kind: Kind, record: &Record, what: String) {
        if let Some((count, _)) = self.found.get_mut(&(service.to_owned(), kind)) {
            *count += 1;
            return;
        }
        let Record { topic, partition, offset, .. } = record;
        let example =
            Example { topic: topic.clone(), partition: *partition, offset: *offset, what };
        self.found.insert((service.to_owned(), kind), (1, example));
    }

    /// All that was found, by service, in the order of the checks.
    pub fn found(&self) -> impl Iterator<Item = Counted> {
        self.found.iter().map(|((service, kind), (count, example))| Counted {
            service: service.clone(),
            kind: *kind,
            severity: kind.severity(),
            count: *count,
            example: example.clone(),
        })
    }

    /// How many findings are of that severity: a record counts once for each kind.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        let of = self.found.iter().filter(|((_, kind), _)| kind.severity() == severity);
        of.map(|(_, (count, _))| count).sum()
    }
}
