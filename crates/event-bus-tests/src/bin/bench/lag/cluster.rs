//! Topics and groups whose lag is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event_bus::KafkaConfig;
use event_bus::kafka::admin::{Admin, NewTopic, TopicPartition};
use event_bus::names::{GroupName, TopicName};
use event_bus_tests::kafka::{raw, send_all_at};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub const TOPICS: usize = 10;
const PARTITIONS: i32 = 6;
/// In each partition.
const RECORDS: i64 = 100;
/// So many groups commit at once.
const AT_ONCE: usize = 32;

/// What the groups' and topics' names begin with.
pub const PREFIX: &str = "w5-";

/// Groups that have committed in each partition.
pub struct Cluster {
    groups: usize,
}

fn topic_name(topic: usize) -> String {
    format!("{PREFIX}t{topic}")
}

/// What a group has committed.
fn committed(group: usize, topic: usize, partition: i32) -> i64 {
    let spread = group * 7 + topic * 3;
    (i64::try_from(spread).expect("it is small") + i64::from(partition)) % (RECORDS + 1)
}

impl Cluster {
    /// Makes what is not there yet: the first groups may be from an earlier cluster.
    pub async fn of(kafka: &KafkaConfig, groups: usize) -> Self {
        let admin = Admin::connect(kafka).expect("an admin client can be made");
        let known = admin.cluster().await.expect("Kafka answers").topics;
        for topic in 0..TOPICS {
            let name = TopicName::new(&topic_name(topic)).expect("it is a topic's");
            if known.contains_key(&name) {
                continue;
            }
            let new = NewTopic {
                name: name.clone(),
                partitions: PARTITIONS,
                replication: 1,
                configs: BTreeMap::new(),
            };
            for (_, made) in admin.create_topics(&[new]).await.expect("Kafka answers") {
                made.expect("it is made");
            }
            for partition in 0..PARTITIONS {
                let record = || {
                    let mut record = raw(&name, None, Some(b"x"), Vec::new());
                    record.partition = Some(partition);
                    record
                };
                let records = (0..RECORDS).map(|_| record()).collect();
                send_all_at(kafka, records).await;
            }
        }
        let existing = admin.groups().await.expect("Kafka answers");
        let existing: Vec<&str> = existing.iter().map(|group| group.name.as_str()).collect();
        let (gate, mut committing) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for group in 0..groups {
            let name = format!("{PREFIX}g{group}");
            if existing.contains(&name.as_str()) {
                continue;
            }
            let (admin, gate) = (admin.clone(), Arc::clone(&gate));
            committing.spawn(async move {
                let _permit = gate.acquire_owned().await.expect("it is never closed");
                let mut offsets = BTreeMap::new();
                for topic in 0..TOPICS {
                    for partition in 0..PARTITIONS {
                        let name = TopicName::new(&topic_name(topic)).expect("it is a topic's");
                        let at = TopicPartition { topic: name, partition };
                        offsets.insert(at, committed(group, topic, partition));
                    }
                }
                let group = GroupName::new(&name).expect("it is a group's");
                admin.commit_offsets(&group, &offsets).await.expect("Kafka commits");
            });
        }
        while let Some(done) = committing.join_next().await {
            done.expect("it does not panic");
        }
        Self { groups }
    }

    pub fn lags(&self) -> usize {
        self.groups * TOPICS * usize::try_from(PARTITIONS).expect("it is small")
    }

    /// Whether an exposition has each lag of these groups, and has it right; what is wrong otherwise.
    pub fn check(&self, text: &str, metric: &str, group_label: &str) -> Result<(), String> {
        let (mut right, head) = (0, format!("{metric}{{"));
        for line in text.lines().filter_map(|line| line.strip_prefix(&head)) {
            let (labels, value) = line.rsplit_once("} ").ok_or_else(|| line.to_owned())?;
            let labels: HashMap<&str, &str> = labels
                .split(',')
                .filter_map(|label| label.split_once('='))
                .map(|(name, value)| (name, value.trim_matches('"')))
                .collect();
            let number = |label: &str, prefix: &str| -> Option<usize> {
                labels.get(label)?.strip_prefix(prefix)?.parse().ok()
            };
            let group = number(group_label, &format!("{PREFIX}g"));
            let topic = number("topic", &format!("{PREFIX}t"));
            let partition = labels.get("partition").and_then(|text| text.parse().ok());
            let (Some(group), Some(topic), Some(partition)) = (group, topic, partition) else {
                continue;
            };
            let lag: f64 = value.parse().map_err(|_| line.to_owned())?;
            let wanted = (RECORDS - committed(group, topic, partition)) as f64;
            if (lag - wanted).abs() > 0.0 {
                return Err(format!("{line}, not {wanted}"));
            }
            right += usize::from(group < self.groups);
        }
        if right == self.lags() { Ok(()) } else { Err(format!("{right} of {}", self.lags())) }
    }
}
