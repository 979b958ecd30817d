//! Health is progress: nothing is well because a process answers, but because what is there to do gets done.

use std::fmt;

use event_bus::names::{GroupName, TopicName};
use serde::Serialize;

/// Whether the bus does its work; if not, everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What is wrong; empty when nothing is.
    pub problems: Vec<Problem>,
}

impl Health {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that keeps the bus from its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Problem {
    /// The start is not complete.
    Starting,
    /// Kafka does not answer.
    KafkaUnreachable {
        /// Why not.
        error: String,
    },
    /// A topic of the catalogue is missing.
    TopicMissing {
        /// The topic.
        topic: TopicName,
    },
    /// Retention took events that a group had not settled: it waits for somebody who says where it goes on.
    EventsLost {
        /// The group.
        group: GroupName,
        /// The topic.
        topic: TopicName,
        /// How many events are gone.
        lost: u64,
    },
    /// A group is behind and settles nothing.
    Stalled {
        /// The group.
        group: GroupName,
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: i32,
        /// Events that wait.
        lag: u64,
        /// For how long nothing was settled, in seconds.
        seconds: u64,
    },
    /// The service's database does not answer.
    DatabaseUnreachable {
        /// Why not.
        error: String,
    },
    /// What is to be published waits for too long.
    OutboxStalled {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// Events that can never be published as they are, and those behind them under their keys.
    OutboxQuarantined {
        /// How many.
        rows: u64,
    },
    /// A part of this process ended that should not have.
    PartEnded {
        /// The part.
        part: String,
        /// Why.
        error: String,
    },
}

impl Problem {
    /// All kinds that there are.
    pub const KINDS: [&str; 9] = [
        "starting",
        "kafka-unreachable",
        "topic-missing",
        "events-lost",
        "stalled",
        "database-unreachable",
        "outbox-stalled",
        "outbox-quarantined",
        "part-ended",
    ];

    /// What is wrong, in a word, as in JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::KafkaUnreachable { .. } => "kafka-unreachable",
            Self::TopicMissing { .. } => "topic-missing",
            Self::EventsLost { .. } => "events-lost",
            Self::Stalled { .. } => "stalled",
            Self::DatabaseUnreachable { .. } => "database-unreachable",
            Self::OutboxStalled { .. } => "outbox-stalled",
            Self::OutboxQuarantined { .. } => "outbox-quarantined",
            Self::PartEnded { .. } => "part-ended",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => write!(f, "the services are still starting"),
            Self::KafkaUnreachable { error } => write!(f, "Kafka does not answer: {error}"),
            Self::TopicMissing { topic } => {
                write!(f, "topic {topic} does not exist: `event-bus topics apply` creates it")
            }
            Self::EventsLost { group, topic, lost } => write!(
                f,
                "retention took {lost} events of {topic} before {group} settled them: reset the group's offsets to go on"
            ),
            Self::Stalled { group, topic, partition, lag, seconds } => write!(
                f,
                "{group} has {lag} events of {topic}[{partition}] before it and settled none for {seconds} s: \
                 its log says why"
            ),
            Self::DatabaseUnreachable { error } => {
                write!(f, "the service's database does not answer: {error}")
            }
            Self::OutboxStalled { seconds } => write!(
                f,
                "what is to be published has waited for {seconds} s: the relay's log says why"
            ),
            Self::OutboxQuarantined { rows } => write!(
                f,
                "{rows} rows of the outbox can't be published as they are: `event-bus outbox list` says why"
            ),
            Self::PartEnded { part, error } => write!(f, "{part} ended: {error}"),
        }
    }
}
