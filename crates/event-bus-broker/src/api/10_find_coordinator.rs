//! FindCoordinator (key 10), versions 0 to 5: which node coordinates a consumer group or a transaction. It is always
//! this one.
//!
//! From version 4 a request asks for several keys. Version 6 is for share groups, which are not served.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::access::{Kind, Operation};

/// What a key names: a consumer group or a transactional id.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The first version that asks for several keys.
const BATCHED: i16 = 4;

pub(super) fn api() -> Api {
    Api::new(ApiKey::FindCoordinator, 0..=5, handle)
}

async fn handle(call: Call, request: FindCoordinatorRequest) -> Option<FindCoordinatorResponse> {
    if call.version >= BATCHED {
        let keys = request.coordinator_keys.into_iter();
        let kind = request.key_type;
        let coordinators = keys.map(|key| coordinator(&call, kind, &key).with_key(key)).collect();
        return Some(FindCoordinatorResponse::default().with_coordinators(coordinators));
    }
    let found = coordinator(&call, request.key_type, &request.key);
    Some(
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn coordinator(call: &Call, key_type: i8, key: &str) -> Coordinator {
    let refused = |error: ResponseError, message| {
        Coordinator::default()
            .with_error_code(error.code())
            .with_error_message(message)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    };
    let kind = match key_type {
        GROUP => Kind::Group,
        TRANSACTION => Kind::TransactionalId,
        _ => {
            let message = StrBytes::from_static_str(
                "only consumer groups (0) and transactions (1) have a coordinator here",
            );
            return refused(ResponseError::InvalidRequest, Some(message));
        }
    };
    if let Err(error) = call.check(Operation::Describe, kind, key) {
        return refused(error, Some(StrBytes::new()));
    }
    let cluster = &call.node.cluster;
    Coordinator::default()
        .with_error_message(Some(StrBytes::new()))
        .with_node_id(BrokerId(cluster.node_id))
        .with_host(cluster.host.clone().into())
        .with_port(cluster.port.into())
}
