//! `SyncGroup`: the leader brings the assignment, and everybody takes theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::super::action::{Action, SyncAnswer, Then, WaiterId};
use super::super::ledger::GroupRecord;
use super::{Group, Phase};

/// A `SyncGroup`.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    /// Who waits for the answer.
    pub waiter: WaiterId,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// What the member takes the group's protocol for, from version 5.
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// The leader's assignment by member id.
    pub assignments: BTreeMap<String, Bytes>,
}

impl Group {
    /// A member asks for its assignment.
    pub fn sync(&mut self, sync: &Sync) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Err(error) = self.check_sync(sync) {
            actions.push(Action::AnswerSync(sync.waiter, SyncAnswer::refused(error)));
            return actions;
        }
        match self.phase {
            Phase::Empty | Phase::PreparingRebalance => {
                let answer = SyncAnswer::refused(ResponseError::RebalanceInProgress);
                actions.push(Action::AnswerSync(sync.waiter, answer));
            }
            Phase::CompletingRebalance => self.park_sync(sync, &mut actions),
            Phase::Stable => {
                self.has_synced(&sync.member_id);
                let member = self.members.get(&sync.member_id);
                let assignment = member.map(|member| member.assignment.clone());
                let answer = self.assigned(assignment.unwrap_or_default());
                actions.push(Action::AnswerSync(sync.waiter, answer));
            }
        }
        actions
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ResponseError> {
        if self.phase == Phase::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        let differs = |asked: &Option<String>, held: &Option<String>| matches!((asked, held), (Some(asked), Some(held)) if asked != held);
        if sync.generation != self.generation {
            Err(ResponseError::IllegalGeneration)
        } else if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            Err(ResponseError::InconsistentGroupProtocol)
        } else {
            Ok(())
        }
    }

    fn park_sync(&mut self, sync: &Sync, actions: &mut Vec<Action>) {
        self.has_synced(&sync.member_id);
        if let Some(member) = self.members.get_mut(&sync.member_id)
            && let Some(former) = member.syncing.replace(sync.waiter)
        {
            let answer = SyncAnswer::refused(ResponseError::RebalanceInProgress);
            actions.push(Action::AnswerSync(former, answer));
        }
        if self.is_leader(&sync.member_id) {
            let mut record = self.record();
            for member in &mut record.members {
                member.assignment = sync.assignments.get(&member.id).cloned().unwrap_or_default();
            }
            actions.push(Action::Persist(record, Then::Assign));
        }
    }

    fn has_synced(&mut self, member_id: &str) {
        self.pending_syncs.remove(member_id);
        if self.pending_syncs.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    /// Gives each member its part of the durable assignment: the group is stable.
    pub(super) fn assign(&mut self, record: GroupRecord, now_ms: i64, actions: &mut Vec<Action>) {
        for assigned in record.members {
            let Some(member) = self.members.get_mut(&assigned.id) else { continue };
            member.assignment = assigned.assignment.clone();
            if let Some(waiter) = member.syncing.take() {
                let answer = self.assigned(assigned.assignment);
                actions.push(Action::AnswerSync(waiter, answer));
                self.keep_alive(&assigned.id, now_ms);
            }
        }
        self.transition_to(Phase::Stable, now_ms);
    }

    fn assigned(&self, assignment: Bytes) -> SyncAnswer {
        SyncAnswer {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }
}
