use std::collections::BTreeMap;

use super::{ConfigChange, Difference, Plan, Step, TOPIC_MAX_MESSAGE_BYTES};
use crate::catalogue::{Catalogue, Event, Retention};
use crate::kafka::admin::{Cluster, TopicState};
use crate::limits::DLT_MAX_MESSAGE_BYTES;
use crate::names::TopicName;

/// What an operator decides beside the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Copies of every topic, instead of the catalogue's.
    pub replication: Option<i32>,
    /// Whether topics with an ordering key may get more partitions.
    pub accept_reorder: bool,
}

/// The difference between a catalogue and a cluster whose topics' configs are known.
#[must_use]
pub fn plan(catalogue: &Catalogue, cluster: &Cluster, options: Options) -> Plan {
    let mut dead_letter = Plan::default();
    let mut events = Plan::default();
    for event in catalogue.events() {
        let wanted = Wanted::of_topic(event, options);
        let on_cluster = cluster.topics.get(&wanted.topic).map_or(0, |state| state.partitions);
        Wanted::of_dead_letter_topic(event, options, on_cluster).compare(
            cluster,
            options,
            &mut dead_letter,
        );
        wanted.compare(cluster, options, &mut events);
    }
    for topic in catalogue.own_topics() {
        if let Some(wanted) = Wanted::of_the_bus(topic, catalogue, options) {
            wanted.compare(cluster, options, &mut events);
        }
    }
    let joined = |mut first: Vec<_>, second| {
        first.extend(second);
        first
    };
    let mut steps = dead_letter.steps;
    steps.extend(events.steps);
    Plan {
        steps,
        refused: joined(dead_letter.refused, events.refused),
        left_alone: joined(dead_letter.left_alone, events.left_alone),
    }
}

/// A topic as the catalogue wants it.
struct Wanted {
    topic: TopicName,
    is_dead_letter: bool,
    partitions: i32,
    /// Whether records find their partition by key, so that more partitions move keys.
    is_keyed: bool,
    replication: i32,
    min_insync_replicas: i32,
    retention_ms: i64,
    max_message_bytes: usize,
}

impl Wanted {
    fn of_topic(event: &Event, options: Options) -> Self {
        Self {
            topic: event.topic.clone(),
            is_dead_letter: false,
            partitions: event.partitions,
            is_keyed: event.key.pointers().next().is_some(),
            replication: options.replication.unwrap_or(event.replication),
            min_insync_replicas: event.min_insync_replicas,
            retention_ms: event.retention.millis(),
            max_message_bytes: TOPIC_MAX_MESSAGE_BYTES,
        }
    }

    /// A topic of the bus's own, as well kept as the best kept event, and for ever: it is told there what was done.
    fn of_the_bus(topic: TopicName, catalogue: &Catalogue, options: Options) -> Option<Self> {
        let best = catalogue.events().max_by_key(|event| event.replication)?;
        Some(Self {
            topic,
            partitions: 1,
            is_keyed: true,
            retention_ms: Retention::Unlimited.millis(),
            ..Self::of_topic(best, options)
        })
    }

    /// `on_cluster` is the number of partitions that its topic has now, which may be more than the catalogue says.
    fn of_dead_letter_topic(event: &Event, options: Options, on_cluster: i32) -> Self {
        Self {
            topic: event.dead_letter_topic.clone(),
            is_dead_letter: true,
            partitions: event.partitions.max(on_cluster),
            // A dead letter's partition is given, not derived from its key.
            is_keyed: false,
            retention_ms: event.dlq_retention.millis(),
            max_message_bytes: DLT_MAX_MESSAGE_BYTES,
            ..Self::of_topic(event, options)
        }
    }

    fn compare(self, cluster: &Cluster, options: Options, plan: &mut Plan) {
        match cluster.topics.get(&self.topic) {
            None => self.create(cluster, plan),
            Some(state) => self.adjust(state, options, plan),
        }
    }

    fn create(self, cluster: &Cluster, plan: &mut Plan) {
        let brokers = cluster.brokers;
        if usize::try_from(self.replication).is_ok_and(|replication| replication > brokers) {
            let Self { topic, replication, .. } = self;
            plan.refused.push(Difference::TooFewBrokers { topic, replication, brokers });
            return;
        }
        let configs = self.configs(self.replication);
        plan.steps.push(Step::Create {
            is_dead_letter: self.is_dead_letter,
            partitions: self.partitions,
            replication: self.replication,
            configs: configs
                .into_iter()
                .map(|(name, to)| ConfigChange { name, from: None, to })
                .collect(),
            topic: self.topic,
        });
    }

    fn adjust(self, state: &TopicState, options: Options, plan: &mut Plan) {
        let topic = self.topic.clone();
        let (from, to) = (state.partitions, self.partitions);
        if from < to {
            if self.is_keyed && !options.accept_reorder {
                plan.refused.push(Difference::WouldReorder { topic, from, to });
            } else {
                plan.steps.push(Step::Extend {
                    topic,
                    is_dead_letter: self.is_dead_letter,
                    from,
                    to,
                });
            }
        } else if from > to && !self.is_dead_letter {
            // A dead letter topic may have more partitions than its topic.
            plan.left_alone.push(Difference::MorePartitions {
                topic,
                on_cluster: from,
                in_catalogue: to,
            });
        }
        if state.replication != self.replication {
            plan.left_alone.push(Difference::Replication {
                topic: self.topic.clone(),
                on_cluster: state.replication,
                in_catalogue: self.replication,
            });
        }
        let wanted = self.configs(state.replication);
        let configs: Vec<_> =
            wanted.into_iter().filter_map(|(name, to)| change(name, to, &state.configs)).collect();
        if !configs.is_empty() {
            plan.steps.push(Step::Configure {
                topic: self.topic,
                is_dead_letter: self.is_dead_letter,
                configs,
            });
        }
    }

    /// The configs of a topic that has so many copies: more copies in sync than there are would make it unwritable.
    fn configs(&self, replication: i32) -> [(&'static str, String); 5] {
        [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", self.retention_ms.to_string()),
            // Time alone decides; a broker's default size limit would take events that the catalogue keeps.
            ("retention.bytes", "-1".to_owned()),
            ("min.insync.replicas", self.min_insync_replicas.min(replication).to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
        ]
    }
}

fn change(
    name: &'static str,
    to: String,
    on_cluster: &BTreeMap<String, String>,
) -> Option<ConfigChange> {
    let from = on_cluster.get(name);
    (from != Some(&to)).then(|| ConfigChange { name, from: from.cloned(), to })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
