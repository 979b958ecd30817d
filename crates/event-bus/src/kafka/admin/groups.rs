use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::admin_native::{self, PartitionOffset};
use super::{Admin, AdminError, REQUEST, TopicPartition, refused};
use crate::names::{GroupName, TopicName};

/// What is asked of a coordinator, as a verb.
const COMMIT: &str = "commit a group's offsets";
/// The wait before a coordinator is asked again.
const COORDINATOR_PAUSE: Duration = Duration::from_millis(100);

/// A consumer group as its coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The group's name; it may be any text, for others use the cluster too.
    pub name: String,
    /// Kafka's word for its state, for example `Stable` or `Empty`.
    pub state: String,
    /// How partitions are assigned, for example `cooperative-sticky`; empty when nobody is in it.
    pub protocol: String,
    /// Who is in it.
    pub members: Vec<GroupMember>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
}

/// Where in a partition an offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first record that is still there.
    Start,
    /// Behind the last record that may be read.
    End,
    /// The first record at or after a time, in milliseconds since the Unix epoch.
    At(i64),
}

/// One answer per partition; a partition without leader does not take the others' answers away.
pub type Offsets = BTreeMap<TopicPartition, Result<Option<i64>, AdminError>>;

impl Admin {
    /// All consumer groups of the cluster, sorted by name, also those without members.
    ///
    /// # Errors
    /// When a broker did not answer.
    pub async fn groups(&self) -> Result<Vec<GroupState>, AdminError> {
        let mut groups = self
            .blocking("list its groups", |client| {
                let list = client.inner().fetch_group_list(None, REQUEST)?;
                let groups = list.groups().iter().map(|group| GroupState {
                    name: group.name().to_owned(),
                    state: group.state().to_owned(),
                    protocol: group.protocol().to_owned(),
                    members: group
                        .members()
                        .iter()
                        .map(|member| GroupMember {
                            id: member.id().to_owned(),
                            client_id: member.client_id().to_owned(),
                            host: member.client_host().to_owned(),
                        })
                        .collect(),
                });
                Ok(groups.collect::<Vec<_>>())
            })
            .await?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// The offsets that a group has committed, of all its topics. Partitions without a commit are absent, or `None`. A
    /// coordinator that has moved or still loads is asked again, as long as a request may take.
    ///
    /// # Errors
    /// When the group's coordinator did not answer or refused.
    pub async fn committed_offsets(&self, group: &GroupName) -> Result<Offsets, AdminError> {
        let deadline = Instant::now() + REQUEST;
        loop {
            match self.ask_committed_offsets(group.clone()).await {
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(COORDINATOR_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Commits offsets as if the group had, and reads them back. A group that has members refuses.
    ///
    /// # Errors
    /// When its coordinator refused, or did not answer: then it may have them all the same.
    pub async fn commit_offsets(
        &self,
        group: &GroupName,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), AdminError> {
        let mut list = TopicPartitionList::new();
        for (TopicPartition { topic, partition }, offset) in offsets {
            let offset = Offset::Offset(*offset);
            let added = list.add_partition_offset(topic.as_str(), *partition, offset);
            added.map_err(|source| self.failed(COMMIT, source))?;
        }
        let deadline = Instant::now() + REQUEST;
        loop {
            let (config, group, list) = (Arc::clone(&self.config), group.clone(), list.clone());
            let committed = self.blocking(COMMIT, move |_| {
                let native = config.consumer(group.as_str());
                let consumer: BaseConsumer = native.create()?;
                consumer.commit(&list, CommitMode::Sync)
            });
            match committed.await {
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(COORDINATOR_PAUSE).await;
                }
                answer => break answer?,
            }
        }
        // The client is content with a commit that some partitions refused.
        let committed = self.committed_offsets(group).await?;
        for (place, offset) in offsets {
            if !matches!(committed.get(place), Some(Ok(Some(now))) if now == offset) {
                let item = format!("of partition {} of {}", place.partition, place.topic);
                return Err(refused(COMMIT, item, RDKafkaErrorCode::Fail));
            }
        }
        Ok(())
    }

    async fn ask_committed_offsets(&self, group: GroupName) -> Result<Offsets, AdminError> {
        let answers = self
            .blocking_grouped("tell a group's committed offsets", move |client| {
                admin_native::list_group_offsets(client, group.as_str(), REQUEST)
            })
            .await?;
        Ok(by_partition("tell the committed offset of", answers))
    }

    /// The offset at a position in each of these partitions. [`Position::At`] a time after the last record is `None`.
    ///
    /// # Errors
    /// When the request as a whole failed.
    pub async fn offsets(
        &self,
        position: Position,
        partitions: Vec<TopicPartition>,
    ) -> Result<Offsets, AdminError> {
        if partitions.is_empty() {
            return Ok(Offsets::new());
        }
        let spec = match position {
            Position::Start => admin_native::SPEC_EARLIEST,
            Position::End => admin_native::SPEC_LATEST,
            // A negative time would be taken for one of the two above; nothing is older than the epoch.
            Position::At(millis) => millis.max(0),
        };
        let answers = self
            .blocking("tell the offsets of its partitions", move |client| {
                let asked: Vec<_> = partitions
                    .iter()
                    .map(|asked| (asked.topic.as_str(), asked.partition))
                    .collect();
                admin_native::list_offsets(client.inner(), &asked, spec, REQUEST)
            })
            .await?;
        Ok(by_partition("tell the offset of", answers))
    }
}

/// Whether a group's coordinator is somewhere else, or about to be there.
fn is_passing(error: &AdminError) -> bool {
    let AdminError::Failed { source, .. } = error else { return false };
    matches!(
        **source,
        KafkaError::AdminOp(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        ) | KafkaError::ConsumerCommit(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

fn by_partition(operation: &'static str, answers: Vec<PartitionOffset>) -> Offsets {
    answers
        .into_iter()
        .filter_map(|answer| {
            let item = format!("{}[{}]", answer.topic, answer.partition);
            let offset = answer.offset.map_err(|code| refused(operation, item, code));
            let offset = offset.map(|offset| (offset >= 0).then_some(offset));
            let topic = TopicName::new(&answer.topic).ok()?;
            Some((TopicPartition { topic, partition: answer.partition }, offset))
        })
        .collect()
}
