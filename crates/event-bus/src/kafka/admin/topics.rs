use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminOptions, ConfigResource, NewPartitions, NewTopic as NativeTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use uuid::Uuid;

use super::super::admin_native;
use super::{Admin, AdminError, REQUEST, TopicPartition, refused};
use crate::names::TopicName;

/// How often the metadata is asked for while new partitions get their leaders.
const READY_POLL: Duration = Duration::from_millis(50);
/// What is asked for the topics of a cluster.
const LIST: &str = "list its topics";
/// So many topics are asked about one by one. More of them are found faster among all that there are.
const FEW: usize = 8;

/// The brokers and topics of a cluster, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// How many brokers there are.
    pub brokers: usize,
    /// The topics that exist.
    pub topics: BTreeMap<TopicName, TopicState>,
}

impl Cluster {
    fn take_in(&mut self, metadata: &Metadata) {
        self.brokers = metadata.brokers().len();
        self.topics.extend(metadata.topics().iter().filter_map(state_of));
    }

    /// The partitions of a topic; none where the topic does not exist.
    pub fn partitions(&self, topic: &TopicName) -> impl Iterator<Item = TopicPartition> {
        let count = self.topics.get(topic).map_or(0, |state| state.partitions);
        let topic = topic.clone();
        (0..count).map(move |partition| TopicPartition { topic: topic.clone(), partition })
    }
}

/// A topic as it is on the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// How many partitions it has.
    pub partitions: i32,
    /// Copies of each partition; where partitions differ, those of the one with the fewest.
    pub replication: i32,
    /// Whether each partition has a leader, so that it can be written and read.
    pub has_leaders: bool,
    /// Its effective configs, among them the defaults; empty unless they were asked for.
    pub configs: BTreeMap<String, String>,
}

