//! DeleteAcls (key 31), versions 1 to 3: takes the entries away that pass filters, durably when the answer comes.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl,
};
use kafka_protocol::messages::{ApiKey, DeleteAclsRequest, DeleteAclsResponse};

use super::acls::{self, Filter};
use super::{Api, Call, StaticText, text};
use crate::access::{Binding, Operation};

pub(super) fn api() -> Api {
    Api::new(ApiKey::DeleteAcls, 1..=3, handle)
}

async fn handle(call: Call, request: DeleteAclsRequest) -> Option<DeleteAclsResponse> {
    let mut results = Vec::with_capacity(request.filters.len());
    for filter in request.filters {
        let result = DeleteAclsFilterResult::default();
        results.push(match remove(&call, filter).await {
            Ok(gone) => result.with_matching_acls(gone.into_iter().map(matching).collect()),
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(text(message))
            }
        });
    }
    Some(DeleteAclsResponse::default().with_filter_results(results))
}

async fn remove(
    call: &Call,
    filter: DeleteAclsFilter,
) -> Result<Vec<Binding>, (ResponseError, StaticText)> {
    acls::check(call, Operation::Alter)?;
    let filter = Filter::new(
        (filter.resource_type_filter, filter.resource_name_filter, filter.pattern_type_filter),
        (filter.principal_filter, filter.host_filter),
        (filter.operation, filter.permission_type),
    );
    let filter = filter.map_err(|error| (error, "The filter has a word that is not known."))?;
    call.node.access.remove(|binding| filter.passes(binding)).await.map_err(|error| {
        tracing::error!(%error, "access control lists can't be stored");
        (ResponseError::KafkaStorageError, "The entries could not be taken away.")
    })
}

fn matching(gone: Binding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_resource_type(gone.kind.number())
        .with_resource_name(gone.name.into())
        .with_pattern_type(gone.pattern.number())
        .with_principal(gone.principal.into())
        .with_host(gone.host.into())
        .with_operation(gone.operation.number())
        .with_permission_type(gone.permission.number())
}
