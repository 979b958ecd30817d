//! CreateAcls (key 30), versions 1 to 3: makes entries, durably when the answer comes.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{ApiKey, CreateAclsRequest, CreateAclsResponse};

use super::{Api, Call, StaticText, acls, text};
use crate::access::{Binding, CLUSTER, Kind, Operation, Pattern, Permission};

pub(super) fn api() -> Api {
    Api::new(ApiKey::CreateAcls, 1..=3, handle)
}

type Refused = (ResponseError, StaticText);

async fn handle(call: Call, request: CreateAclsRequest) -> Option<CreateAclsResponse> {
    let checked = acls::check(&call, Operation::Alter);
    let read: Vec<Result<Binding, Refused>> =
        request.creations.iter().map(|creation| checked.and_then(|()| binding(creation))).collect();
    let wanted = read.iter().filter_map(|read| read.as_ref().ok()).cloned().collect();
    let stored = call.node.access.add(wanted).await.map_err(|error| {
        tracing::error!(%error, "access control lists can't be stored");
        (ResponseError::KafkaStorageError, "The entry could not be stored.")
    });
    let results = read.into_iter().map(|read| {
        let result = AclCreationResult::default();
        match read.and(stored) {
            Ok(()) => result,
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(text(message))
            }
        }
    });
    Some(CreateAclsResponse::default().with_results(results.collect()))
}

fn binding(creation: &AclCreation) -> Result<Binding, Refused> {
    let refused = |message| (ResponseError::InvalidRequest, message);
    let name = creation.resource_name.to_string();
    let (Some(kind), Some(pattern), Some(operation), Some(permission)) = (
        Kind::of(creation.resource_type),
        Pattern::of(creation.resource_pattern_type),
        Operation::of(creation.operation),
        Permission::of(creation.permission_type),
    ) else {
        return Err(refused("The entry has a word that is not known, or one for filters only."));
    };
    if kind == Kind::Cluster && name != CLUSTER {
        return Err(refused("The only valid name for the CLUSTER resource is kafka-cluster"));
    }
    if name.is_empty() {
        return Err(refused("Resource name should not be empty"));
    }
    if creation.principal.split_once(':').is_none_or(|(kind, _)| kind.is_empty()) {
        return Err(refused("Could not parse principal: expected a string of the form TYPE:NAME"));
    }
    Ok(Binding {
        kind,
        name,
        pattern,
        principal: creation.principal.to_string(),
        host: creation.host.to_string(),
        operation,
        permission,
    })
}
