//! The bus at one moment.

use std::time::Instant;

use event_bus::Catalogue;
use event_bus::catalogue::Event;
use event_bus::kafka::admin::{Admin, AdminError, Cluster, Offsets, Position, TopicPartition};
use event_bus::lag::GroupLag;
use event_bus::names::{EventName, GroupName, ServiceName, TopicName};

/// What Kafka said of the catalogue's topics and groups at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was complete.
    pub at: Instant,
    /// Each event's topic, in the catalogue's order.
    pub topics: Vec<TopicCount>,
    /// Each consumer group, in the catalogue's order.
    pub groups: Vec<GroupLag>,
}

/// How much one event's topics hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCount {
    /// The event.
    pub event: EventName,
    /// Its topic.
    pub topic: TopicName,
    /// Whether the topic exists.
    pub exists: bool,
    /// Records that the topic ever got, those that retention took included.
    pub events: u64,
    /// Whether a partition of the topic had no leader, so that its records are not counted.
    pub is_partial: bool,
    /// Records in the topic.
    pub kept: u64,
    /// Records that the dead letter topic ever got.
    pub dead_letters_ever: u64,
    /// Records in the dead letter topic.
    pub dead_letters: u64,
}

impl TopicCount {
    /// Of a topic that does not exist.
    #[must_use]
    pub fn of(event: EventName, topic: TopicName) -> Self {
        Self {
            event,
            topic,
            exists: false,
            events: 0,
            is_partial: false,
            kept: 0,
            dead_letters_ever: 0,
            dead_letters: 0,
        }
    }
}

impl Snapshot {
    /// Asks Kafka about all of the catalogue, or about what one service publishes and consumes.
    ///
    /// # Errors
    /// When no broker answered, or a group's coordinator refused.
    pub async fn take(
        admin: &Admin,
        catalogue: &Catalogue,
        service: Option<&ServiceName>,
    ) -> Result<Self, AdminError> {
        let consumes = |consumer: &ServiceName| service.is_none_or(|service| service == consumer);
        let concerns = |event: &Event| {
            consumes(&event.producer)
                || catalogue.subscriptions().any(|found| {
                    found.event.name == event.name && consumes(&found.consumer.service)
                })
        };
        let groups: Vec<(GroupName, TopicName)> = catalogue
            .subscriptions()
            .filter(|found| consumes(&found.consumer.service))
            .map(|found| (found.consumer.group.clone(), found.event.topic.clone()))
            .collect();
        let groups = admin.lag(&groups).await?;
        let cluster = admin.cluster().await?;
        let partitions: Vec<TopicPartition> = catalogue
            .events()
            .filter(|event| concerns(event))
            .flat_map(|event| [&event.topic, &event.dead_letter_topic])
            .flat_map(|topic| cluster.partitions(topic))
            .collect();
        let ends = admin.offsets(Position::End, partitions.clone()).await?;
        let starts = admin.offsets(Position::Start, partitions).await?;
        let topics = catalogue
            .events()
            .filter(|event| concerns(event))
            .map(|event| {
                let sums = |topic| {
                    let ever = sum(&cluster, topic, &ends);
                    (ever, ever.saturating_sub(sum(&cluster, topic, &starts)))
                };
                let (events, kept) = sums(&event.topic);
                let (dead_letters_ever, dead_letters) = sums(&event.dead_letter_topic);
                TopicCount {
                    exists: cluster.topics.contains_key(&event.topic),
                    events,
                    is_partial: counted(&cluster, &event.topic, &ends).any(|end| end.is_none()),
                    kept,
                    dead_letters_ever,
                    dead_letters,
                    ..TopicCount::of(event.name.clone(), event.topic.clone())
                }
            })
            .collect();
        Ok(Self { at: Instant::now(), topics, groups })
    }

    /// Records that all events' topics ever got.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.topics.iter().map(|topic| topic.events).sum()
    }

    /// Whether each event's topic was counted with all of its partitions.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.topics.iter().any(|topic| topic.is_partial)
    }

    /// Dead letters of all topics.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.topics.iter().map(|topic| topic.dead_letters).sum()
    }

    /// Events that groups have still to settle, each counted once for each group.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.groups.iter().map(GroupLag::total).sum()
    }

    /// How far a group is behind; `None` for one that the catalogue does not have.
    #[must_use]
    pub fn lag_of(&self, group: &GroupName) -> Option<&GroupLag> {
        self.groups.iter().find(|lag| lag.group == *group)
    }

    /// Records that an event's topic ever got; 0 for an event that the catalogue does not have.
    #[must_use]
    pub fn events_of(&self, event: &str) -> u64 {
        self.topic_of(event).map_or(0, |topic| topic.events)
    }

    /// How much an event's topics hold; `None` for an event that the catalogue does not have.
    #[must_use]
    pub fn topic_of(&self, event: &str) -> Option<&TopicCount> {
        self.topics.iter().find(|topic| topic.event.as_str() == event)
    }
}

/// The sum of a topic's offsets. A partition without a leader does not count.
fn sum(cluster: &Cluster, topic: &TopicName, offsets: &Offsets) -> u64 {
    counted(cluster, topic, offsets).flatten().sum()
}

/// The offset of each of a topic's partitions, where it is known.
fn counted(
    cluster: &Cluster,
    topic: &TopicName,
    offsets: &Offsets,
) -> impl Iterator<Item = Option<u64>> {
    cluster.partitions(topic).map(|partition| {
        let offset = offsets.get(&partition)?.as_ref().ok()?.as_ref().copied()?;
        u64::try_from(offset).ok()
    })
}
