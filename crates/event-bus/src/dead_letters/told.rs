//! What one record of the topics tells of dead letters. Pure.

use super::Letter;
use crate::audit::Deed;
use crate::audit::chain::Link;
use crate::catalogue::Catalogue;
use crate::kafka::Record;
use crate::names::TopicName;
use crate::replay::OutcomeReport;

/// The topics that tell of the dead letters of a catalogue.
pub(super) struct Sources {
    outcomes: TopicName,
    audit: TopicName,
    letters: Vec<TopicName>,
}

/// What a record tells.
pub(super) enum Told {
    Letter(Box<Letter>),
    Deed(Deed),
    Outcome(OutcomeReport),
    /// A row of an ops process's audit, which decides nothing.
    Audited,
}

impl Sources {
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let letters = catalogue.events().map(|event| event.dead_letter_topic.clone());
        Self {
            outcomes: catalogue.outcomes_topic(),
            audit: catalogue.audit_topic(),
            letters: letters.collect(),
        }
    }

    /// What tells of decisions and outcomes.
    pub(super) fn of_decisions(&self) -> [&TopicName; 2] {
        [&self.outcomes, &self.audit]
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &TopicName> {
        self.letters.iter().chain(self.of_decisions())
    }

    /// What a record of these topics tells, or in words that it is none of the bus's.
    pub(super) fn read(&self, record: &Record) -> Result<Told, String> {
        let value = record.value.as_deref().unwrap_or_default();
        let told = if record.topic == self.audit {
            match serde_json::from_slice(value) {
                Err(_) if serde_json::from_slice::<Link>(value).is_ok() => Ok(Told::Audited),
                deed => deed.map(Told::Deed),
            }
        } else if record.topic == self.outcomes {
            serde_json::from_slice(value).map(Told::Outcome)
        } else {
            return Letter::read(record)
                .map(|letter| Told::Letter(letter.into()))
                .map_err(|error| error.to_string());
        };
        told.map_err(|error| {
            format!(
                "the record at offset {} of partition {} of {} is none of the bus's: {error}",
                record.offset, record.partition, record.topic
            )
        })
    }
}
