//! What operators do, as it stands on the topic of audit: written before anything is done.

pub mod chain;
mod mirror;
mod verify;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::OutgoingRecord;
use crate::kafka::producer::SendError;
use crate::names::{EventId, GroupName, TopicName};
use crate::publisher::Publisher;

pub use mirror::{Mirror, MirrorError, Mirrored, mirrored};
pub use verify::{Verified, VerifyError, verify};

/// So many dead letters are named by one record, which is less than half as large as one may be.
const LETTERS_PER_DEED: usize = 10_000;

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
    /// A group goes on from other offsets.
    Reset,
    /// Dead letters that others wrote are sent to the topics that they came from, or to one that was named.
    Redrive,
    /// Something was written about a failure; [`Deed::reason`] has it.
    Note,
    /// What was written about a failure is removed; [`Deed::reason`] has it.
    RemoveNote,
    /// A deed was written and could not be done; [`Deed::reason`] tells why.
    NotDone,
}

impl Action {
    const ALL: [Self; 8] = [
        Self::Replay,
        Self::Discard,
        Self::Restore,
        Self::Reset,
        Self::Redrive,
        Self::Note,
        Self::RemoveNote,
        Self::NotDone,
    ];

    /// Its name, as records say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Restore => "restore",
            Self::Reset => "reset",
            Self::Redrive => "redrive",
            Self::Note => "note",
            Self::RemoveNote => "remove-note",
            Self::NotDone => "not-done",
        }
    }
}

/// The text is no Action's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct NotAction;

impl std::str::FromStr for Action {
    type Err = NotAction;

    fn from_str(text: &str) -> Result<Self, NotAction> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(NotAction)
    }
}

/// From where a group goes on in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetMove {
    /// The group.
    pub group: GroupName,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The committed offset before; `None` where there was none.
    pub from: Option<i64>,
    /// The committed offset from now on.
    pub to: i64,
}

/// Dead letters of others in a partition, and the topic that they are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivenOffsets {
    /// The topic that they are on.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// Their offsets there.
    pub offsets: Vec<i64>,
    /// Where they go.
    pub to: TopicName,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Names it. Replays carry it as [`REPLAY_ID`](crate::headers::REPLAY_ID); a deed of many dead letters is several records of one id.
    pub id: Uuid,
    /// What was decided.
    pub action: Action,
    /// About which dead letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub letters: Vec<Uuid>,
    /// About which offsets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<OffsetMove>,
    /// About which dead letters of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redriven: Vec<RedrivenOffsets>,
    /// About which failure, by its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A deed that is not on the topic of audit, and so was not done.
#[derive(Debug, thiserror::Error)]
#[error(
    "what is to be done could not be written to {topic}, so nothing was done: `event-bus topics apply` makes the topic"
)]
pub struct NotWritten {
    topic: TopicName,
    #[source]
    source: SendError,
}

impl Deed {
    /// What was decided now about dead letters.
    #[must_use]
    pub fn about_letters(
        action: Action,
        letters: Vec<Uuid>,
        by: &str,
        reason: Option<&str>,
    ) -> Self {
        Self { letters, ..Self::now(action, by, reason) }
    }

    /// What was decided now about offsets.
    #[must_use]
    pub fn about_offsets(moves: Vec<OffsetMove>, by: &str, reason: Option<&str>) -> Self {
        Self { moves, ..Self::now(Action::Reset, by, reason) }
    }

    /// What was decided now about dead letters of others.
    #[must_use]
    pub fn about_redriven(redriven: Vec<RedrivenOffsets>, by: &str, reason: Option<&str>) -> Self {
        Self { redriven, ..Self::now(Action::Redrive, by, reason) }
    }

    /// What was written now about a failure, or what is removed.
    #[must_use]
    pub fn about_failure(action: Action, fingerprint: &str, by: &str, text: &str) -> Self {
        Self { failure: Some(fingerprint.to_owned()), ..Self::now(action, by, Some(text)) }
    }

    fn now(action: Action, by: &str, reason: Option<&str>) -> Self {
        let (by, reason, at) = (by.to_owned(), reason.map(str::to_owned), Timestamp::now());
        let (letters, moves, redriven) = (Vec::new(), Vec::new(), Vec::new());
        let failure = None;
        Self { id: Uuid::now_v7(), action, letters, moves, redriven, failure, by, reason, at }
    }

