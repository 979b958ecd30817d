//! Joining, syncing, heartbeats and leaving.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::Groups;
use super::action::{JoinAnswer, SyncAnswer};
use super::state::{Group, Join, Leaver, Left, Protocol, Sync};

/// A `JoinGroup`, as a client sent it.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    pub group: String,
    /// Empty: it has none yet.
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<Protocol>,
    /// Whether a dynamic member has to come back with the id that it is given.
    pub requires_member_id: bool,
    /// Whether it understands that it must not assign again.
    pub can_skip_assignment: bool,
}

/// A `SyncGroup`, as a client sent it.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
    pub group: String,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignments: BTreeMap<String, Bytes>,
}

impl Groups {
    /// A member joins; answered when the group's next generation begins.
    pub async fn join(&self, request: JoinRequest) -> JoinAnswer {
        let receiver = {
            let mut state = self.shared.lock();
            let known = state.groups.contains_key(&request.group);
            let refusal = if state.is_stopped {
                Some(ResponseError::CoordinatorNotAvailable)
            } else if request.group.is_empty() {
                Some(ResponseError::InvalidGroupId)
            } else if !self.shared.settings.accepts_session(request.session_timeout_ms) {
                Some(ResponseError::InvalidSessionTimeout)
            } else if !known && !request.member_id.is_empty() {
                Some(ResponseError::UnknownMemberId)
            } else {
                None
            };
            if let Some(error) = refusal {
                return JoinAnswer::refused(error, request.member_id);
            }
            let now_ms = self.shared.clock.now_ms();
            let (waiter, receiver) = state.park_join();
            let id = request.group.clone();
            let group = state.groups.entry(id).or_insert_with_key(|id| Group::new(id, now_ms));
            let (id, join) = joining(request, waiter);
            let actions = group.join(join, now_ms, &self.shared.settings);
            self.shared.act(&mut state, &id, actions);
            receiver
        };
        let gone = |_| JoinAnswer::refused(ResponseError::CoordinatorNotAvailable, "");
        receiver.await.unwrap_or_else(gone)
    }

    /// A member asks for its assignment; answered when the leader has brought it and it is durable.
    pub async fn sync(&self, request: SyncRequest) -> SyncAnswer {
        let receiver = {
            let mut state = self.shared.lock();
            let refusal = if state.is_stopped {
                Some(ResponseError::CoordinatorNotAvailable)
            } else if request.group.is_empty() {
                Some(ResponseError::InvalidGroupId)
            } else if !state.groups.contains_key(&request.group) {
                Some(ResponseError::UnknownMemberId)
            } else {
                None
            };
            if let Some(error) = refusal {
                return SyncAnswer::refused(error);
            }
            let (waiter, receiver) = state.park_sync();
            let id = request.group;
            let Some(group) = state.groups.get_mut(&id) else {
                return SyncAnswer::refused(ResponseError::UnknownMemberId);
            };
            let actions = group.sync(&Sync {
                waiter,
                member_id: request.member_id,
                instance_id: request.instance_id,
                generation: request.generation,
                protocol_type: request.protocol_type,
                protocol: request.protocol,
                assignments: request.assignments,
            });
            self.shared.act(&mut state, &id, actions);
            receiver
        };
        let gone = |_| SyncAnswer::refused(ResponseError::CoordinatorNotAvailable);
        receiver.await.unwrap_or_else(gone)
    }

    /// A member gives a sign of life, and hears whether it has to rejoin.
    ///
    /// # Errors
    /// Kafka's.
    pub fn heartbeat(
        &self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let mut state = self.shared.lock();
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let now_ms = self.shared.clock.now_ms();
        let group = state.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        group.heartbeat(member_id, instance_id, generation, now_ms)
    }

    /// Members leave, each with an outcome of its own.
    ///
    /// # Errors
    /// When the request as a whole is refused.
    pub fn leave(&self, id: &str, leavers: Vec<Leaver>) -> Result<Vec<Left>, ResponseError> {
        let mut state = self.shared.lock();
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let now_ms = self.shared.clock.now_ms();
        let Some(group) = state.groups.get_mut(id) else {
            let error = Some(ResponseError::UnknownMemberId);
            return Ok(leavers.into_iter().map(|leaver| Left { leaver, error }).collect());
        };
        let (left, actions) = group.leave(leavers, now_ms, &self.shared.settings);
        self.shared.act(&mut state, id, actions);
        Ok(left)
    }

    /// Asks the members of a group (none: of every group) to join again. For scripted faults.
    pub fn force_rebalance(&self, only: Option<&str>) {
        let mut state = self.shared.lock();
        let now_ms = self.shared.clock.now_ms();
        let asked = |id: &&String| only.is_none_or(|only| only == id.as_str());
        let ids: Vec<String> = state.groups.keys().filter(asked).cloned().collect();
        for id in ids {
            let Some(group) = state.groups.get_mut(&id) else { continue };
            let actions = group.force_rebalance(now_ms, &self.shared.settings);
            self.shared.act(&mut state, &id, actions);
        }
    }
}

/// The group's id and the event for its machine. A new member's id begins with a name that people recognise.
fn joining(request: JoinRequest, waiter: super::WaiterId) -> (String, Join) {
    let name = request.instance_id.as_deref().unwrap_or(&request.client_id);
    let join = Join {
        waiter,
        new_member_id: format!("{name}-{}", Uuid::now_v7()),
        member_id: request.member_id,
        instance_id: request.instance_id,
        client_id: request.client_id,
        client_host: request.client_host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols,
        requires_member_id: request.requires_member_id,
        can_skip_assignment: request.can_skip_assignment,
    };
    (request.group, join)
}
