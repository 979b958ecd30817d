//! LeaveGroup (key 13), versions 0 to 5: members leave, by themselves or sent away by an administrator.
//!
//! From version 3 several leave at once, each with an outcome of its own; before, the outcome is the response's.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{ApiKey, LeaveGroupRequest, LeaveGroupResponse};

use super::{Api, Call};
use crate::access::Operation;
use crate::group::{Leaver, Left};

/// The first version in which several leave.
const BATCHED: i16 = 3;

pub(super) fn api() -> Api {
    Api::new(ApiKey::LeaveGroup, 0..=5, handle)
}

async fn handle(call: Call, request: LeaveGroupRequest) -> Option<LeaveGroupResponse> {
    let is_batched = call.version >= BATCHED;
    let leavers = if is_batched {
        let members = request.members.into_iter().map(|member| Leaver {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(|id| id.to_string()),
        });
        members.collect()
    } else {
        vec![Leaver { member_id: request.member_id.to_string(), instance_id: None }]
    };
    let response = LeaveGroupResponse::default();
    let left = call.check_group(Operation::Read, &request.group_id);
    Some(match left.and_then(|()| call.node.groups.leave(&request.group_id, leavers)) {
        Err(error) => response.with_error_code(error.code()),
        Ok(left) if is_batched => {
            response.with_members(left.into_iter().map(member_response).collect())
        }
        Ok(left) => {
            let error = left.first().and_then(|left| left.error);
            response.with_error_code(error.map_or(0, |error| error.code()))
        }
    })
}

fn member_response(left: Left) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(left.leaver.member_id.into())
        .with_group_instance_id(left.leaver.instance_id.map(Into::into))
        .with_error_code(left.error.map_or(0, |error| error.code()))
}
