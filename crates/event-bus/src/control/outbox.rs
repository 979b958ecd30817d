//! What operators ask relays about their outboxes, and have them do about rows that can never be sent as they are.
//!
//! An ops process has no service's database. A relay has one, in its service or alone, and answers for it: with numbers and
//! with the first rows that are set aside, never with what an event says. A deed is asked of one relay by its id, so that of
//! several on a database one does it; and it names row and event, so that what was done already is not done again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::Message;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::Position;
use crate::kafka::producer::SendError;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::{ServiceName, TopicName};
use crate::publisher::Publisher;

/// How long it may take until the question is on the topic.
const ASKS: Duration = Duration::from_secs(10);
/// How long a relay may take for what it is to do: the database may have to wait for others.
const DOES: Duration = Duration::from_secs(20);
/// Once all are there that are waited for, other relays have this long.
const OTHERS: Duration = Duration::from_millis(250);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names it.
    pub id: Uuid,
    /// Whose relays are meant; all where there is none.
    pub service: Option<ServiceName>,
    /// The only relay that is to do it.
    pub relay: Option<Uuid>,
    /// Who asks.
    pub by: String,
    /// What.
    pub what: What,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// To tell how the outbox is.
    Look {
        /// And so many of its quarantined rows.
        rows: u32,
    },
    /// To send a quarantined row again, and what waits behind it.
    Retry {
        /// The row.
        row: i64,
        /// Its event.
        event_id: String,
    },
    /// Never to send a quarantined row, and to let what waits behind it go.
    Discard {
        /// The row.
        row: i64,
        /// Its event.
        event_id: String,
        /// Why. It is kept with the row, and so is who asks.
        reason: String,
    },
}

/// What a relay says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub id: Uuid,
    /// Whose outbox it is.
    pub service: ServiceName,
    /// Names the relay, from its start to its end.
    pub relay: Uuid,
    /// What it says.
    pub told: Told,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// How the outbox is.
    State(Box<OutboxState>),
    /// It is done.
    Lifted {
        /// So many rows may be sent now.
        rows: u64,
    },
    /// Why it is not done.
    Refused(String),
}

/// How an outbox is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxState {
    /// Rows that are to be sent, those behind quarantined ones included: see
    /// [`Store::outbox_pending`](crate::store::Store::outbox_pending).
    pub pending: u64,
    /// How long the first of them has waited, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Rows that can never be sent as they are.
    pub quarantined: u64,
    /// Rows that somebody decided never to send.
    pub discarded: u64,
    /// Who holds which shard.
    pub leases: Vec<LeaseHeld>,
    /// Rows that Kafka acknowledged to this relay.
    pub published: u64,
    /// From when on it has counted them.
    pub since: Timestamp,
    /// The first quarantined rows, as far as they were asked for, and no more than a hundred.
    pub rows: Vec<OutboxRow>,
}

/// A lease that has not expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHeld {
    /// Of which shard.
    pub shard: i32,
    /// The relay that holds it.
    pub relay: Uuid,
}

/// A quarantined row, without its value and what may be personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Its id. Whatever is decided, it gets another one or none.
    pub id: i64,
    /// The event's id.
    pub event_id: String,
    /// Where it was to go.
    pub topic: String,
    /// The begin of its key, or a mask where that is personal.
    pub key: Option<String>,
    /// The tenant that its header names.
    pub tenant: Option<String>,
    /// Why it can't be sent, at most the begin.
    pub error: String,
    /// When it was written, where that can be read.
    pub since: Option<Timestamp>,
}

/// Why nothing came of a question.
#[derive(Debug, thiserror::Error)]
pub enum AskOutboxError {
    /// The topic could not be read.
    #[error("the topic of commands could not be read")]
    Read(#[from] ReadError),
    /// The question could not be sent.
    #[error("the topic of commands could not be written")]
    Send(#[from] SendError),
    /// Kafka took too long.
    #[error("Kafka did not take a question within {}s", ASKS.as_secs())]
    Slow,
    /// Nobody is there.
    #[error(
        "no relay of {service} answered within {} ms: start its service or `event-bus relay --service {service}`, or see its log. \
         Nothing was done", within.as_millis()
    )]
    NoRelay {
        /// Whose outbox.
        service: ServiceName,
        /// How long was waited.
        within: Duration,
    },
    /// Who was asked has not said what came of it.
    #[error(
        "the relay of {service} did not say within {}s what came of it, so it may be done: look again", DOES.as_secs()
    )]
    Silent {
        /// Whose outbox.
        service: ServiceName,
    },
    /// The relay refused.
    #[error("the relay of {service} refused: {reason}")]
    Refused {
        /// Whose outbox.
        service: ServiceName,
        /// Why.
        reason: String,
    },
}

/// Asks relays.
#[derive(Debug)]
pub struct OutboxAsker<'a> {
    by: String,
    topic: TopicName,
    publisher: &'a Publisher,
    reader: Reader,
    /// Answers that were read and nobody took yet.
    read: VecDeque<Answer>,
}

