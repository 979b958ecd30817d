use std::{num::NonZeroU16, time::Duration};

use super::{OrderingKey, Schema, SchemaVersion, UnsupportedVersion, Version};
use crate::lag::Thresholds;
use crate::names::{EventName, GroupName, Namespace, ServiceName, ShortTopic, TopicName, topic};

/// An event of the catalogue: its topic, who publishes it, who consumes it and what it looks like.
#[derive(Clone, Debug)]
pub struct Event {
    /// For example `OrderPlaced`.
    pub name: EventName,
    /// One sentence on what happened.
    pub description: String,
    /// The topic without the namespace.
    pub short_topic: ShortTopic,
    /// Where it is published.
    pub topic: TopicName,
    /// Where it goes when a consumer can't handle it.
    pub dead_letter_topic: TopicName,
    /// The one service that publishes it.
    pub producer: ServiceName,
    /// The CloudEvents source, `/{namespace}/{producer}`.
    pub source: String,
    /// What keeps its order.
    pub key: OrderingKey,
    /// Ascending, never empty.
    pub versions: Vec<SchemaVersion>,
    /// JSON pointers into the envelope, `/payload/…`; whatever is below one is personal data too.
    pub personal_data: Vec<String>,
    /// Partitions of the topic, at least 1.
    pub partitions: i32,
    /// Copies of each partition, at least `min_insync_replicas`.
    pub replication: i32,
    /// Copies that must have a record before it counts as published, at least 1.
    pub min_insync_replicas: i32,
    /// How long the topic keeps its records.
    pub retention: Retention,
    /// How long the dead letter topic keeps its records, at least `retention`.
    pub dlq_retention: Retention,
    /// How far behind a consumer may be before somebody is told.
    pub lag: Thresholds,
    /// In the catalogue's order; a service stands here at most once.
    pub consumers: Vec<Consumer>,
}

/// How one service consumes one event.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Who consumes.
    pub service: ServiceName,
    /// The Kafka consumer group of the service on the topic.
    pub group: GroupName,
    /// The waits before the second attempt, the third and so on.
    pub retry: Vec<Duration>,
    /// How its handler runs.
    pub execution: Execution,
    /// What happens to a key's events behind a dead letter.
    pub behind_dead_letter: BehindDeadLetter,
    /// How long one attempt may take.
    pub handler_timeout: Duration,
    /// JSON pointers into the payload: what this consumer reads of it.
    pub reads: Vec<String>,
    /// The major version that it handles. Events of the catalogue's other majors it passes over, for their producer publishes
    /// each event in every major that somebody handles.
    pub major: u32,
}

/// How handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// The events that queued up share a transaction, in order.
    Batched,
    /// Each event has its own transaction; up to so many run at once.
    Concurrent(NonZeroU16),
}

/// What happens to a key's later events when one of them is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BehindDeadLetter {
    /// They are handled.
    Continue,
    /// They follow it into the dead letter topic, until all of them are replayed.
    Park,
}

/// How long a topic keeps its records. `Unlimited` is greater than any duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// At least so long.
    For(Duration),
    /// For ever.
    Unlimited,
}

impl Retention {
    /// The value of Kafka's `retention.ms`: milliseconds, or -1 for unlimited.
    pub fn millis(self) -> i64 {
        match self {
            Retention::Unlimited => -1,
            Retention::For(duration) => i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

impl Event {
    /// The schema that a payload of `version` is checked against: that minor's, or for an unknown
    /// minor the highest known one of its major, since minors only add.
    pub fn schema_for(&self, version: &Version) -> Result<&Schema, UnsupportedVersion> {
        let same_major =
            || self.versions.iter().filter(|known| known.version.major == version.major);
        same_major()
            .find(|known| known.version == *version)
            .or_else(|| same_major().max_by_key(|known| known.version))
            .map(|known| &*known.schema)
            .ok_or_else(|| self.unsupported(*version))
    }

    /// The schema of exactly `version`: what may be published is what is written down.
    pub fn schema_of(&self, version: &Version) -> Result<&Schema, UnsupportedVersion> {
        let exact = self.versions.iter().find(|known| known.version == *version);
        exact.map(|known| &*known.schema).ok_or_else(|| self.unsupported(*version))
    }

    fn unsupported(&self, version: Version) -> UnsupportedVersion {
        let known = self.versions.iter().map(|known| known.version).collect();
        UnsupportedVersion { event: self.name.clone(), version, known }
    }

    /// The same event under another namespace.
    pub(super) fn rename(&mut self, namespace: &Namespace) {
        self.topic = topic(namespace, &self.short_topic);
        self.dead_letter_topic = self.topic.dead_letter();
        self.source = source(namespace, &self.producer);
        for consumer in &mut self.consumers {
            consumer.group = GroupName::of(namespace, &consumer.service, &self.short_topic);
        }
    }
}

/// The CloudEvents source of what a service publishes.
pub(super) fn source(namespace: &Namespace, producer: &ServiceName) -> String {
    format!("/{namespace}/{producer}")
}