/// A topic that is just being deleted has an error or no partitions, and is none.
fn state_of(topic: &MetadataTopic) -> Option<(TopicName, TopicState)> {
    let (name, partitions) = (TopicName::new(topic.name()).ok()?, topic.partitions());
    if topic.error().is_some() || partitions.is_empty() {
        return None;
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    let state = TopicState {
        partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        replication: i32::try_from(replicas.unwrap_or(0)).unwrap_or(i32::MAX),
        has_leaders: partitions.iter().all(|partition| partition.leader() >= 0),
        configs: BTreeMap::new(),
    };
    Some((name, state))
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions it gets.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// Configs that differ from the cluster's defaults, or must not follow them.
    pub configs: BTreeMap<&'static str, String>,
}

impl Admin {
    /// The brokers and all topics, without their configs.
    ///
    /// # Errors
    /// When no broker answered.
    pub async fn cluster(&self) -> Result<Cluster, AdminError> {
        self.blocking(LIST, |client| {
            let mut cluster = Cluster::default();
            cluster.take_in(&client.inner().fetch_metadata(None, REQUEST)?);
            Ok(cluster)
        })
        .await
    }

    /// The brokers and at least these topics, as far as they exist, without their configs. A few of them take no more than
    /// they need, however many partitions the cluster has.
    ///
    /// # Errors
    /// When no broker answered.
    pub async fn cluster_with(&self, topics: &[TopicName]) -> Result<Cluster, AdminError> {
        if topics.len() > FEW {
            return self.cluster().await;
        }
        let topics = topics.to_vec();
        self.blocking(LIST, move |client| {
            let mut cluster = Cluster::default();
            for topic in &topics {
                cluster.take_in(&client.inner().fetch_metadata(Some(topic.as_str()), REQUEST)?);
            }
            Ok(cluster)
        })
        .await
    }

    /// As [`Admin::cluster`], with the configs of those of `wanted` that exist.
    ///
    /// # Errors
    /// When no broker answered, or one topic's configs may not be read.
    pub async fn cluster_with_configs(&self, wanted: &[TopicName]) -> Result<Cluster, AdminError> {
        let mut cluster = self.cluster().await?;
        let existing: Vec<&TopicName> =
            wanted.iter().filter(|topic| cluster.topics.contains_key(*topic)).collect();
        if existing.is_empty() {
            return Ok(cluster);
        }
        let resources: Vec<_> =
            existing.iter().map(|topic| ResourceSpecifier::Topic(topic.as_str())).collect();
        let answers = self
            .client
            .describe_configs(&resources, &AdminOptions::new().request_timeout(Some(REQUEST)))
            .await
            .map_err(|source| self.failed("describe its topics", source))?;
        // The answers come in the order of the questions.
        for (topic, answer) in existing.into_iter().zip(answers) {
            let described =
                answer.map_err(|code| refused("describe topic", topic.as_str(), code))?;
            if let Some(state) = cluster.topics.get_mut(topic) {
                state.configs = configs(described);
            }
        }
        Ok(cluster)
    }

    /// Creates topics; each has its own outcome.
    ///
    /// # Errors
    /// When the request as a whole failed; then nothing is known of any topic.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<(TopicName, Result<(), AdminError>)>, AdminError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let native: Vec<_> = topics
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(topic.replication);
                let new = NativeTopic::new(topic.name.as_str(), topic.partitions, replication);
                topic.configs.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let answers = self
            .client
            .create_topics(&native, &changing())
            .await
            .map_err(|source| self.failed("create topics", source))?;
        Ok(answers.into_iter().filter_map(|answer| outcome("create topic", answer)).collect())
    }

    /// Gives topics more partitions, up to the given count; each has its own outcome.
    ///
    /// # Errors
    /// When the request as a whole failed; then nothing is known of any topic.
    pub async fn extend_topics(
        &self,
        topics: &[(TopicName, i32)],
    ) -> Result<Vec<(TopicName, Result<(), AdminError>)>, AdminError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let native: Vec<_> = topics
            .iter()
            .map(|(topic, partitions)| {
                NewPartitions::new(topic.as_str(), usize::try_from(*partitions).unwrap_or(0))
            })
            .collect();
        let answers = self
            .client
            .create_partitions(&native, &changing())
            .await
            .map_err(|source| self.failed("extend topics", source))?;
        Ok(answers.into_iter().filter_map(|answer| outcome("extend topic", answer)).collect())
    }

    /// Sets the named configs of topics and leaves their others as they are; each topic has its own outcome.
    ///
    /// # Errors
    /// When the request as a whole failed; then nothing is known of any topic.
    pub async fn set_configs(
        &self,
        topics: Vec<(TopicName, Vec<(&'static str, String)>)>,
    ) -> Result<Vec<(TopicName, Result<(), AdminError>)>, AdminError> {
        const OPERATION: &str = "change the configs of";
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self
            .blocking(OPERATION, move |client| {
                let configs: Vec<Vec<(&str, &str)>> = topics
                    .iter()
                    .map(|(_, configs)| {
                        configs.iter().map(|(name, value)| (*name, value.as_str())).collect()
                    })
                    .collect();
                let native: Vec<_> = topics
                    .iter()
                    .zip(&configs)
                    .map(|((topic, _), configs)| (topic.as_str(), configs.as_slice()))
                    .collect();
                admin_native::set_topic_configs(client.inner(), &native, REQUEST)
            })
            .await?;
        let outcomes = answers.into_iter().filter_map(|(topic, answer)| {
            let outcome = answer.map_err(|(code, detail)| AdminError::Refused {
                operation: OPERATION,
                item: topic.clone(),
                detail,
                code,
            });
            Some((TopicName::new(&topic).ok()?, outcome))
        });
        Ok(outcomes.collect())
    }

    /// The id that the topic got when it was made (KIP-516), which tells it from one of the same name that was deleted;
    /// `None` where there is no such topic.
    ///
    /// # Errors
    /// When no broker answered, or refused.
    pub async fn topic_id(&self, topic: &TopicName) -> Result<Option<Uuid>, AdminError> {
        let name = topic.clone();
        let halves = self
            .blocking("tell a topic's id", move |client| {
                admin_native::topic_id(client.inner(), name.as_str(), REQUEST)
            })
            .await?;
        Ok(halves.map(|(high, low)| Uuid::from_u64_pair(high, low)))
    }

    /// Waits until every one of `topics` is known with at least so many partitions, all with leaders: a topic can be
    /// used only some time after Kafka confirmed that it exists.
    ///
    /// # Errors
    /// When no broker answered, or `timeout` passed.
    pub async fn await_topics(
        &self,
        topics: &[(TopicName, i32)],
        timeout: Duration,
    ) -> Result<(), AdminError> {
        let deadline = Instant::now() + timeout;
        loop {
            let cluster = self.cluster().await?;
            let is_ready = |(topic, partitions): &(TopicName, i32)| {
                cluster
                    .topics
                    .get(topic)
                    .is_some_and(|state| state.has_leaders && state.partitions >= *partitions)
            };
            if topics.iter().all(is_ready) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let timed_out = KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
                return Err(self.failed("elect leaders of the new partitions", timed_out));
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }
}

fn changing() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST / 2))
}

fn outcome(
    operation: &'static str,
    answer: TopicResult,
) -> Option<(TopicName, Result<(), AdminError>)> {
    let (topic, outcome) = match answer {
        Ok(topic) => (topic, Ok(())),
        Err((topic, code)) => {
            let error = refused(operation, topic.as_str(), code);
            (topic, Err(error))
        }
    };
    // Kafka answers with the names that were asked for, and those were valid.
    Some((TopicName::new(&topic).ok()?, outcome))
}

pub(super) fn configs(described: ConfigResource) -> BTreeMap<String, String> {
    described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}
