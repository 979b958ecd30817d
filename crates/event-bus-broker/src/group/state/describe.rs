//! What a group shows of itself.

use bytes::Bytes;

use super::{Group, Phase};

/// A group as `DescribeGroups` and `ListGroups` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub id: String,
    pub phase: Phase,
    /// Empty for a group that was only ever committed to.
    pub protocol_type: String,
    /// Empty unless the group is stable.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// A member as `DescribeGroups` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberDescription {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// What it subscribes to; empty unless the group is stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl Group {
    /// The group without its members.
    pub fn summary(&self) -> Description {
        Description {
            id: self.id.clone(),
            phase: self.phase,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.shown_protocol().unwrap_or_default().to_owned(),
            members: Vec::new(),
        }
    }

    fn shown_protocol(&self) -> Option<&str> {
        self.protocol.as_deref().filter(|_| self.phase == Phase::Stable)
    }

    /// The group with its members.
    pub fn describe(&self) -> Description {
        let protocol = self.shown_protocol();
        let members = self.members.values().map(|member| MemberDescription {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        Description { members: members.collect(), ..self.summary() }
    }
}
