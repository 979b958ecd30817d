//! FindCoordinator (key 10), versions 0 to 5: which node coordinates a consumer group or a transaction. It is always
//! this one.
//!
//! From version 4 a request asks for several keys. Version 6 is for share groups, which are not served.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};

/// What a key names: a consumer group or a transactional id.
const KEY_TYPES: [i8; 2] = [0, 1];
/// The first version that asks for several keys.
const BATCHED: i16 = 4;

pub(super) fn api() -> Api {
    Api::new(ApiKey::FindCoordinator, 0..=5, handle)
}

async fn handle(call: Call, request: FindCoordinatorRequest) -> Option<FindCoordinatorResponse> {
    let is_known = KEY_TYPES.contains(&request.key_type);
    if call.version >= BATCHED {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| coordinator(&call, is_known).with_key(key)).collect();
        return Some(FindCoordinatorResponse::default().with_coordinators(coordinators));
    }
    let found = coordinator(&call, is_known);
    Some(
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn coordinator(call: &Call, is_known: bool) -> Coordinator {
    if !is_known {
        return Coordinator::default()
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "only consumer groups (0) and transactions (1) have a coordinator here",
            )))
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let cluster = &call.node.cluster;
    Coordinator::default()
        .with_error_message(Some(StrBytes::new()))
        .with_node_id(BrokerId(cluster.node_id))
        .with_host(cluster.host.clone().into())
        .with_port(cluster.port.into())
}
