//! What is decided about dead letters, and done.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Found, State};
use crate::audit::{Action, Deed, NotWritten};
use crate::catalogue::Catalogue;
use crate::envelope::{Envelope, OutgoingRecord};
use crate::kafka::admin::Position;
use crate::kafka::producer::{ConnectError, OnDelivery, Producer, SendError};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::replay::{Original, Replay};

/// So many records of a replay are on their way at once: what may be produced twice by a replay that is cut off and
/// begun again.
const IN_FLIGHT: usize = 1_000;
/// The wait before a record is offered again to a producer that has too much to do.
const FULL: Duration = Duration::from_millis(5);

/// Why a dead letter is not replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It is being replayed.
    #[error("is being replayed: its group has not told the outcome")]
    Replaying,
    /// It took effect.
    #[error("is resolved")]
    Resolved,
    /// There is a newer one.
    #[error("died again: replay the newer dead letter")]
    DeadAgain,
    /// Somebody discarded it.
    #[error("is discarded: `event-bus dlq restore` takes that back")]
    Discarded,
    /// Nobody would handle it.
    #[error("is of a consumer group that the catalogue does not have on its topic")]
    NoConsumer,
}

/// What a replay would do.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// What goes back, in this order.
    pub letters: Vec<&'a Found>,
    /// What does not, and why.
    pub refused: BTreeMap<Refusal, u64>,
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Names it.
    pub id: Uuid,
    /// How many records Kafka acknowledged.
    pub sent: u64,
    /// How many are gone: retention took them meanwhile.
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
    /// No producer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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

impl Replayed {
    /// Counts a report. One that is no refusal of the record itself ends the replay.
    fn note(&mut self, report: Result<(), SendError>, letters: u64) -> Result<(), ActError> {
        match report {
            Ok(()) => self.sent += 1,
            Err(SendError::Refused { .. }) => self.refused += 1,
            Err(source) => return Err(ActError::NotSent { sent: self.sent, letters, source }),
        }
        Ok(())
    }
}

impl<'a> Plan<'a> {
    /// What a replay of these would do. Those of one partition go back in the order in which they died there; those of a
    /// parked key by their places in its chain.
    #[must_use]
    pub fn of(catalogue: &Catalogue, letters: impl IntoIterator<Item = &'a Found>) -> Self {
        let mut plan = Self::default();
        for found in letters {
            match refusal(catalogue, found) {
                Some(refusal) => *plan.refused.entry(refusal).or_default() += 1,
                None => plan.letters.push(found),
            }
        }
        plan.letters.sort_by_key(|found| {
            let letter = &found.letter;
            (&letter.topic, letter.partition, letter.chain_seq, letter.offset)
        });
        plan
    }

    /// Sends them back to the groups that could not handle them. The decision is written first.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn replay(
        &self,
        kafka: &KafkaConfig,
        catalogue: &Catalogue,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Replayed, ActError> {
        let originals = self.originals(kafka).await?;
        let producer = Producer::connect(kafka)?;
        let there = self.letters.iter().filter(|found| originals.contains_key(&found.letter.id));
        let there: Vec<&Found> = there.copied().collect();
        let letters: Vec<Uuid> = there.iter().map(|found| found.letter.id).collect();
        let (all, total) = (self.letters.len() as u64, letters.len() as u64);
        let deed = Deed::about_letters(Action::Replay, letters, by, reason);
        let mut replayed = Replayed { id: deed.id, sent: 0, gone: all - total, refused: 0 };
        if there.is_empty() {
            return Ok(replayed);
        }
        deed.write(&producer, &catalogue.audit_topic()).await?;
        let (reports, mut reported) = mpsc::unbounded_channel();
        let mut on_the_way = 0;
        let records = there.iter().filter_map(|found| {
            let letter = &found.letter;
            let record = originals.get(&letter.id)?;
            let replay = Replay {
                id: deed.id,
                of: letter.id,
                group: letter.group.clone(),
                event_id: letter.event_id,
                chain_seq: letter.chain_seq,
            };
            let original = Original {
                topic: letter.topic.clone(),
                partition: letter.partition,
                key: record.key.clone(),
                value: record.value.clone(),
                headers: record.headers.clone(),
            };
            Some(replay.record(original))
        });
        for record in records {
            while on_the_way >= IN_FLIGHT {
                on_the_way -= 1;
                replayed.note(reported.recv().await.unwrap_or(Err(SendError::Gone)), total)?;
            }
            match hand_over(&producer, &record, &reports).await {
                Ok(()) => on_the_way += 1,
                refused => replayed.note(refused, total)?,
            }
        }
        drop(reports);
        while let Some(report) = reported.recv().await {
            replayed.note(report, total)?;
        }
        Ok(replayed)
    }

