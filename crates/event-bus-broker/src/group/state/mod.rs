//! The classic group protocol of one group, as a pure machine: an event and the time go in, actions come out.
//!
//! The rules are Apache Kafka's. Its state `Dead` is not here: an empty group is simply dropped, and a request to
//! a group that is not there is answered without a machine.

mod describe;
mod join;
mod leave;
mod member;
mod rebalance;
mod returning;
mod subscription;
mod sync;
mod timers;
mod validate;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

pub(crate) use describe::{Description, MemberDescription};
pub(crate) use join::Join;
pub(crate) use leave::{Leaver, Left};
pub(crate) use member::Protocol;
pub(crate) use sync::Sync;
pub(crate) use validate::Committer;

use super::action::{Action, JoinAnswer, JoinedMember, SyncAnswer, WaiterId};
use super::ledger::GroupRecord;
use member::Member;

/// Where a group is in its rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no members.
    Empty,
    /// Its members are asked to join again.
    PreparingRebalance,
    /// Its members have joined and wait for the leader's assignment.
    CompletingRebalance,
    /// Its members have their assignment.
    Stable,
}

impl Phase {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// How long a rebalance waits for joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JoinDeadline {
    at_ms: i64,
    /// Where the group was empty: the delay that runs, and what the whole wait may yet be extended by.
    initial: Option<(i64, i64)>,
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    id: String,
    phase: Phase,
    /// The phase before; a rebalance that began empty waits for its delay, whoever has joined.
    previous: Phase,
    /// Since when it is in its phase.
    since_ms: i64,
    generation: i32,
    protocol_type: Option<String>,
    /// The protocol that the members' votes chose.
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Member ids by instance id.
    statics: BTreeMap<String, String>,
    /// Ids that were handed out and not used yet, with the end of their session.
    pending_joins: BTreeMap<String, i64>,
    /// Members of this generation that haven't asked for their assignment yet.
    pending_syncs: BTreeSet<String>,
    /// Somebody joined during the initial delay, so it is extended.
    new_member_added: bool,
    join_deadline: Option<JoinDeadline>,
    sync_deadline_ms: Option<i64>,
    /// The topics that the members subscribe to, where that is known.
    subscribed: Option<BTreeSet<String>>,
    /// No deadline is earlier than this.
    wake_at_ms: Option<i64>,
}

impl Group {
    /// A group without members.
    pub fn new(id: impl Into<String>, now_ms: i64) -> Self {
        Self {
            id: id.into(),
            phase: Phase::Empty,
            previous: Phase::Empty,
            since_ms: now_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            new_member_added: false,
            join_deadline: None,
            sync_deadline_ms: None,
            subscribed: None,
            wake_at_ms: None,
        }
    }

    /// The group as an earlier broker left it: its members go on, each with a fresh session.
    pub fn restored(record: GroupRecord, now_ms: i64) -> Self {
        let mut group = Self::new(record.group, now_ms);
        group.generation = record.generation;
        group.since_ms = record.since_ms;
        group.protocol_type = record.protocol_type;
        group.leader = record.leader;
        let protocol = record.protocol.unwrap_or_default();
        for member in record.members {
            let member = Member::restored(member, &protocol, now_ms);
            if let Some(instance_id) = &member.instance_id {
                group.statics.insert(instance_id.clone(), member.id.clone());
            }
            group.members.insert(member.id.clone(), member);
        }
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
            group.previous = Phase::Stable;
            group.protocol = Some(protocol);
        }
        group.subscribed = group.subscribed_topics();
        group.wake_at_ms = group.earliest_deadline();
        group
    }

    /// The group's durable form.
    pub fn record(&self) -> GroupRecord {
        let protocol = self.protocol.as_deref();
        GroupRecord {
            group: self.id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since_ms: self.since_ms,
            members: self.members.values().map(|member| member.record(protocol)).collect(),
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    fn transition_to(&mut self, phase: Phase, now_ms: i64) {
        self.previous = self.phase;
        self.phase = phase;
        self.since_ms = now_ms;
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn all_joined(&self) -> bool {
        self.pending_joins.is_empty()
            && self.members.values().all(|member| member.joining.is_some())
    }

    /// The longest rebalance time-out of the members.
    fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout_ms.max(0));
        timeouts.max().unwrap_or(0).into()
    }

    /// Whether a member of this type with these protocols can be in the group.
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let is_common = |name: &str| self.members.values().all(|member| member.supports(name));
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| is_common(&protocol.name))
    }

    /// The protocol with the most votes: each member votes for the first of its own that all support. Of equals
    /// the one that sorts first.
    fn chosen_protocol(&self) -> Option<String> {
        let is_common = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|protocol| is_common(&protocol.name));
            if let Some(protocol) = vote {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert(instance_id.clone(), member.id.clone());
        }
        self.pending_joins.remove(&member.id);
        self.leader.get_or_insert_with(|| member.id.clone());
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member, pending or not. Its parked requests are answered: it has to start anew, if it lives.
    fn remove(&mut self, member_id: &str, actions: &mut Vec<Action>) {
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
        let Some(member) = self.members.remove(member_id) else { return };
        let error = ResponseError::UnknownMemberId;
        if let Some(waiter) = member.joining {
            actions.push(Action::AnswerJoin(waiter, JoinAnswer::refused(error, "")));
        }
        if let Some(waiter) = member.syncing {
            actions.push(Action::AnswerSync(waiter, SyncAnswer::refused(error)));
        }
        if let Some(instance_id) = &member.instance_id {
            self.statics.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Parks a member's join. A former one that is still parked is released: its client has given it up.
    fn park_join(&mut self, member_id: &str, waiter: WaiterId, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Some(former) = member.joining.replace(waiter) {
            let error = ResponseError::RebalanceInProgress;
            actions.push(Action::AnswerJoin(former, JoinAnswer::refused(error, member_id)));
        }
    }

    /// Answers a member's parked join, if there is one.
    fn answer_join(&mut self, member_id: &str, answer: JoinAnswer, actions: &mut Vec<Action>) {
        let parked = self.members.get_mut(member_id).and_then(|member| member.joining.take());
        if let Some(waiter) = parked {
            actions.push(Action::AnswerJoin(waiter, answer));
        }
    }

    /// What a member of the current generation is told; the leader also learns who the members are.
    fn welcome(&self, member_id: &str) -> JoinAnswer {
        JoinAnswer {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if self.is_leader(member_id) { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref();
        let joined = self.members.values().map(|member| JoinedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        joined.collect()
    }
}
