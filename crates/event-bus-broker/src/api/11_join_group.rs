//! JoinGroup (key 11), versions 0 to 9: a member joins a group, and is answered when the next generation begins.
//!
//! From version 4 a dynamic member without an id is sent away with one (KIP-394); from version 5 a member may be static
//! (KIP-345); from version 9 a returning static leader is told to skip the assignment (KIP-814).

use std::net::IpAddr;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::access::Operation;
use crate::group::{JoinAnswer, JoinRequest, Protocol};

/// The first version with a rebalance time-out of its own.
const REBALANCE_TIMEOUT: i16 = 1;
/// The first version in which a dynamic member has to come back with the id that it is given.
const MEMBER_ID_REQUIRED: i16 = 4;
/// The first version that names the protocol's type, and may leave out the protocol.
const PROTOCOL_TYPE: i16 = 7;
/// The first version that can tell a leader not to assign again.
const SKIP_ASSIGNMENT: i16 = 9;

pub(super) fn api() -> Api {
    Api::new(ApiKey::JoinGroup, 0..=9, handle).waiting()
}

async fn handle(call: Call, request: JoinGroupRequest) -> Option<JoinGroupResponse> {
    let version = call.version;
    if let Err(error) = call.check_group(Operation::Read, &request.group_id) {
        let answer = JoinAnswer::refused(error, request.member_id.to_string());
        return Some(response(answer, version));
    }
    let rebalance_timeout_ms = match version {
        REBALANCE_TIMEOUT.. => request.rebalance_timeout_ms,
        _ => request.session_timeout_ms,
    };
    let protocols = request
        .protocols
        .into_iter()
        .map(|protocol| Protocol { name: protocol.name.to_string(), metadata: protocol.metadata });
    let join = JoinRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: call.client_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        client_host: host(call.peer.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        requires_member_id: version >= MEMBER_ID_REQUIRED,
        can_skip_assignment: version >= SKIP_ASSIGNMENT,
    };
    Some(response(call.node.groups.join(join).await, version))
}

fn response(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let members = answer.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(member.id.into())
            .with_group_instance_id(member.instance_id.map(Into::into))
            .with_metadata(member.metadata)
    });
    let protocol = match answer.protocol {
        Some(protocol) => Some(protocol.into()),
        None if version >= PROTOCOL_TYPE && answer.error.is_none() => None,
        None => Some(StrBytes::new()),
    };
    JoinGroupResponse::default()
        .with_error_code(answer.error.map_or(0, |error| error.code()))
        .with_generation_id(answer.generation)
        .with_protocol_type(answer.protocol_type.map(Into::into))
        .with_protocol_name(protocol)
        .with_leader(answer.leader.into())
        .with_skip_assignment(answer.skip_assignment)
        .with_member_id(answer.member_id.into())
        .with_members(members.collect())
}

/// An address as Java writes it, which is what tools show.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let segments = address.segments().map(|segment| format!("{segment:x}"));
            format!("/{}", segments.join(":"))
        }
    }
}
