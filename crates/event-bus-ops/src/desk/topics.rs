//! Topics: what they hold, and whether they are as the catalogue says.

mod times;

use std::sync::Arc;

use event_bus::catalogue::Event;
use event_bus::kafka::admin::{Cluster, TopicPartition};
use event_bus::names::{EventName, GroupName, TopicName};
use event_bus::topics::{Options, Plan, plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::groups::{may, time_of};
use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};

pub(in crate::desk) use times::Times;

/// How long a topic keeps its records, as Kafka calls it.
const RETENTION: &str = "retention.ms";

/// All topics of the catalogue's events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topics {
    /// When Kafka told how many events there are; none before it did.
    pub at: Option<Timestamp>,
    /// When it told the times of the oldest and newest records; none before it did. It takes some time where there are many
    /// partitions.
    pub times_at: Option<Timestamp>,
    /// Each event's topic, and behind it that of its dead letters.
    pub topics: Vec<TopicRow>,
}

/// A topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopicRow {
    /// Its name.
    pub topic: TopicName,
    /// Of which event.
    pub event: EventName,
    /// Whose dead letters it holds, where it does.
    pub dead_letters_of: Option<TopicName>,
    /// Whether it is there.
    pub exists: bool,
    /// How many partitions it has.
    pub partitions: i32,
    /// Copies of each.
    pub replication: i32,
    /// How long it keeps records, in milliseconds; -1 for ever, and none where Kafka does not tell.
    pub retention_ms: Option<i64>,
    /// Records that it ever got.
    pub ever: Option<u64>,
    /// Records that are in it.
    pub kept: Option<u64>,
    /// Records that came in a second of late; none for dead letters, and while too little was seen.
    pub per_second: Option<f64>,
    /// When its first record was written.
    pub oldest: Option<Timestamp>,
    /// When its newest one was.
    pub newest: Option<Timestamp>,
    /// What separates it from the catalogue.
    pub differences: Vec<String>,
    /// The groups in scope that consume it.
    pub groups: Vec<GroupName>,
}

/// What Kafka says of all topics.
struct Told {
    cluster: Cluster,
    plan: Plan,
    times: Option<Arc<times::Told>>,
}

impl Told {
    fn row(&self, event: &Event, topic: &TopicName) -> TopicRow {
        let state = self.cluster.topics.get(topic);
        let retention = state.and_then(|state| state.configs.get(RETENTION));
        let first = TopicPartition { topic: topic.clone(), partition: 0 };
        let last = TopicPartition { topic: topic.clone(), partition: i32::MAX };
        let places = first..=last;
        let told = self.times.iter();
        let times = || told.clone().flat_map(|told| told.times.range(places.clone()));
        let time = |millis: Option<i64>| Timestamp::from_millisecond(millis?).ok();
        TopicRow {
            topic: topic.clone(),
            event: event.name.clone(),
            dead_letters_of: Some(&event.topic).filter(|of| *of != topic).cloned(),
            exists: state.is_some(),
            partitions: state.map_or(0, |state| state.partitions),
            replication: state.map_or(0, |state| state.replication),
            retention_ms: retention.and_then(|text| text.parse().ok()),
            ever: None,
            kept: None,
            per_second: None,
            oldest: time(times().map(|(_, (oldest, _))| *oldest).min()),
            newest: time(times().map(|(_, (_, newest))| *newest).max()),
            differences: self.plan.of(topic),
            groups: Vec::new(),
        }
    }
}

impl Desk {
    /// All topics of the catalogue's events. They are the contract, and everybody may see them; of who consumes them, what is
    /// in scope.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn topics(&self, actor: &Actor) -> Result<Topics, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        let wanted = self.catalogue.topics();
        let cluster = self.admin.cluster_with_configs(&wanted).await?;
        let names =
            self.catalogue.events().flat_map(|event| [&event.topic, &event.dead_letter_topic]);
        let partitions = names.flat_map(|topic| cluster.partitions(topic)).collect();
        let times = self.times.known(&self.admin, partitions).await;
        let plan = plan(&self.catalogue, &cluster, Options::default());
        let (told, newest) = (Told { cluster, plan, times }, self.watch.newest());
        let mut topics = Vec::new();
        for event in self.catalogue.events() {
            let [mut of_events, mut of_letters] =
                [&event.topic, &event.dead_letter_topic].map(|topic| told.row(event, topic));
            let count = newest.as_ref().and_then(|newest| newest.topic_of(event.name.as_str()));
            if let Some(count) = count {
                (of_events.ever, of_events.kept) = (Some(count.events), Some(count.kept));
                (of_letters.ever, of_letters.kept) =
                    (Some(count.dead_letters_ever), Some(count.dead_letters));
            }
            of_events.per_second = self.watch.rate_of(&event.name);
            let consumed = self
                .catalogue
                .subscriptions()
                .filter(|found| found.event.name == event.name && may(actor, Action::See, *found));
            of_events.groups = consumed.map(|found| found.consumer.group.clone()).collect();
            topics.extend([of_events, of_letters]);
        }
        let times_at = told.times.map(|times| times.at);
        Ok(Topics { at: newest.map(|newest| time_of(newest.at)), times_at, topics })
    }
}
