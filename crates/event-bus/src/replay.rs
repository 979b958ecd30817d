//! Replays: a dead letter on its way back to the group that could not handle it, and what became of it. Pure.
//!
//! A replay is the original's key, value and headers on the original's topic and partition, with headers that say which
//! dead letter it is of and for which group. Other groups pass it over. It may be produced more than once: the dead row of
//! the inbox is claimed once (`store::inbox`).

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::OutgoingRecord;
use crate::headers::{self, Header};
use crate::names::{EventId, GroupName, ServiceName, TopicName, derived_id};

/// What the headers of a replay say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Names the replay that an operator asked for.
    pub id: Uuid,
    /// The dead letter that it is of ([`headers::DLQ_ID`]).
    pub of: Uuid,
    /// The only group that is to handle it.
    pub group: GroupName,
    /// The id of the event, which the inbox knows it by.
    pub event_id: EventId,
    /// Its place among the dead letters of its parked key, from 1.
    pub chain_seq: Option<i64>,
}

/// A dead letter, as far as its replay needs it.
#[derive(Clone, Debug)]
pub struct Original {
    /// Where it was read from.
    pub topic: TopicName,
    /// The partition of it.
    pub partition: i32,
    /// The original key.
    pub key: Option<Bytes>,
    /// The original value, or an edited one.
    pub value: Option<Bytes>,
    /// The headers of the dead letter; those that dead-lettering added are left out of the replay.
    pub headers: Vec<Header>,
}

impl Replay {
    /// Reads the headers of a record; `None` where it is no replay, or not all of them can be read.
    #[must_use]
    pub fn read(record: &[Header]) -> Option<Self> {
        let id = headers::last(record, headers::REPLAY_ID)?.parse().ok()?;
        Some(Self {
            id,
            of: headers::last(record, headers::REPLAY_OF)?.parse().ok()?,
            group: headers::last(record, headers::REPLAY_FOR)?.parse().ok()?,
            event_id: headers::last(record, headers::EVENT_ID)?.parse().ok()?,
            chain_seq: headers::last(record, headers::REPLAY_CHAIN_SEQ)
                .and_then(|seq| seq.parse().ok()),
        })
    }

    /// The record that replays `original`.
    #[must_use]
    pub fn record(&self, original: Original) -> OutgoingRecord {
        let replays = headers::last(&original.headers, headers::DLQ_REPLAYS)
            .and_then(|count| count.parse::<u32>().ok());
        let mut list: Vec<Header> =
            original.headers.into_iter().filter(|header| !header.is_added()).collect();
        list.extend([
            Header::text(headers::REPLAY_ID, self.id.to_string()),
            Header::text(headers::REPLAY_OF, self.of.to_string()),
            Header::text(headers::REPLAY_FOR, self.group.to_string()),
            Header::text(headers::EVENT_ID, self.event_id.to_string()),
            Header::text(headers::DLQ_REPLAYS, replays.unwrap_or(0).saturating_add(1).to_string()),
        ]);
        list.extend(
            self.chain_seq.map(|seq| Header::text(headers::REPLAY_CHAIN_SEQ, seq.to_string())),
        );
        OutgoingRecord {
            topic: original.topic,
            partition: Some(original.partition),
            key: original.key,
            value: original.value,
            headers: list,
            event_id: self.event_id,
        }
    }
}

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its effect is committed.
    Processed,
    /// The event had its effect before, or another replay of the dead letter came first.
    Duplicate,
    /// It died again: a new dead letter says why.
    DeadAgain,
    /// Its key is parked, and it is another dead letter's turn. Nothing was done.
    OutOfTurn,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Processed, Self::Duplicate, Self::DeadAgain, Self::OutOfTurn];

    /// Its name, as records say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Duplicate => "duplicate",
            Self::DeadAgain => "dead-again",
            Self::OutOfTurn => "out-of-turn",
        }
    }
}

/// The text is no Outcome's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct NotOutcome;