    /// That it could not be done, for those who read that it was to be.
    #[must_use]
    pub fn not_done(&self, why: &str) -> Self {
        Self { id: self.id, ..Self::now(Action::NotDone, &self.by, Some(why)) }
    }

    /// Writes it, and returns once all replicas have it.
    ///
    /// # Errors
    /// When Kafka does not take it.
    pub async fn write(&self, publisher: &Publisher) -> Result<(), NotWritten> {
        let topic = publisher.catalogue().audit_topic();
        for record in self.records(&topic) {
            let sent = publisher.send(record).await;
            sent.map_err(|source| NotWritten { topic: topic.clone(), source })?;
        }
        Ok(())
    }

    /// The records for the topic of audit.
    ///
    /// # Panics
    /// Never: what a deed holds is text.
    #[must_use]
    pub fn records(&self, topic: &TopicName) -> Vec<OutgoingRecord> {
        let of = |letters: &[Uuid], redriven: Option<RedrivenOffsets>| {
            let redriven = redriven.into_iter().collect();
            let part = Self { letters: letters.to_vec(), redriven, ..self.clone() };
            OutgoingRecord::json(topic, self.id, &part, EventId::at(self.at))
        };
        if self.letters.is_empty() && self.redriven.is_empty() {
            return vec![of(&[], None)];
        }
        let letters = self.letters.chunks(LETTERS_PER_DEED).map(|part| of(part, None));
        let redriven = self.redriven.iter().flat_map(|place| {
            let parts = place.offsets.chunks(LETTERS_PER_DEED);
            parts.map(|part| RedrivenOffsets { offsets: part.to_vec(), ..place.clone() })
        });
        letters.chain(redriven.map(|part| of(&[], Some(part)))).collect()
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
            moves: Vec::new(),
            redriven: Vec::new(),
            failure: None,
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

    #[test]
    fn a_deed_about_dead_letters_of_others_is_a_record_for_each_place_and_ten_thousand() {
        let place = |partition, count| RedrivenOffsets {
            topic: "orders-dlt".parse().unwrap(),
            partition,
            offsets: (0..count).collect(),
            to: "orders".parse().unwrap(),
        };
        let deed = Deed::about_redriven(vec![place(0, 10_001), place(3, 2)], "ops", None);
        let records = deed.records(&"shop.event-bus.audit".parse().unwrap());
        let parts = records.iter().map(|record| {
            let part: Deed = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            assert_eq!((part.id, part.action, part.letters.len()), (deed.id, Action::Redrive, 0));
            let [part] = &part.redriven[..] else { panic!() };
            (part.partition, part.offsets.len(), part.offsets.last().copied())
        });
        let expected = [(0, 10_000, Some(9_999)), (0, 1, Some(10_000)), (3, 2, Some(1))];
        assert_eq!(parts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_written_before_dead_letters_of_others_were_redriven_is_read() {
        let old = r#"{"id":"01a225b6-d41a-744e-b78a-9890f6fad460","action":"discard",
            "letters":["98f511d5-62fa-579d-94b2-0cd9999a988b"],"by":"ops","reason":null,"at":"2026-01-02T03:04:05Z"}"#;
        let deed: Deed = serde_json::from_str(old).unwrap();
        assert_eq!((deed.action, deed.letters.len(), deed.redriven.len()), (Action::Discard, 1, 0));
    }

    #[test]
    fn a_deed_about_offsets_is_one_record() {
        let group: GroupName = "shop-payment-order-placed".parse().unwrap();
        let topic: TopicName = "shop.order.placed".parse().unwrap();
        let moves = vec![OffsetMove { group, topic, partition: 3, from: None, to: 17 }];
        let deed = Deed::about_offsets(moves, "ops", Some("a test"));
        let [record] = &deed.records(&"shop.event-bus.audit".parse().unwrap())[..] else {
            panic!()
        };
        assert_eq!(serde_json::from_slice::<Deed>(record.value.as_deref().unwrap()).unwrap(), deed);
    }
}