impl<'a> OutboxAsker<'a> {
    /// In the name of an operator.
    ///
    /// # Errors
    /// When the topic of commands can't be read, or not in time.
    pub async fn new(
        by: impl Into<String>,
        kafka: &KafkaConfig,
        publisher: &'a Publisher,
    ) -> Result<Self, AskOutboxError> {
        let topic = publisher.catalogue().commands_topic();
        // Before the first question, so that no answer is missed.
        let topics = std::slice::from_ref(&topic);
        let started = Reader::start(kafka, topics, Position::End, Until::Stopped);
        let reader = timeout(ASKS, started).await.map_err(|_| AskOutboxError::Slow)??;
        Ok(Self { by: by.into(), topic, publisher, reader, read: VecDeque::new() })
    }

    /// How outboxes are: all answers that come until each of these services has answered, and whoever holds a lease, and a
    /// little longer for relays that hold none; or until the time is over. A service of which there is none did not answer. Of
    /// more than one service no rows are told.
    ///
    /// # Errors
    /// When the question can't be sent, or the topic not be read.
    pub async fn look(
        &mut self,
        services: &[ServiceName],
        rows: u32,
        within: Duration,
    ) -> Result<Vec<Answer>, AskOutboxError> {
        let (service, rows) = match services {
            [] => return Ok(Vec::new()),
            [service] => (Some(service.clone()), rows),
            _ => (None, 0),
        };
        let asked = self.send(service, None, What::Look { rows }).await?;
        let mut missing: BTreeSet<&ServiceName> = services.iter().collect();
        let (mut holders, mut answered) = (BTreeSet::new(), BTreeSet::new());
        let (mut answers, mut until) = (Vec::new(), Instant::now() + within);
        while let Some(answer) = self.next(asked, until).await? {
            if !services.contains(&answer.service) {
                continue;
            }
            missing.remove(&answer.service);
            answered.insert(answer.relay);
            if let Told::State(state) = &answer.told {
                holders.extend(state.leases.iter().map(|lease| lease.relay));
            }
            answers.push(answer);
            if missing.is_empty() && holders.is_subset(&answered) {
                until = until.min(Instant::now() + OTHERS);
            }
        }
        Ok(answers)
    }

    /// Has one relay of the service do it, which says how many rows may be sent now.
    ///
    /// # Errors
    /// When none is there or the one refuses, both of which is before anything is done, and when it does not say what came
    /// of it.
    pub async fn lift(
        &mut self,
        service: &ServiceName,
        what: What,
        within: Duration,
    ) -> Result<u64, AskOutboxError> {
        let asked = self.send(Some(service.clone()), None, What::Look { rows: 0 }).await?;
        let first = self.next(asked, Instant::now() + within).await?;
        let none = || AskOutboxError::NoRelay { service: service.clone(), within };
        let relay = first.ok_or_else(none)?.relay;
        let asked = self.send(Some(service.clone()), Some(relay), what).await?;
        let refused = |reason| AskOutboxError::Refused { service: service.clone(), reason };
        match self.next(asked, Instant::now() + DOES).await?.map(|answer| answer.told) {
            Some(Told::Lifted { rows }) => Ok(rows),
            Some(Told::Refused(reason)) => Err(refused(reason)),
            Some(Told::State(_)) => {
                Err(refused("it answers another question, as one of another version".to_owned()))
            }
            None => Err(AskOutboxError::Silent { service: service.clone() }),
        }
    }

    async fn send(
        &self,
        service: Option<ServiceName>,
        relay: Option<Uuid>,
        what: What,
    ) -> Result<Uuid, AskOutboxError> {
        let id = Uuid::now_v7();
        let question =
            Message::AsksOutbox(Question { id, service, relay, by: self.by.clone(), what });
        let sent = self.publisher.send(question.record(&self.topic, id));
        timeout(ASKS, sent).await.map_err(|_| AskOutboxError::Slow)??;
        Ok(id)
    }

    /// The next answer to this question; nothing once the time is over.
    async fn next(
        &mut self,
        asked: Uuid,
        until: Instant,
    ) -> Result<Option<Answer>, AskOutboxError> {
        loop {
            while let Some(answer) = self.read.pop_front() {
                if answer.id == asked {
                    return Ok(Some(answer));
                }
            }
            let Ok(records) = timeout_at(until, self.reader.next()).await else { return Ok(None) };
            let Some(records) = records? else { return Ok(None) };
            let messages =
                records.into_iter().filter_map(|record| Message::read(record.value.as_deref()));
            self.read.extend(messages.filter_map(|message| match message {
                Message::AnswersOutbox(answer) => Some(answer),
                Message::Asks(_) | Message::Answers(_) | Message::AsksOutbox(_) => None,
            }));
        }
    }
}
