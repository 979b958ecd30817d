//! Which dead letters of others go where, and which don't.

use super::{Family, Foreign, original_headers};
use crate::catalogue::Catalogue;
use crate::consumer::doom_of;
use crate::envelope::OutgoingRecord;
use crate::headers::is_replays;
use crate::kafka::Record;
use crate::kafka::admin::Cluster;
use crate::names::{EventId, TopicName};

/// Why a dead letter is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedriveRefusal {
    /// Nothing says where it came from.
    #[error("its headers don't tell the original topic: name one with --to")]
    NoTopic,
    /// It can't be sent.
    #[error("topic {topic} does not exist: create it, or name another one with --to")]
    UnknownTopic {
        /// The missing topic.
        topic: String,
    },
    /// It would be a dead letter of itself.
    #[error("it came from the topic that it is on: name another one with --to")]
    SameTopic,
    /// Only the bus writes there.
    #[error("{topic} is one of the bus's own topics, which has dead letters or decisions only")]
    Internal {
        /// The topic.
        topic: TopicName,
    },
    /// There is nothing to send.
    #[error(
        "it has neither key nor value: the broker copies them once the share group has errors.deadletterqueue.copy.record.enable; \
         the original is where the headers say"
    )]
    NotCopied,
    /// It is no event of that topic.
    #[error("it would be dead on {topic} at once: {why}")]
    Doomed {
        /// The topic, which is one of the catalogue's.
        topic: TopicName,
        /// What its consumers would say.
        why: String,
    },
}

/// A dead letter and the record that it becomes.
#[derive(Clone, Debug)]
pub struct Redriven {
    /// What it says.
    pub letter: Foreign,
    /// Its key and value, with the headers that it had before it died.
    pub record: OutgoingRecord,
}

/// To send dead letters of others to where they came from, or elsewhere, before anything is done.
#[derive(Debug, Default)]
pub struct Redrive {
    /// What is sent, in this order.
    pub records: Vec<Redriven>,
    /// What is not, and why.
    pub refused: Vec<(Foreign, RedriveRefusal)>,
}

impl Redrive {
    /// Each to its original topic, or all to one. Those of one partition go in the order in which they died there.
    #[must_use]
    pub fn plan(
        catalogue: &Catalogue,
        cluster: &Cluster,
        to: Option<&TopicName>,
        letters: impl IntoIterator<Item = (Foreign, Record)>,
    ) -> Self {
        let mut plan = Self::default();
        for (letter, record) in letters {
            let decided = target(catalogue, cluster, to, &letter)
                .and_then(|topic| redriven(catalogue, cluster, &topic, &letter, record));
            match decided {
                Ok(record) => plan.records.push(Redriven { letter, record }),
                Err(refusal) => plan.refused.push((letter, refusal)),
            }
        }
        plan.records.sort_by_key(|Redriven { letter, .. }| {
            (letter.dead_letter_partition, letter.dead_letter_offset)
        });
        plan
    }
}

/// Where a dead letter is to go.
fn target(
    catalogue: &Catalogue,
    cluster: &Cluster,
    to: Option<&TopicName>,
    letter: &Foreign,
) -> Result<TopicName, RedriveRefusal> {
    let name = to.map(TopicName::as_str).or(letter.says.topic.as_deref());
    let name = name.ok_or(RedriveRefusal::NoTopic)?;
    let topic = name.parse().ok().filter(|topic| cluster.topics.contains_key(topic));
    let topic: TopicName =
        topic.ok_or_else(|| RedriveRefusal::UnknownTopic { topic: name.to_owned() })?;
    if topic == letter.dead_letter_topic {
        return Err(RedriveRefusal::SameTopic);
    }
    let is_internal = catalogue.own_topics().contains(&topic)
        || catalogue.event_of_dead_letter_topic(&topic).is_some();
    if is_internal { Err(RedriveRefusal::Internal { topic }) } else { Ok(topic) }
}

/// The record for its topic, unless it can't be handled there.
fn redriven(
    catalogue: &Catalogue,
    cluster: &Cluster,
    topic: &TopicName,
    letter: &Foreign,
    record: Record,
) -> Result<OutgoingRecord, RedriveRefusal> {
    if letter.family == Family::KafkaShareGroup && record.key.is_none() && record.value.is_none() {
        return Err(RedriveRefusal::NotCopied);
    }
    let mut headers = original_headers(&record);
    // What died as a replay would be passed over by all groups but that replay's.
    headers.retain(|header| !is_replays(&header.name));
    let value = record.value.as_deref().unwrap_or_default();
    let event_id = EventId::of_position(
        &record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        value,
    );
    let partitions = cluster.topics.get(topic).map_or(0, |state| state.partitions);
    let is_original = letter.says.topic.as_deref() == Some(topic.as_str());
    let partition = letter.says.partition.filter(|_| is_original);
    let partition = partition.filter(|partition| (0..partitions).contains(partition));
    let alive = Record { topic: topic.clone(), headers, ..record };
    if let Some(event) = catalogue.event_of_topic(topic.as_str())
        && let Some(cause) = doom_of(&alive, event, None)
    {
        return Err(RedriveRefusal::Doomed { topic: topic.clone(), why: cause.message });
    }
    let Record { topic, key, value, headers, .. } = alive;
    Ok(OutgoingRecord { topic, partition, key, value, headers, event_id })
}
