//! Who may do what: heartbeats, commits and deletions.

use kafka_protocol::ResponseError;

use super::{Group, Phase};

/// The protocol type of consumers; groups of other types (Kafka Connect's) assign other things than partitions.
pub(super) const CONSUMER: &str = "consumer";

/// Who commits offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committer {
    /// Empty: no member of the group.
    pub member_id: String,
    pub instance_id: Option<String>,
    /// -1: no member of the group.
    pub generation: i32,
    /// The commit belongs to a transaction.
    pub in_transaction: bool,
}

impl Group {
    /// Whether this is the id of a member; one of an instance that has been replaced is fenced.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(known) if known != member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// A member lives. It hears here that it has to rejoin.
    ///
    /// # Errors
    /// Kafka's.
    pub fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        self.keep_alive(member_id, now_ms);
        match self.phase {
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            // A consumer may send heartbeats before it has its assignment.
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// Whether `committer` may commit offsets for this group. A member's commit is a sign of life.
    ///
    /// # Errors
    /// Kafka's.
    pub fn commit(&mut self, committer: &Committer, now_ms: i64) -> Result<(), ResponseError> {
        let Committer { member_id, instance_id, generation, in_transaction } = committer;
        // No member: an administrator, or a consumer that assigns its partitions itself.
        if *generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if *generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.check_member(member_id, instance_id.as_deref())?;
            if *generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !in_transaction && self.phase != Phase::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        if *in_transaction {
            return Ok(());
        }
        match self.phase {
            Phase::CompletingRebalance => return Err(ResponseError::RebalanceInProgress),
            Phase::Stable | Phase::PreparingRebalance => self.keep_alive(member_id, now_ms),
            Phase::Empty => {}
        }
        Ok(())
    }

    /// Whether the group may be deleted.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP`.
    pub fn check_delete(&self) -> Result<(), ResponseError> {
        if self.phase == Phase::Empty { Ok(()) } else { Err(ResponseError::NonEmptyGroup) }
    }

    /// Whether offsets of the group may be deleted at all.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP`, for a group that doesn't say which topics it uses.
    pub fn check_offset_delete(&self) -> Result<(), ResponseError> {
        if self.phase == Phase::Empty || self.protocol_type.as_deref() == Some(CONSUMER) {
            Ok(())
        } else {
            Err(ResponseError::NonEmptyGroup)
        }
    }

    /// From when on an offset's retention counts; none while its group uses it.
    pub fn retention_base_ms(&self, topic: &str, committed_at_ms: i64) -> Option<i64> {
        match (self.protocol_type.as_deref(), self.phase) {
            // A consumer that assigns its partitions itself shows only by its commits.
            (None, _) => Some(committed_at_ms),
            (Some(_), Phase::Empty) => Some(self.since_ms),
            (Some(CONSUMER), Phase::Stable) if !self.uses(topic) => Some(committed_at_ms),
            (Some(_), _) => None,
        }
    }
}