impl std::str::FromStr for Outcome {
    type Err = NotOutcome;

    fn from_str(text: &str) -> Result<Self, NotOutcome> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(NotOutcome)
    }
}

/// What a service reports of a replay on the topic of outcomes, in the transaction of what it reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeReport {
    /// [`Replay::id`].
    pub replay_id: Uuid,
    /// [`Replay::of`].
    pub dlq_id: Uuid,
    /// The group that it was for.
    pub group: GroupName,
    /// The group's service.
    pub service: ServiceName,
    /// The event.
    pub event_id: EventId,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was.
    pub at: Timestamp,
}

impl OutcomeReport {
    /// Of a replay of the service's group.
    #[must_use]
    pub fn of(replay: &Replay, service: &ServiceName, outcome: Outcome, at: Timestamp) -> Self {
        Self {
            replay_id: replay.id,
            dlq_id: replay.of,
            group: replay.group.clone(),
            service: service.clone(),
            event_id: replay.event_id,
            outcome,
            at,
        }
    }

    /// The record for the topic of outcomes ([`Catalogue::outcomes_topic`](crate::Catalogue::outcomes_topic)). What is
    /// reported of one dead letter keeps its order.
    ///
    /// # Panics
    /// Never: names, times and ids are text.
    #[must_use]
    pub fn record(&self, topic: &TopicName) -> OutgoingRecord {
        let parts = [self.replay_id.to_string(), self.dlq_id.to_string(), self.at.to_string()];
        let id = derived_id(&parts.each_ref().map(String::as_str));
        let id = id.try_into().expect("a derived id is not nil");
        OutgoingRecord::json(topic, self.dlq_id, self, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay() -> Replay {
        Replay {
            id: Uuid::from_u128(1),
            of: Uuid::from_u128(2),
            group: "shop-payment-order-placed".parse().unwrap(),
            event_id: "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap(),
            chain_seq: Some(3),
        }
    }

    fn original(headers: Vec<Header>) -> Original {
        let topic = "shop.order.placed".parse().unwrap();
        let (key, value) = (Some(Bytes::from_static(b"k")), Some(Bytes::from_static(b"{}")));
        Original { topic, partition: 4, key, value, headers }
    }

    #[test]
    fn a_replay_is_the_original_with_headers_that_are_read_again() {
        let kept = vec![Header::text("a", "1"), Header { name: "b".into(), value: None }];
        let mut letter = kept.clone();
        letter.push(Header::text(headers::DLQ_REASON, "rejected"));
        letter.push(Header::text(headers::DLQ_REPLAYS, "1"));
        letter.push(Header::text(headers::REPLAY_FOR, "an-earlier-one"));
        let record = replay().record(original(letter));
        assert_eq!(record.headers[..2], kept);
        assert_eq!((record.partition, record.key.as_deref()), (Some(4), Some(&b"k"[..])));
        assert_eq!(Replay::read(&record.headers), Some(replay()));
        assert_eq!(headers::last(&record.headers, headers::DLQ_REPLAYS), Some("2"));
        assert_eq!(headers::last(&record.headers, headers::DLQ_REASON), None);
    }

    #[test]
    fn a_record_without_all_of_the_headers_is_no_replay() {
        let record = replay().record(original(Vec::new()));
        for missing in [headers::REPLAY_ID, headers::REPLAY_OF, headers::REPLAY_FOR] {
            let rest = record.headers.iter().filter(|header| header.name != missing).cloned();
            assert_eq!(Replay::read(&rest.collect::<Vec<_>>()), None, "{missing}");
        }
    }

    #[test]
    fn what_is_reported_is_read_again() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let report =
            OutcomeReport::of(&replay(), &"payment".parse().unwrap(), Outcome::DeadAgain, at);
        let record = report.record(&"shop.event-bus.outcomes".parse().unwrap());
        let read: OutcomeReport = serde_json::from_slice(&record.value.unwrap()).unwrap();
        assert_eq!(read, report);
    }
}
