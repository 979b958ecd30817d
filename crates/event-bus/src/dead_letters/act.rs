//! What was decided is done.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;
use uuid::Uuid;

use super::{Found, Plan};
use crate::audit::{Action, Deed, NotWritten};
use crate::catalogue::Catalogue;
use crate::consumer::doom_of;
use crate::envelope::OutgoingRecord;
use crate::headers;
use crate::kafka::admin::TopicPartition;
use crate::kafka::producer::{Delivered, SendError};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::publisher::{Publisher, UnderWay};

/// So many records of a replay are on their way at once: what may be produced twice by a replay that is cut off and
/// begun again.
const IN_FLIGHT: usize = 1_000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Names it. A replay's outcomes are reported under it.
    pub id: Uuid,
    /// With how many dead letters. Of a replay: how many records Kafka acknowledged.
    pub letters: u64,
    /// How many can't be replayed, for retention took them meanwhile.
    pub gone: u64,
    /// How many Kafka refuses for good, for they are too large with the headers of a replay.
    pub refused: u64,
}

/// A decision that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The dead letters could not be read once more.
    #[error("the dead letters could not be read")]
    Read(#[from] ReadError),
    /// The decision was not written, and so nothing was done.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// Some are sent, others not. To replay those takes a new replay.
    #[error(
        "{sent} of {letters} replays were sent, then one was not: replay the others again once `dlq restore` has opened them"
    )]
    NotSent {
        /// Those that Kafka acknowledged.
        sent: u64,
        /// All.
        letters: u64,
        /// Why.
        #[source]
        source: SendError,
    },
}

impl Plan<'_> {
    /// Does it. The decision is written first.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn carry_out(
        &self,
        kafka: &KafkaConfig,
        publisher: &Publisher,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Done, ActError> {
        let replays = self.action == Action::Replay;
        let originals =
            if replays { originals(kafka, &self.letters).await? } else { HashMap::new() };
        let is_there = |found: &&&Found| !replays || originals.contains_key(&found.letter.id);
        let there: Vec<&Found> = self.letters.iter().filter(is_there).copied().collect();
        let ids: Vec<Uuid> = there.iter().map(|found| found.letter.id).collect();
        let (letters, gone) = (ids.len() as u64, (self.letters.len() - ids.len()) as u64);
        let deed = Deed::about_letters(self.action, ids, by, reason);
        let done = Done { id: deed.id, letters, gone, refused: 0 };
        if there.is_empty() {
            return Ok(done);
        }
        deed.write(publisher).await?;
        if !replays {
            return Ok(done);
        }
        let records = there.iter().filter_map(|found| {
            let record = originals.get(&found.letter.id)?.clone();
            Some(found.letter.replayed(deed.id, record))
        });
        send(publisher, records, Done { letters: 0, ..done }, letters).await
    }

    /// Those of its dead letters that no handler would see, and why. They would be dead again at once.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn doomed(
        &self,
        kafka: &KafkaConfig,
        catalogue: &Catalogue,
    ) -> Result<Vec<(Uuid, String)>, ReadError> {
        let originals = originals(kafka, &self.letters).await?;
        let doomed = self.letters.iter().filter_map(|found| {
            let doom = found.doom(catalogue, originals.get(&found.letter.id)?)?;
            Some((found.letter.id, doom))
        });
        Ok(doomed.collect())
    }
}

/// Sends records in their order, so many of them at once, and counts what became of them.
pub(super) async fn send(
    publisher: &Publisher,
    records: impl Iterator<Item = OutgoingRecord>,
    mut done: Done,
    letters: u64,
) -> Result<Done, ActError> {
    let mut note = |report: Result<Delivered, SendError>| {
        match report {
            Ok(_) => done.letters += 1,
            Err(SendError::Refused { .. }) => done.refused += 1,
            Err(source) => return Err(ActError::NotSent { sent: done.letters, letters, source }),
        }
        Ok(())
    };
    let mut under_way: VecDeque<UnderWay> = VecDeque::with_capacity(IN_FLIGHT);
    for record in records {
        if under_way.len() == IN_FLIGHT
            && let Some(first) = under_way.pop_front()
        {
            note(first.delivered().await)?;
        }
        match publisher.begin_sealed(&record).await {
            Ok(begun) => under_way.push_back(begun),
            Err(error) => note(Err(error))?,
        }
    }
    for begun in under_way {
        note(begun.delivered().await)?;
    }
    Ok(done)
}

/// The records of dead letters, whose values were not kept. Those that retention took are missing.
///
/// # Errors
/// When Kafka does not answer.
pub async fn originals(
    kafka: &KafkaConfig,
    letters: &[&Found],
) -> Result<HashMap<Uuid, Record>, ReadError> {
    let mut originals = HashMap::new();
    each_original(kafka, letters, |found, record| {
        originals.insert(found.letter.id, record);
    })
    .await?;
    Ok(originals)
}

/// Shows the records of dead letters, one at a time. Those that retention took are missing.
///
/// # Errors
/// When Kafka does not answer.
pub async fn each_original<'a>(
    kafka: &KafkaConfig,
    letters: &[&'a Found],
    mut visit: impl FnMut(&'a Found, Record),
) -> Result<(), ReadError> {
    let mut wanted = HashMap::new();
    let mut starts: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for found in letters {
        let letter = &found.letter;
        let at = TopicPartition {
            topic: letter.dead_letter_topic.clone(),
            partition: letter.dead_letter_partition,
        };
        let start = starts.entry(at.clone()).or_insert(letter.dead_letter_offset);
        *start = letter.dead_letter_offset.min(*start);
        wanted.insert((at, letter.dead_letter_offset), *found);
    }
    if starts.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::start_at(kafka, &starts, Until::CaughtUp).await?;
    while !wanted.is_empty()
        && let Some(records) = reader.next().await?
    {
        for record in records {
            let at = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            if let Some(found) = wanted.remove(&(at, record.offset))
                && is_of(&record, found.letter.id)
            {
                visit(found, record);
            }
        }
    }
    Ok(())
}

/// Whether a record is this dead letter. Where a topic was made anew, another one stands in its place.
pub(super) fn is_of(record: &Record, letter: Uuid) -> bool {
    headers::last(&record.headers, headers::DLQ_ID).and_then(|id| id.parse().ok()) == Some(letter)
}

impl Found {
    /// The record of the dead letter, with its value; `None` where retention took it.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn record(&self, kafka: &KafkaConfig) -> Result<Option<Record>, ReadError> {
        Ok(originals(kafka, &[self]).await?.remove(&self.letter.id))
    }

    /// Why no handler would see it, judged as its consumer would judge its record.
    #[must_use]
    pub fn doom(&self, catalogue: &Catalogue, record: &Record) -> Option<String> {
        let event = catalogue.event_of_topic(self.letter.topic.as_str())?;
        let mut original = record.clone();
        original.headers.retain(|header| !header.is_added());
        doom_of(&original, event).map(|cause| cause.message)
    }
}
