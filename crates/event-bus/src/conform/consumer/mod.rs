//! Whether a running consumer, whatever it is written in, keeps to the contract: it is sent good events, duplicates, junk,
//! poison and replays, and its effects and dead letters are looked at.

mod cases;
mod drive;
mod letter;
mod round;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::catalogue::{Catalogue, Subscription};
use crate::kafka::KafkaConfig;
use crate::kafka::admin::AdminError;
use crate::kafka::producer::{ConnectError, SendError};
use crate::kafka::reader::ReadError;
use crate::names::{EventName, GroupName, TopicName};

pub use drive::drive;

/// What a consumer is tried with.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// Where its topics are.
    pub kafka: &'a KafkaConfig,
    /// Its contract.
    pub catalogue: &'a Catalogue,
    /// What it consumes.
    pub subscription: Subscription<'a>,
    /// A payload that it handles, as JSON; without one the payload of the catalogue's sample.
    pub payload: Option<String>,
    /// A payload that obeys the schema and that its handler fails at, each time.
    pub poison: Option<String>,
    /// How long it may take for what is waited for.
    pub within: Duration,
    /// Whether its topics may hold records that this trial did not write.
    pub used_topics: bool,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What was to happen, as a sentence without its full stop.
    pub what: &'static str,
    /// What did.
    pub verdict: Verdict,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "kebab-case")]
pub enum Verdict {
    /// As it was to.
    Passed,
    /// Otherwise; each thing that was wrong.
    Failed(Vec<String>),
    /// It could not be tried.
    NotTried(String),
}

impl Verdict {
    fn of(faults: Vec<String>) -> Self {
        if faults.is_empty() { Self::Passed } else { Self::Failed(faults) }
    }
}

/// Why effects can't be counted.
pub type ProbeError = Box<dyn std::error::Error + Send + Sync>;

/// A trial that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No client could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Kafka did not answer a question.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A topic can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A topic does not exist.
    #[error(
        "topic {topic} does not exist: create it with `event-bus topics apply` under a namespace of its own"
    )]
    UnknownTopic {
        /// Which.
        topic: TopicName,
    },
    /// A topic is in use.
    #[error(
        "topic {topic} holds {records} records already, and a trial writes junk: run the consumer and the trial under a namespace \
         of their own (--namespace), or say that these topics are for that (--used-topics)"
    )]
    InUse {
        /// Which.
        topic: TopicName,
        /// How many, by its offsets.
        records: u64,
    },
    /// Nobody consumes.
    #[error(
        "nobody is in the group {group}: start the consumer first, under the namespace of the trial"
    )]
    NoMembers {
        /// Its group.
        group: GroupName,
    },
    /// There is nothing to send.
    #[error("the catalogue has no sample of {event}: give a payload that its consumer handles")]
    NoSample {
        /// Of which event.
        event: EventName,
    },
    /// A payload is none of the event.
    #[error("the {which} is not usable: {why}")]
    Payload {
        /// Payload or poison.
        which: &'static str,
        /// Why not.
        why: String,
    },
    /// Effects can't be counted.
    #[error("the effects can't be counted")]
    Probe(#[source] ProbeError),
}
