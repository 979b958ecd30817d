//! Which versions of events are still published, and whether consumers have passed the last of them. The topics tell it.
//!
//! A version that nobody publishes and that is before no group can leave a catalogue, see [`catalogue::diff`](crate::catalogue::diff).

mod tally;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalogue::{Catalogue, Event, Version};
use crate::kafka::KafkaConfig;
use crate::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::{EventName, GroupName, ServiceName, TopicName};

pub use tally::{Starts, Tally};

/// What the topic of an event tells of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The event.
    pub event: EventName,
    /// Its topic.
    pub topic: TopicName,
    /// Whether the topic exists.
    pub exists: bool,
    /// By version and service, replays left out.
    pub published: Vec<Published>,
    /// Records that are no envelope of the event, and those that are of more kinds than are told apart.
    pub others: u64,
    /// By consumer group.
    pub consumed: Vec<Consumed>,
}

/// What one service published of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The version.
    pub version: Version,
    /// The service that the envelopes name.
    pub service: ServiceName,
    /// Whether the catalogue has this version.
    pub is_listed: bool,
    /// Whether the catalogue has this service as its producer.
    pub is_producer: bool,
    /// How many records.
    pub records: u64,
    /// When the first was written, by its record.
    pub first_at: Timestamp,
    /// When the last was written.
    pub last_at: Timestamp,
}

/// Where one consumer group stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consumed {
    /// Who consumes.
    pub service: ServiceName,
    /// Its group.
    pub group: GroupName,
    /// The major that the catalogue says it handles.
    pub major: u32,
    /// Of each version how many records are still before it; 0 once it has passed the last.
    pub before: BTreeMap<Version, u64>,
    /// Whether it stands before where reading began, so that there may be more.
    pub is_at_least: bool,
}

/// Topics that could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Kafka did not tell offsets.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The records could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Reads what the topics of these events hold from a position on. What is remembered is bounded, however much they hold. `on_read` hears
/// how many records there are, and then how many of them were read.
///
/// # Errors
/// When Kafka does not answer, or a partition can't be read.
pub async fn read(
    catalogue: &Catalogue,
    events: &[&Event],
    kafka: &KafkaConfig,
    from: Position,
    mut on_read: impl FnMut(u64, u64),
) -> Result<Vec<Usage>, UsageError> {
    let admin = Admin::connect(kafka)?;
    let cluster = admin.cluster().await?;
    let (mut tallies, mut missing) = (BTreeMap::new(), Vec::new());
    let mut places = BTreeMap::new();
    for event in events {
        if !cluster.topics.contains_key(&event.topic) {
            missing.push(Tally::new(event, Starts::default(), BTreeMap::new()).done(false));
            continue;
        }
        // Commits first: a group that goes on meanwhile looks a little further behind, and never ahead.
        let mut committed = BTreeMap::new();
        for consumer in &event.consumers {
            committed.insert(
                consumer.group.clone(),
                known(admin.committed_offsets(&consumer.group).await?)?,
            );
        }
        let partitions: Vec<TopicPartition> = cluster.partitions(&event.topic).collect();
        let oldest = known(admin.offsets(Position::Start, partitions.clone()).await?)?;
        let mut starts = known(admin.offsets(from, partitions.clone()).await?)?;
        let ends = known(admin.offsets(Position::End, partitions.clone()).await?)?;
        for at in &partitions {
            // Nothing was written at or after that time.
            let start =
                *starts.entry(at.clone()).or_insert_with(|| ends.get(at).copied().unwrap_or(0));
            places.insert(at.clone(), start);
        }
        let starts = Starts { read_from: starts, oldest };
        tallies.insert(event.topic.clone(), Tally::new(event, starts, committed));
    }
    if !places.is_empty() {
        let mut reader = Reader::start_at(kafka, &places, Until::CaughtUp).await?;
        let (total, mut done) = (reader.total(), 0);
        while let Some(records) = reader.next().await? {
            done += records.len() as u64;
            for record in &records {
                if let Some(tally) = tallies.get_mut(&record.topic) {
                    tally.add(record);
                }
            }
            on_read(total, done);
        }
    }
    let mut usages: Vec<Usage> = tallies.into_values().map(|tally| tally.done(true)).collect();
    usages.extend(missing);
    // In the catalogue's order.
    let place = |usage: &Usage| catalogue.events().position(|event| event.name == usage.event);
    usages.sort_by_key(place);
    Ok(usages)
}

/// The offsets that there are; none of a partition without one.
fn known(offsets: Offsets) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
    let known = offsets
        .into_iter()
        .filter_map(|(at, offset)| Some(offset.transpose()?.map(|offset| (at, offset))));
    known.collect()
}
