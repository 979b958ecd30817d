//! What the membership machine asks its shell to do.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::ledger::GroupRecord;

/// A request that is parked until the group can answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaiterId(pub u64);

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Answer a `JoinGroup`.
    AnswerJoin(WaiterId, JoinAnswer),
    /// Answer a `SyncGroup`.
    AnswerSync(WaiterId, SyncAnswer),
    /// Make this record durable, then tell the group.
    Persist(GroupRecord, Then),
}

/// What follows once a group's record is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The leader's assignment counts: the members get it.
    Assign,
    /// A static member came back under a new id and may go on with its assignment.
    WelcomeBack(Returning),
    /// Nothing: the group ran empty, or nobody waits.
    Nothing,
}

/// A static member that replaces its former self without a rebalance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Returning {
    /// Its new id.
    pub member_id: String,
    /// Who led the group before it came back.
    pub former_leader: String,
    /// Whether it understands that it must not assign again (KIP-814).
    pub can_skip_assignment: bool,
}

/// The answer to a `JoinGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinAnswer {
    pub error: Option<ResponseError>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// The leader's member id; empty where an error stands.
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// Everybody and what they subscribe to, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member as its group's leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

impl JoinAnswer {
    /// A refusal, with the member id that the client shall use from now on (none: start anew).
    pub fn refused(error: ResponseError, member_id: impl Into<String>) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// The answer to a `SyncGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncAnswer {
    pub error: Option<ResponseError>,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl SyncAnswer {
    pub fn refused(error: ResponseError) -> Self {
        Self { error: Some(error), protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}
