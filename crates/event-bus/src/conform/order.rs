//! Whether the events of a key come in order.
//!
//! The order that counts is the one in which the publisher's transactions committed, and no record tells that. What tells
//! something are ids of version 7, which hold when they were made, `occurred_at`, and numbers in the payload that are said
//! to go up.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::Kind;
use super::recent::{KEYS_REMEMBERED, Recent};
use crate::envelope::Envelope;
use crate::kafka::Record;
use crate::names::EventName;

/// A number in an event's payload that never goes down for a key: `BrandCatalogUpdated=/catalog_version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The event.
    pub event: EventName,
    /// JSON pointer into the payload.
    pub pointer: String,
}

/// A text that is no [`Sequence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "want an event and a JSON pointer into its payload, such as BrandCatalogUpdated=/catalog_version"
)]
pub struct NotSequence;

impl FromStr for Sequence {
    type Err = NotSequence;

    fn from_str(text: &str) -> Result<Self, NotSequence> {
        let (event, pointer) = text.split_once('=').ok_or(NotSequence)?;
        let event = event.parse().map_err(|_| NotSequence)?;
        let pointer = pointer.starts_with('/').then(|| pointer.to_owned()).ok_or(NotSequence)?;
        Ok(Self { event, pointer })
    }
}

/// The latest that was seen of a key.
#[derive(Clone, Copy, Debug)]
struct Latest {
    /// When the newest id of version 7 was made.
    made_ms: Option<u64>,
    occurred_at: Timestamp,
    number: Option<i64>,
}

/// The latest of each key.
#[derive(Debug)]
pub(super) struct Order {
    keys: Recent<u64, Latest>,
    sequences: Vec<Sequence>,
    /// By how much the clocks of a service's replicas may differ.
    slack: Duration,
}

impl Order {
    pub(super) fn new(sequences: Vec<Sequence>, slack: Duration) -> Self {
        Self { keys: Recent::of(KEYS_REMEMBERED), sequences, slack }
    }

    /// What is wrong with the place of an event behind those of its key that came before.
    pub(super) fn check(&mut self, record: &Record, envelope: &Envelope) -> Option<(Kind, String)> {
        let now = Latest {
            made_ms: made_ms(envelope),
            occurred_at: envelope.occurred_at,
            number: self.number(envelope),
        };
        // Without a key, the records of a partition are one sequence.
        let mut hash = DefaultHasher::new();
        let lane = record.key.is_none().then_some(record.partition);
        (&record.topic, &record.key, lane).hash(&mut hash);
        let key = hash.finish();
        let Some(latest) = self.keys.get_mut(&key) else {
            self.keys.note(key, now);
            return None;
        };
        let before = *latest;
        *latest = Latest {
            made_ms: before.made_ms.max(now.made_ms),
            occurred_at: before.occurred_at.max(now.occurred_at),
            number: before.number.max(now.number),
        };
        self.compared(before, now)
    }

    fn compared(&self, before: Latest, now: Latest) -> Option<(Kind, String)> {
        if let (Some(before), Some(now)) = (before.number, now.number)
            && now < before
        {
            let what = format!("the number of its sequence is {now}, and was {before} before");
            return Some((Kind::OrderBroken, what));
        }
        if let (Some(before), Some(now)) = (before.made_ms, now.made_ms)
            && now < before
        {
            let earlier = Duration::from_millis(before - now);
            let kind = if earlier > self.slack { Kind::OrderBroken } else { Kind::OrderDoubtful };
            let what = format!(
                "its id was made {earlier:?} earlier than that of an event of its key before it"
            );
            return Some((kind, what));
        }
        (now.occurred_at < before.occurred_at).then(|| {
            let (now, before) = (now.occurred_at, before.occurred_at);
            let what =
                format!("it occurred at {now}, and an event of its key before it at {before}");
            (Kind::OrderDoubtful, what)
        })
    }

    fn number(&self, envelope: &Envelope) -> Option<i64> {
        let sequence = self.sequences.iter().find(|sequence| sequence.event == envelope.event)?;
        envelope.payload.to_value().pointer(&sequence.pointer)?.as_i64()
    }
}

/// The milliseconds since 1970 that an id of version 7 begins with.
fn made_ms(envelope: &Envelope) -> Option<u64> {
    let id = envelope.event_id?.as_uuid();
    (id.get_version_num() == 7).then(|| id.as_u64_pair().0 >> 16)
}
