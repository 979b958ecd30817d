use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::admin_native::{self, PartitionOffset};
use super::{Admin, AdminError, REQUEST, TopicPartition, refused};
use crate::audit::OffsetMove;
use crate::names::{GroupName, TopicName};
use crate::reset::{self, Known, Target};

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

    /// Where each of these partitions would stand for a group after a reset, in order. Partitions that do not tell their
    /// offsets, and those of which a target says nothing, are left out.
    ///
    /// # Errors
    /// When Kafka did not answer or refused.
    pub async fn reset_moves(
        &self,
        group: &GroupName,
        partitions: Vec<TopicPartition>,
        target: Target,
    ) -> Result<Vec<OffsetMove>, AdminError> {
        let committed = self.committed_offsets(group).await?;
        let starts = self.offsets(Position::Start, partitions.clone()).await?;
        let ends = self.offsets(Position::End, partitions.clone()).await?;
        let at = match target {
            Target::At(time) => {
                self.offsets(Position::At(time.as_millisecond()), partitions.clone()).await?
            }
            _ => Offsets::new(),
        };
        let told = |offsets: &Offsets, place: &TopicPartition| match offsets.get(place) {
            Some(Ok(offset)) => Some(*offset),
            Some(Err(_)) | None => None,
        };
        let moves = partitions.into_iter().filter_map(|place| {
            // Who did not tell is not taken for somebody who has nothing to tell.
            let known = Known {
                committed: committed
                    .get(&place)
                    .map_or(Some(None), |_| told(&committed, &place))?,
                log_start: told(&starts, &place)??,
                log_end: told(&ends, &place)??,
                at: if matches!(target, Target::At(_)) { told(&at, &place)? } else { None },
            };
            let to = reset::offset(target, known)?;
            let TopicPartition { topic, partition } = place;
            Some(OffsetMove { group: group.clone(), topic, partition, from: known.committed, to })
        });
        Ok(moves.collect())
    }

    /// Commits offsets as if the group had, and reads them back. A group that has members refuses.
    ///
    /// # Errors
    /// When its coordinator refused, or did not answer: then it may have them all the same.
    pub async fn commit_offsets(
        &self,
        group: &GroupName,
        moves: &[OffsetMove],
    ) -> Result<(), AdminError> {
        let mut list = TopicPartitionList::new();
        for OffsetMove { topic, partition, to, .. } in moves {
            let added = list.add_partition_offset(topic.as_str(), *partition, Offset::Offset(*to));
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
        for OffsetMove { topic, partition, to, .. } in moves {
            let place = TopicPartition { topic: topic.clone(), partition: *partition };
            if !matches!(committed.get(&place), Some(Ok(Some(offset))) if offset == to) {
                let item = format!("of partition {partition} of {topic}");
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
