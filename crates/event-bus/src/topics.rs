//! Brings the cluster's topics to what the catalogue says: first a plan, which changes nothing, then its steps.
//!
//! Nothing is ever deleted, and a partition count is never lowered. A dead letter topic is created or extended before
//! its topic, so that a record of partition p always finds partition p of the dead letter topic.

mod apply;
mod plan;

use std::fmt;

use serde::Serialize;

use crate::limits::MAX_RECORD_BYTES;
use crate::names::TopicName;

pub use apply::{Applied, ApplyError, apply};
pub use plan::{Options, plan};

/// `max.message.bytes` of an event's topic: twice our record limit. A publisher in another language that overshoots
/// gets its record onto the topic and from there, with identical bytes, into the dead letter topic, where it is seen;
/// a broker that refused it would leave the failure to a client that may swallow it.
pub const TOPIC_MAX_MESSAGE_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// A config to be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigChange {
    /// Kafka's name of it.
    pub name: &'static str,
    /// Its value on the cluster, if it has one.
    pub from: Option<String>,
    /// Its value by the catalogue.
    pub to: String,
}

/// One change to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The topic does not exist.
    Create {
        /// The topic.
        topic: TopicName,
        /// Whether it holds dead letters.
        is_dead_letter: bool,
        /// How many partitions it gets.
        partitions: i32,
        /// Copies of each.
        replication: i32,
        /// Its configs.
        configs: Vec<ConfigChange>,
    },
    /// The topic has too few partitions.
    Extend {
        /// The topic.
        topic: TopicName,
        /// Whether it holds dead letters.
        is_dead_letter: bool,
        /// How many partitions it has.
        from: i32,
        /// How many it gets.
        to: i32,
    },
    /// Configs of the topic differ.
    Configure {
        /// The topic.
        topic: TopicName,
        /// Whether it holds dead letters.
        is_dead_letter: bool,
        /// What differs.
        configs: Vec<ConfigChange>,
    },
}

/// A difference that is not brought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// More partitions would move keys to others, and break their order meanwhile.
    WouldReorder {
        /// The topic.
        topic: TopicName,
        /// How many partitions it has.
        from: i32,
        /// How many the catalogue wants.
        to: i32,
    },
    /// The topic can't be created with so many copies.
    TooFewBrokers {
        /// The topic.
        topic: TopicName,
        /// Copies that the catalogue wants.
        replication: i32,
        /// How many brokers there are.
        brokers: usize,
    },
    /// The topic has more partitions than the catalogue says. Kafka can't take partitions away.
    MorePartitions {
        /// The topic.
        topic: TopicName,
        /// How many partitions it has.
        on_cluster: i32,
        /// How many the catalogue says.
        in_catalogue: i32,
    },
    /// The topic has another number of copies. Changing it moves data, which is an operator's decision.
    Replication {
        /// The topic.
        topic: TopicName,
        /// Copies of each partition on the cluster.
        on_cluster: i32,
        /// Copies that the catalogue says.
        in_catalogue: i32,
    },
}

/// What separates the cluster from the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What [`apply`] does, in this order.
    pub steps: Vec<Step>,
    /// What it must not do: the catalogue and the cluster stay apart until somebody decides.
    pub refused: Vec<Difference>,
    /// What is left as it is, because it does no harm.
    pub left_alone: Vec<Difference>,
}

impl Plan {
    /// Whether there is nothing to do and nothing refused. What is left alone does not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refused.is_empty()
    }

    /// All that separates one topic from the catalogue, in sentences.
    #[must_use]
    pub fn of(&self, topic: &TopicName) -> Vec<String> {
        let steps = self.steps.iter().filter(|step| step.topic() == topic);
        let differences = self.refused.iter().chain(&self.left_alone);
        let differences = differences.filter(|difference| difference.topic() == topic);
        steps.map(Step::to_string).chain(differences.map(Difference::to_string)).collect()
    }
}

impl Step {
    /// The topic that is changed.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        match self {
            Self::Create { topic, .. }
            | Self::Extend { topic, .. }
            | Self::Configure { topic, .. } => topic,
        }
    }

    /// Whether that topic holds dead letters.
    #[must_use]
    pub fn is_dead_letter(&self) -> bool {
        match self {
            Self::Create { is_dead_letter, .. }
            | Self::Extend { is_dead_letter, .. }
            | Self::Configure { is_dead_letter, .. } => *is_dead_letter,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { topic, partitions, replication, .. } => {
                write!(f, "create {topic} with {partitions} partitions, replication {replication}")
            }
            Self::Extend { topic, from, to, .. } => {
                write!(f, "extend {topic} from {from} to {to} partitions")
            }
            Self::Configure { topic, configs, .. } => {
                write!(f, "configure {topic}:")?;
                for (position, ConfigChange { name, from, to }) in configs.iter().enumerate() {
                    let comma = if position > 0 { "," } else { "" };
                    write!(f, "{comma} {name} {} -> {to}", from.as_deref().unwrap_or("unset"))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldReorder { topic, from, to } => {
                write!(
                    f,
                    "{topic} has {from} partitions instead of {to}, and more would move its keys"
                )
            }
            Self::TooFewBrokers { topic, replication, brokers } => {
                let plural = if *brokers == 1 { "" } else { "s" };
                write!(
                    f,
                    "{topic} can't have replication {replication} on {brokers} broker{plural}"
                )
            }
            Self::MorePartitions { topic, on_cluster, in_catalogue } => {
                write!(f, "{topic} has {on_cluster} partitions instead of {in_catalogue}")
            }
            Self::Replication { topic, on_cluster, in_catalogue } => {
                write!(f, "{topic} has replication {on_cluster} instead of {in_catalogue}")
            }
        }
    }
}

impl Difference {
    /// The topic that differs.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        match self {
            Self::WouldReorder { topic, .. }
            | Self::TooFewBrokers { topic, .. }
            | Self::MorePartitions { topic, .. }
            | Self::Replication { topic, .. } => topic,
        }
    }

    /// What an operator may do about differences of this kind.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::WouldReorder { .. } => {
                "to get more partitions, let the consumers finish what is there, then pass --accept-reorder".to_owned()
            }
            Self::TooFewBrokers { brokers, .. } => {
                format!("add brokers; or pass --replication {brokers}, where losing a broker may lose events")
            }
            Self::MorePartitions { .. } => {
                "partitions can't be taken away: write their number on the cluster into the catalogue".to_owned()
            }
            Self::Replication { .. } => {
                "to change the replication of topics that exist, use Kafka's own kafka-reassign-partitions".to_owned()
            }
        }
    }
}
