//! DescribeAcls (key 29), versions 1 to 3: the entries that pass a filter.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{ApiKey, DescribeAclsRequest, DescribeAclsResponse};

use super::acls::{self, Filter};
use super::{Api, Call, text};
use crate::access::Operation;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeAcls, 1..=3, handle)
}

async fn handle(call: Call, request: DescribeAclsRequest) -> Option<DescribeAclsResponse> {
    let response = DescribeAclsResponse::default();
    if let Err((error, message)) = acls::check(&call, Operation::Describe) {
        return Some(response.with_error_code(error.code()).with_error_message(text(message)));
    }
    let filter = Filter::new(
        (request.resource_type_filter, request.resource_name_filter, request.pattern_type_filter),
        (request.principal_filter, request.host_filter),
        (request.operation, request.permission_type),
    );
    let filter = match filter {
        Ok(filter) => filter,
        Err(error) => return Some(response.with_error_code(error.code())),
    };
    let mut resources: BTreeMap<_, Vec<AclDescription>> = BTreeMap::new();
    for found in call.node.access.all().into_iter().filter(|binding| filter.passes(binding)) {
        let description = AclDescription::default()
            .with_principal(found.principal.into())
            .with_host(found.host.into())
            .with_operation(found.operation.number())
            .with_permission_type(found.permission.number());
        resources.entry((found.kind, found.name, found.pattern)).or_default().push(description);
    }
    let resources = resources.into_iter().map(|((kind, name, pattern), acls)| {
        DescribeAclsResource::default()
            .with_resource_type(kind.number())
            .with_resource_name(name.into())
            .with_pattern_type(pattern.number())
            .with_acls(acls)
    });
    Some(response.with_resources(resources.collect()))
}
