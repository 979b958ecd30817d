//! DeleteGroups (key 42), versions 0 to 2: groups without members are deleted, durably, and their offsets with them.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Api, Call};
use crate::access::Operation;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DeleteGroups, 0..=2, handle)
}

async fn handle(call: Call, request: DeleteGroupsRequest) -> Option<DeleteGroupsResponse> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        let outcome = match call.check_group(Operation::Delete, &id) {
            Ok(()) => call.node.groups.delete(&id).await,
            Err(error) => Err(error),
        };
        let error_code = outcome.err().map_or(0, |error| error.code());
        let result = DeletableGroupResult::default().with_group_id(id).with_error_code(error_code);
        results.push(result);
    }
    Some(DeleteGroupsResponse::default().with_results(results))
}
