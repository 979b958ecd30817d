//! What operators decide about dead letters, as it stands on the topic of audit.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::OutgoingRecord;
use crate::headers::{self, Header};
use crate::names::{EventId, TopicName};

/// So many dead letters are named by one record: their ids fill half of the largest record.
pub(super) const LETTERS_PER_DEED: usize = 10_000;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// They go back to the groups that could not handle them.
    Replay,
    /// Nothing is to be done about them.
    Discard,
    /// Something is to be done after all.
    Restore,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Names it. Replays carry it as [`headers::REPLAY_ID`]; a deed of many dead letters is several records of one id.
    pub id: Uuid,
    /// What was decided.
    pub action: Action,
    /// Of which dead letters.
    pub letters: Vec<Uuid>,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Deed {
    /// The records for the topic of audit.
    ///
    /// # Panics
    /// Never: what a deed holds is text.
    #[must_use]
    pub fn records(&self, topic: &TopicName) -> Vec<OutgoingRecord> {
        let of = |letters: &[Uuid]| {
            let part = Self { letters: letters.to_vec(), ..self.clone() };
            let value = serde_json::to_vec(&part).expect("text is serialised");
            OutgoingRecord {
                topic: topic.clone(),
                partition: None,
                key: Some(Bytes::from(self.id.to_string())),
                value: Some(Bytes::from(value)),
                headers: vec![Header::text(headers::CONTENT_TYPE, headers::CONTENT_TYPE_VALUE)],
                event_id: EventId::at(self.at),
            }
        };
        self.letters.chunks(LETTERS_PER_DEED).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_of_many_letters_is_several_records_that_are_read_again() {
        let deed = Deed {
            id: Uuid::from_u128(1),
            action: Action::Discard,
            letters: (0..LETTERS_PER_DEED as u128 + 1).map(Uuid::from_u128).collect(),
            by: "ops".to_owned(),
            reason: Some("a test".to_owned()),
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        let records = deed.records(&"shop.event-bus.audit".parse().unwrap());
        let read = records.iter().map(|record| {
            serde_json::from_slice::<Deed>(record.value.as_deref().unwrap()).unwrap()
        });
        let read: Vec<Deed> = read.collect();
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|part| part.id == deed.id && part.action == deed.action));
        assert_eq!(
            read.into_iter().flat_map(|part| part.letters).collect::<Vec<_>>(),
            deed.letters
        );
    }
}
