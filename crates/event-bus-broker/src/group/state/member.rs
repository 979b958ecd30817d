//! One member of a group.

use bytes::Bytes;

use super::super::action::WaiterId;
use super::super::ledger::MemberRecord;

/// A protocol that a member supports: its name, and what the member tells the leader under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// One member of a group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// The parked `JoinGroup`.
    pub joining: Option<WaiterId>,
    /// The parked `SyncGroup`.
    pub syncing: Option<WaiterId>,
    /// It never got an answer to a `JoinGroup`, so it can't send heartbeats yet.
    pub is_new: bool,
    /// When it is taken for dead; none while only its parked request keeps it alive.
    pub session_ends_ms: Option<i64>,
}

impl Member {
    /// The member as an earlier broker knew it, with the one protocol that the group had chosen.
    pub fn restored(record: MemberRecord, protocol: &str, now_ms: i64) -> Self {
        let session_ends_ms = Some(now_ms.saturating_add(record.session_timeout_ms.into()));
        Self {
            id: record.id,
            instance_id: record.instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            session_timeout_ms: record.session_timeout_ms,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            protocols: vec![Protocol { name: protocol.to_owned(), metadata: record.metadata }],
            assignment: record.assignment,
            joining: None,
            syncing: None,
            is_new: false,
            session_ends_ms,
        }
    }

    pub fn record(&self, protocol: Option<&str>) -> MemberRecord {
        MemberRecord {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    pub fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|supported| supported.name == protocol)
    }

    /// What the member tells under this protocol; nothing under one that it doesn't support.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let told =
            self.protocols.iter().find(|supported| Some(supported.name.as_str()) == protocol);
        told.map(|supported| supported.metadata.clone()).unwrap_or_default()
    }
}