    /// Those that would be dead at once, for they are no envelopes or break their schemas, and why.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn unusable(
        &self,
        kafka: &KafkaConfig,
        catalogue: &Catalogue,
    ) -> Result<BTreeMap<Uuid, String>, ReadError> {
        let originals = self.originals(kafka).await?;
        let problems = originals.iter().filter_map(|(id, record)| {
            schema_problem(catalogue, record).map(|problem| (*id, problem))
        });
        Ok(problems.collect())
    }

    /// The records of the dead letters, whose values were not kept.
    async fn originals(&self, kafka: &KafkaConfig) -> Result<HashMap<Uuid, Record>, ReadError> {
        let mut wanted = HashMap::new();
        let mut topics = Vec::new();
        for found in &self.letters {
            let letter = &found.letter;
            let place = (
                letter.dead_letter_topic.clone(),
                letter.dead_letter_partition,
                letter.dead_letter_offset,
            );
            if !topics.contains(&place.0) {
                topics.push(place.0.clone());
            }
            wanted.insert(place, letter.id);
        }
        let mut originals = HashMap::new();
        if topics.is_empty() {
            return Ok(originals);
        }
        let mut reader = Reader::start(kafka, &topics, Position::Start, Until::CaughtUp).await?;
        while originals.len() < wanted.len()
            && let Some(records) = reader.next().await?
        {
            for record in records {
                let place = (record.topic.clone(), record.partition, record.offset);
                if let Some(id) = wanted.get(&place) {
                    originals.insert(*id, record);
                }
            }
        }
        Ok(originals)
    }
}

impl Found {
    /// The record of the dead letter, with its value.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn record(&self, kafka: &KafkaConfig) -> Result<Option<Record>, ReadError> {
        let plan = Plan { letters: vec![self], refused: BTreeMap::new() };
        Ok(plan.originals(kafka).await?.remove(&self.letter.id))
    }
}

/// Writes that dead letters are discarded, or that they are not any more.
///
/// # Errors
/// When Kafka does not take it.
pub async fn decide(
    kafka: &KafkaConfig,
    catalogue: &Catalogue,
    action: Action,
    letters: Vec<Uuid>,
    by: &str,
    reason: Option<&str>,
) -> Result<(), ActError> {
    let producer = Producer::connect(kafka)?;
    let deed = Deed::about_letters(action, letters, by, reason);
    Ok(deed.write(&producer, &catalogue.audit_topic()).await?)
}

fn refusal(catalogue: &Catalogue, found: &Found) -> Option<Refusal> {
    match found.state {
        State::Open => {
            let letter = &found.letter;
            let event = catalogue.event_of_topic(letter.topic.as_str());
            let is_consumed = event.is_some_and(|event| {
                event.consumers.iter().any(|consumer| consumer.group == letter.group)
            });
            (!is_consumed).then_some(Refusal::NoConsumer)
        }
        State::Replaying { .. } => Some(Refusal::Replaying),
        State::Resolved { .. } => Some(Refusal::Resolved),
        State::DeadAgain => Some(Refusal::DeadAgain),
        State::Discarded => Some(Refusal::Discarded),
    }
}

async fn hand_over(
    producer: &Producer,
    record: &OutgoingRecord,
    reports: &mpsc::UnboundedSender<Result<(), SendError>>,
) -> Result<(), SendError> {
    loop {
        let reports = reports.clone();
        let report = OnDelivery::Run(Box::new(move |result| {
            // Who has given up does not listen.
            drop(reports.send(result.map(drop)));
        }));
        match producer.send(record, report) {
            Ok(()) => return Ok(()),
            Err((SendError::QueueFull, _)) => tokio::time::sleep(FULL).await,
            Err((error, _)) => return Err(error),
        }
    }
}

/// Whether a record's payload is what its schema says, in words where it is not.
#[must_use]
pub fn schema_problem(catalogue: &Catalogue, record: &Record) -> Option<String> {
    let envelope = match Envelope::parse(record.value.as_deref().unwrap_or_default()) {
        Ok(envelope) => envelope,
        Err(error) => return Some(error.to_string()),
    };
    let event = catalogue.event(envelope.event.as_ref())?;
    let schema = match event.schema_for(&envelope.version) {
        Ok(schema) => schema,
        Err(error) => return Some(error.to_string()),
    };
    let violations = schema.check(&envelope.payload).err()?;
    Some(violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
