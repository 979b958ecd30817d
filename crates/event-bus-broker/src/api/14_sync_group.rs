//! SyncGroup (key 14), versions 0 to 5: the leader brings the assignment, and each member is answered with its part
//! once that is durable.
//!
//! From version 5 a member says which protocol it takes the group's for; one that doesn't is refused.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};

use super::{Api, Call};
use crate::access::Operation;
use crate::group::{SyncAnswer, SyncRequest};

/// The first version that names the protocol.
const PROTOCOL: i16 = 5;

pub(super) fn api() -> Api {
    Api::new(ApiKey::SyncGroup, 0..=5, handle).waiting()
}

async fn handle(call: Call, request: SyncGroupRequest) -> Option<SyncGroupResponse> {
    let is_named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version >= PROTOCOL && !is_named {
        return Some(response(SyncAnswer::refused(ResponseError::InconsistentGroupProtocol)));
    }
    if let Err(error) = call.check_group(Operation::Read, &request.group_id) {
        return Some(response(SyncAnswer::refused(error)));
    }
    let assignments = request.assignments.into_iter();
    let assignments = assignments.map(|one| (one.member_id.to_string(), one.assignment)).collect();
    let sync = SyncRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol: request.protocol_name.map(|name| name.to_string()),
        assignments,
    };
    Some(response(call.node.groups.sync(sync).await))
}

fn response(answer: SyncAnswer) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(answer.error.map_or(0, |error| error.code()))
        .with_protocol_type(answer.protocol_type.map(Into::into))
        .with_protocol_name(answer.protocol.map(Into::into))
        .with_assignment(answer.assignment)
}
