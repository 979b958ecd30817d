//! Heartbeat (key 12), versions 0 to 4: a member gives a sign of life, and hears whether it has to rejoin.

use kafka_protocol::messages::{ApiKey, HeartbeatRequest, HeartbeatResponse};

use super::{Api, Call};
use crate::access::Operation;

pub(super) fn api() -> Api {
    Api::new(ApiKey::Heartbeat, 0..=4, handle)
}

async fn handle(call: Call, request: HeartbeatRequest) -> Option<HeartbeatResponse> {
    let outcome = call.check_group(Operation::Read, &request.group_id).and_then(|()| {
        call.node.groups.heartbeat(
            &request.group_id,
            &request.member_id,
            request.group_instance_id.as_deref(),
            request.generation_id,
        )
    });
    let error_code = outcome.err().map_or(0, |error| error.code());
    Some(HeartbeatResponse::default().with_error_code(error_code))
}
