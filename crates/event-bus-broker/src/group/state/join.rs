//! `JoinGroup`: a member comes, or comes again.

use kafka_protocol::ResponseError;

use super::super::action::{Action, JoinAnswer, WaiterId};
use super::super::settings::{GroupSettings, NEW_MEMBER_JOIN_TIMEOUT, millis};
use super::member::{Member, Protocol};
use super::{Group, Phase};

/// A `JoinGroup`.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Who waits for the answer.
    pub waiter: WaiterId,
    /// Empty: it has none yet.
    pub member_id: String,
    pub instance_id: Option<String>,
    /// The id that it gets if it has none.
    pub new_member_id: String,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<Protocol>,
    /// Whether a dynamic member has to come back with the id that it is given (from version 4).
    pub requires_member_id: bool,
    /// Whether it understands that it must not assign again (from version 9).
    pub can_skip_assignment: bool,
}

impl Join {
    fn refused(&self, error: ResponseError) -> Action {
        Action::AnswerJoin(self.waiter, JoinAnswer::refused(error, self.member_id.clone()))
    }
}

impl Group {
    /// A member joins. Its session time-out has been checked.
    pub fn join(&mut self, join: Join, now_ms: i64, settings: &GroupSettings) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.has_room_for(&join.member_id, settings.max_members) {
            self.remove(&join.member_id.clone(), &mut actions);
            let answer = JoinAnswer::refused(ResponseError::GroupMaxSizeReached, "");
            actions.push(Action::AnswerJoin(join.waiter, answer));
        } else if !self.supports(&join.protocol_type, &join.protocols) {
            actions.push(join.refused(ResponseError::InconsistentGroupProtocol));
        } else if join.member_id.is_empty() {
            self.join_unknown(join, now_ms, settings, &mut actions);
        } else if self.pending_joins.contains_key(&join.member_id) {
            let id = join.member_id.clone();
            self.add(id, join, now_ms, settings, &mut actions);
        } else if let Err(error) = self.check_member(&join.member_id, join.instance_id.as_deref()) {
            actions.push(join.refused(error));
        } else {
            self.rejoin(join, now_ms, settings, &mut actions);
        }
        actions
    }

    /// Whether a joining member may come in. Ids that are handed out and not used are bounded as members are: a client
    /// that asks for ids for ever can't fill the memory. Those who wait are counted while members rejoin, so that a group that
    /// is above the bound loses its last ones.
    fn has_room_for(&self, member_id: &str, max_members: usize) -> bool {
        if member_id.is_empty() && self.pending_joins.len() >= max_members {
            return false;
        }
        let known = self.members.get(member_id);
        match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance => {
                let is_joining = known.is_some_and(|member| member.joining.is_some());
                let waiting = self.members.values().filter(|member| member.joining.is_some());
                is_joining || waiting.count() < max_members
            }
            Phase::CompletingRebalance | Phase::Stable => {
                known.is_some() || self.members.len() < max_members
            }
        }
    }

    /// A member without an id. A dynamic one is sent away with an id and has to come back with it, so that a
    /// client which asks again and again leaves no trail of members.
    fn join_unknown(
        &mut self,
        join: Join,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        let new_id = join.new_member_id.clone();
        let former = join.instance_id.as_ref().and_then(|id| self.statics.get(id)).cloned();
        if let Some(former) = former {
            self.replace_static(&former, join, now_ms, settings, actions);
        } else if join.instance_id.is_none() && join.requires_member_id {
            let ends_ms = now_ms.saturating_add(join.session_timeout_ms.into());
            self.pending_joins.insert(new_id.clone(), ends_ms);
            self.wake_by(ends_ms);
            let answer = JoinAnswer::refused(ResponseError::MemberIdRequired, new_id);
            actions.push(Action::AnswerJoin(join.waiter, answer));
        } else {
            self.add(new_id, join, now_ms, settings, actions);
        }
    }

    /// Adds a member. It may wait for a bounded time in its parked join, not for its session: it can't send
    /// heartbeats before it has its answer.
    fn add(
        &mut self,
        id: String,
        join: Join,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        if self.phase == Phase::PreparingRebalance && self.previous == Phase::Empty {
            self.new_member_added = true;
        }
        let ends_ms = now_ms.saturating_add(millis(NEW_MEMBER_JOIN_TIMEOUT));
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.insert(Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: bytes::Bytes::new(),
            joining: Some(join.waiter),
            syncing: None,
            is_new: true,
            session_ends_ms: Some(ends_ms),
        });
        self.wake_by(ends_ms);
        self.rebalance_or_complete(now_ms, settings, actions);
    }

    /// A member joins again. Where nothing changed that the others must know, it gets the current generation: it
    /// may have missed the answer.
    fn rejoin(
        &mut self,
        join: Join,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        let is_unchanged = self
            .members
            .get(&join.member_id)
            .is_some_and(|known| known.protocols == join.protocols);
        let keeps_generation = match self.phase {
            Phase::PreparingRebalance | Phase::Empty => false,
            Phase::CompletingRebalance => is_unchanged,
            // The leader may know of a change that is in no member's metadata, such as a topic's new partitions.
            Phase::Stable => is_unchanged && !self.is_leader(&join.member_id),
        };
        if keeps_generation {
            actions.push(Action::AnswerJoin(join.waiter, self.welcome(&join.member_id)));
        } else {
            let id = join.member_id.clone();
            self.update(&id, join, actions);
            self.rebalance_or_complete(now_ms, settings, actions);
        }
    }

    /// Takes over what a member now says of itself, and parks its join.
    pub(super) fn update(&mut self, id: &str, join: Join, actions: &mut Vec<Action>) {
        self.park_join(id, join.waiter, actions);
        if let Some(member) = self.members.get_mut(id) {
            member.protocols = join.protocols;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
        }
    }
}
