use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::order::Order;
use super::recent::{IDS_REMEMBERED, Recent};
use super::{Kind, Report, Sequence, record};
use crate::catalogue::Catalogue;
use crate::envelope::Envelope;
use crate::kafka::Record;
use crate::names::{ServiceName, TopicName};
use crate::replay::Replay;

/// What is asked beyond the contract.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Only what this service published is told of.
    pub service: Option<ServiceName>,
    /// Numbers that never go down for a key.
    pub sequences: Vec<Sequence>,
    /// An id that was made longer than this before one of its key that came earlier is out of order for certain: clocks of
    /// a service's replicas differ by less, and a transaction takes no longer.
    pub slack: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { service: None, sequences: Vec::new(), slack: Duration::from_secs(60) }
    }
}

/// A value that was under an id: the beginning of its hash.
type Print = [u8; 16];

/// Looks at the records of events' topics, one after the other as they stand in each partition.
#[derive(Debug)]
pub struct Inspector {
    catalogue: Arc<Catalogue>,
    /// How many partitions each topic has.
    partitions: BTreeMap<TopicName, i32>,
    service: Option<ServiceName>,
    ids: Recent<u128, Print>,
    order: Order,
    report: Report,
}

impl Inspector {
    /// For topics of the catalogue, with how many partitions each has.
    #[must_use]
    pub fn new(
        catalogue: Arc<Catalogue>,
        partitions: BTreeMap<TopicName, i32>,
        rules: Rules,
    ) -> Self {
        let Rules { service, sequences, slack } = rules;
        let order = Order::new(sequences, slack);
        let (ids, report) = (Recent::of(IDS_REMEMBERED), Report::default());
        Self { catalogue, partitions, service, ids, order, report }
    }

    /// Looks at a record. One of a topic that it was not made for is passed over.
    pub fn look(&mut self, record: &Record) {
        let catalogue = Arc::clone(&self.catalogue);
        let event = catalogue.event_of_topic(record.topic.as_str());
        let partitions = self.partitions.get(&record.topic);
        let (Some(event), Some(partitions)) = (event, partitions) else { return };
        self.report.records += 1;
        if Replay::read(&record.headers).is_some() {
            self.report.replays += 1;
            return;
        }
        let seen = record::look(record, event, *partitions, &catalogue);
        let mut found = seen.found;
        if let Some(envelope) = &seen.envelope {
            found.extend(self.look_back(record, envelope));
        }
        if self.service.as_ref().is_some_and(|only| *only != *seen.service) {
            return;
        }
        // Several headers that are missing are one thing that is wrong with a record.
        let mut by_kind: BTreeMap<Kind, String> = BTreeMap::new();
        for (kind, what) in found {
            let told = by_kind.entry(kind).or_default();
            let between = if told.is_empty() { "" } else { "; " };
            told.push_str(between);
            told.push_str(&what);
        }
        for (kind, what) in by_kind {
            self.report.add(&seen.service, kind, record, what);
        }
    }

    /// Compares an event with those before it.
    fn look_back(&mut self, record: &Record, envelope: &Envelope) -> Option<(Kind, String)> {
        let Some(id) = envelope.event_id else { return self.order.check(record, envelope) };
        let (id, print) = (id.as_uuid(), print(record));
        match self.ids.get_mut(&id.as_u128()) {
            None => {
                self.ids.note(id.as_u128(), print);
                self.order.check(record, envelope)
            }
            Some(before) if *before == print => {
                self.report.repeats += 1;
                None
            }
            Some(_) => {
                Some((Kind::IdReused, format!("its id {id} was on a record with another value")))
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn into_report(self) -> Report {
        self.report
    }
}

fn print(record: &Record) -> Print {
    let digest = Sha256::digest(record.value.as_deref().unwrap_or_default());
    digest[..16].try_into().expect("a hash has 32 bytes")
}
