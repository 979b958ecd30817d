//! Committing and fetching offsets.

use kafka_protocol::ResponseError;

use super::ledger::{Entry, Offset, OffsetAt, PartitionName};
use super::state::{Committer, Group};
use super::{Groups, Shared, State};

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewOffset {
    pub topic: String,
    pub partition: i32,
    /// The next record to consume.
    pub offset: i64,
    /// -1: not known.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
    /// How long it is kept, where the client of an old version of the API says so.
    pub retention_ms: Option<i64>,
}

/// A topic's committed offsets, as a client asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedTopic {
    pub topic: String,
    pub partitions: Vec<CommittedPartition>,
}

/// A partition's committed offset; -1 where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedPartition {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
    pub error: Option<ResponseError>,
}

impl Groups {
    /// Commits offsets; answered once they are durable. Each has an outcome of its own.
    ///
    /// # Errors
    /// When nothing was committed; `missing` for a member of a group that doesn't exist.
    pub async fn commit(
        &self,
        id: &str,
        committer: &Committer,
        offsets: Vec<NewOffset>,
        missing: ResponseError,
    ) -> Result<Vec<Option<ResponseError>>, ResponseError> {
        let (applied, outcomes) = {
            let mut state = self.shared.lock();
            self.shared.admit(&mut state, id, committer, missing)?;
            let (offsets, outcomes) = self.shared.checked(offsets);
            if offsets.is_empty() {
                return Ok(outcomes);
            }
            let entry = Entry::Committed { group: id.to_owned(), offsets };
            (self.shared.write(&mut state, entry)?, outcomes)
        };
        applied.await?;
        Ok(outcomes)
    }

    /// The committed offsets of these partitions, or of all that have one. Where an open transaction may change an
    /// offset, `require_stable` gets an error to retry on instead.
    ///
    /// # Errors
    /// When the broker stops.
    pub fn committed(
        &self,
        group: &str,
        asked: Option<Vec<(String, Vec<i32>)>>,
        require_stable: bool,
    ) -> Result<Vec<CommittedTopic>, ResponseError> {
        let state = self.shared.lock();
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let ledger = &state.ledger;
        let asked = asked.unwrap_or_else(|| {
            let held = ledger.offsets(group);
            held.map(|(topic, partitions)| {
                (topic.to_owned(), partitions.map(|(index, _)| index).collect())
            })
            .collect()
        });
        let answered = asked.into_iter().map(|(topic, indexes)| {
            let partitions = indexes.into_iter().map(|partition| {
                let none = CommittedPartition::none(partition);
                if require_stable && ledger.is_staged(group, &topic, partition) {
                    let error = Some(ResponseError::UnstableOffsetCommit);
                    return CommittedPartition { error, ..none };
                }
                let offset = ledger.offset(group, &topic, partition);
                offset.map_or(none, |offset| CommittedPartition::of(partition, offset))
            });
            let partitions = partitions.collect();
            CommittedTopic { topic, partitions }
        });
        Ok(answered.collect())
    }

    /// Deletes committed offsets. Each has an outcome of its own; one that isn't there is no error.
    ///
    /// # Errors
    /// When nothing was deleted.
    pub async fn delete_offsets(
        &self,
        id: &str,
        partitions: Vec<PartitionName>,
    ) -> Result<Vec<Option<ResponseError>>, ResponseError> {
        let (applied, outcomes) = {
            let mut state = self.shared.lock();
            if id.is_empty() {
                return Err(ResponseError::InvalidGroupId);
            }
            let group = state.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?;
            group.check_offset_delete()?;
            let in_use =
                |topic: &str| group.uses(topic).then_some(ResponseError::GroupSubscribedToTopic);
            let outcomes: Vec<_> = partitions.iter().map(|name| in_use(&name.topic)).collect();
            let free = partitions.into_iter().zip(&outcomes).filter(|(_, error)| error.is_none());
            let partitions: Vec<_> = free.map(|(name, _)| name).collect();
            if partitions.is_empty() {
                return Ok(outcomes);
            }
            let entry = Entry::OffsetsRemoved { group: id.to_owned(), partitions };
            (self.shared.write(&mut state, entry)?, outcomes)
        };
        applied.await?;
        Ok(outcomes)
    }
}

impl Shared {
    /// Whether `committer` may commit for a group. One that is no member makes a group that doesn't exist.
    pub(super) fn admit(
        &self,
        state: &mut State,
        id: &str,
        committer: &Committer,
        missing: ResponseError,
    ) -> Result<(), ResponseError> {
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let now_ms = self.clock.now_ms();
        match state.groups.get_mut(id) {
            Some(group) => group.commit(committer, now_ms),
            None if committer.generation < 0 => {
                state.groups.insert(id.to_owned(), Group::new(id, now_ms));
                Ok(())
            }
            None => Err(missing),
        }
    }

    /// The offsets whose metadata is short enough, and the outcome of each.
    pub(super) fn checked(
        &self,
        offsets: Vec<NewOffset>,
    ) -> (Vec<OffsetAt>, Vec<Option<ResponseError>>) {
        let now_ms = self.clock.now_ms();
        let mut accepted = Vec::with_capacity(offsets.len());
        let mut outcomes = Vec::with_capacity(offsets.len());
        for new in offsets {
            if new.metadata.encode_utf16().count() > self.settings.max_metadata_length {
                outcomes.push(Some(ResponseError::OffsetMetadataTooLarge));
                continue;
            }
            outcomes.push(None);
            let offset = Offset {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata,
                committed_at_ms: now_ms,
                expires_at_ms: new.retention_ms.map(|ms| now_ms.saturating_add(ms)),
            };
            accepted.push(OffsetAt { topic: new.topic, partition: new.partition, offset });
        }
        (accepted, outcomes)
    }
}

impl CommittedPartition {
    /// Nothing is committed.
    pub fn none(partition: i32) -> Self {
        Self { partition, offset: -1, leader_epoch: -1, metadata: String::new(), error: None }
    }

    fn of(partition: i32, offset: &Offset) -> Self {
        Self {
            partition,
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.clone(),
            error: None,
        }
    }
}
