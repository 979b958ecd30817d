use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::admin_native::{self, Isolation, PartitionOffset};
use super::{Admin, AdminError, REQUEST, TopicPartition, is_unanswered, refused};
use crate::names::{GroupName, TopicName};

/// What is asked of a coordinator, as a verb.
const COMMIT: &str = "commit a group's offsets";
/// The wait before a coordinator is asked again.
pub(super) const COORDINATOR_PAUSE: Duration = Duration::from_millis(100);

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
    /// Which partitions it was given.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

impl GroupMember {
    fn of(member: &GroupMemberInfo) -> Self {
        Self {
            id: member.id().to_owned(),
            client_id: member.client_id().to_owned(),
            host: member.client_host().to_owned(),
            partitions: member.assignment().and_then(assigned).unwrap_or_default(),
        }
    }

    /// The partitions of a topic that it was given.
    #[must_use]
    pub fn partitions_of(&self, topic: &TopicName) -> &[i32] {
        self.partitions.get(topic.as_str()).map_or(&[], Vec::as_slice)
    }
}

/// Reads what a member was given: `ConsumerProtocolAssignment` of Kafka's protocol, whose later versions only add to its
/// end. `None` where it is something else, as of a member that is not a consumer.
fn assigned(bytes: &[u8]) -> Option<BTreeMap<String, Vec<i32>>> {
    fn int(bytes: &mut &[u8]) -> Option<i32> {
        let (int, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(i32::from_be_bytes(*int))
    }
    fn short(bytes: &mut &[u8]) -> Option<i16> {
        let (short, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(i16::from_be_bytes(*short))
    }
    let mut bytes = bytes;
    short(&mut bytes)?;
    let mut topics = BTreeMap::new();
    for _ in 0..int(&mut bytes)? {
        let len = short(&mut bytes)?.try_into().ok()?;
        let (topic, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let partitions = (0..int(&mut bytes)?).map(|_| int(&mut bytes)).collect::<Option<_>>()?;
        topics.insert(String::from_utf8(topic.to_vec()).ok()?, partitions);
    }
    Some(topics)
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
        let mut groups = self.groups_named(None).await?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// A consumer group, if it exists.
    ///
    /// # Errors
    /// When a broker did not answer.
    pub async fn group(&self, group: &GroupName) -> Result<Option<GroupState>, AdminError> {
        let groups = self.groups_named(Some(group.clone())).await?;
        Ok(groups.into_iter().find(|state| state.name == group.as_str()))
    }

    async fn groups_named(&self, name: Option<GroupName>) -> Result<Vec<GroupState>, AdminError> {
        self.blocking("list its groups", move |client| {
            let name = name.as_ref().map(GroupName::as_str);
            let list = client.inner().fetch_group_list(name, REQUEST)?;
            let groups = list.groups().iter().map(|group| GroupState {
                name: group.name().to_owned(),
                state: group.state().to_owned(),
                protocol: group.protocol().to_owned(),
                members: group.members().iter().map(GroupMember::of).collect(),
            });
            Ok(groups.collect())
        })
        .await
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
                Err(error) if passes(&error) && Instant::now() < deadline => {
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
                Err(error) if passes(&error) && Instant::now() < deadline => {
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
        let ask = move |client: &_| {
            let answers = admin_native::list_group_offsets(client, &[group.as_str()], REQUEST)?;
            answers.into_iter().next().unwrap_or(Err(KafkaError::NoMessageReceived))
        };
        let operation = "tell a group's committed offsets";
        let answers = self.blocking_grouped(operation, ask, is_unanswered).await?;
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
        let answers = self.list_offsets(partitions, position.spec()).await?;
        Ok(by_partition("tell the offset of", answers))
    }

    /// The times of the first and of the newest record in each of these partitions, in milliseconds since the Unix epoch. A
    /// partition that is empty, or that did not tell, is left out.
    ///
    /// # Errors
    /// When a request as a whole failed.
    pub async fn times(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, (i64, i64)>, AdminError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Nothing is older than the epoch.
        let oldest = self.list_offsets(partitions.clone(), 0).await?;
        let newest = self.list_offsets(partitions, admin_native::SPEC_NEWEST).await?;
        let (oldest, newest) = (by_time(oldest), by_time(newest));
        let both = oldest.into_iter().filter_map(|(place, first)| {
            let last = newest.get(&place).copied()?;
            Some((place, (first, last)))
        });
        Ok(both.collect())
    }

    async fn list_offsets(
        &self,
        partitions: Vec<TopicPartition>,
        spec: i64,
    ) -> Result<Vec<PartitionOffset>, AdminError> {
        self.blocking("tell the offsets of its partitions", move |client| {
            let asked: Vec<_> =
                partitions.iter().map(|asked| (asked.topic.as_str(), asked.partition)).collect();
            let spec = (spec, Isolation::Committed);
            admin_native::list_offsets(client.inner(), &asked, spec, REQUEST)
        })
        .await
    }
}

impl Position {
    fn spec(self) -> i64 {
        match self {
            Self::Start => admin_native::SPEC_EARLIEST,
            Self::End => admin_native::SPEC_LATEST,
            // A negative time would be taken for one of the two above; nothing is older than the epoch.
            Self::At(millis) => millis.max(0),
        }
    }
}

/// Whether a group's coordinator is somewhere else, or about to be there: it is asked again.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::AdminOp(code) | KafkaError::ConsumerCommit(code)
            if matches!(
                code,
                RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorNotAvailable
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
            )
    )
}

/// [`is_passing`], of what a request as a whole came to.
fn passes(error: &AdminError) -> bool {
    matches!(error, AdminError::Failed { source, .. } if is_passing(source))
}

fn by_time(answers: Vec<PartitionOffset>) -> BTreeMap<TopicPartition, i64> {
    let told = answers.into_iter().filter(|answer| answer.timestamp >= 0 && answer.offset.is_ok());
    let place = |answer: PartitionOffset| {
        let topic = TopicName::new(&answer.topic).ok()?;
        Some((TopicPartition { topic, partition: answer.partition }, answer.timestamp))
    };
    told.filter_map(place).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_was_given_is_read_and_anything_else_is_nothing() {
        let given = b"\0\x03\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x04\0\0\0\x05\0\x02bc\0\0\0\0\xff\xff\xff\xff";
        let read = BTreeMap::from([("a".to_owned(), vec![4, 5]), ("bc".to_owned(), vec![])]);
        assert_eq!(assigned(given), Some(read));
        for cut in 0..given.len() - 4 {
            assert_eq!(assigned(&given[..cut]), None, "{cut}");
        }
        assert_eq!(assigned(b"\0\x01\xff\xff\xff\xff"), Some(BTreeMap::new()));
    }
}
