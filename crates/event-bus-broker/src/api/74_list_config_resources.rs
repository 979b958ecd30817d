//! ListConfigResources (key 74), versions 0 and 1: what has settings. Of the types that Kafka lists, only topics and
//! the node are here; version 0 asks for client metrics subscriptions, of which there are none.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ApiKey, ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call, resource};
use crate::access::{CLUSTER, Kind, Operation};
use crate::node::NODE_ID;

/// Loggers, client metrics subscriptions and groups: Kafka knows them, and there are none here.
const ABSENT: [i8; 3] = [8, 16, 32];

pub(super) fn api() -> Api {
    Api::new(ApiKey::ListConfigResources, 0..=1, handle)
}

async fn handle(
    call: Call,
    request: ListConfigResourcesRequest,
) -> Option<ListConfigResourcesResponse> {
    let known = [resource::TOPIC, resource::NODE];
    let answer = ListConfigResourcesResponse::default();
    if let Err(error) = call.check(Operation::DescribeConfigs, Kind::Cluster, CLUSTER) {
        return Some(answer.with_error_code(error.code()));
    }
    if request.resource_types.iter().any(|kind| !known.contains(kind) && !ABSENT.contains(kind)) {
        return Some(answer.with_error_code(ResponseError::UnsupportedVersion.code()));
    }
    let is_wanted = |kind| {
        call.version > 0
            && (request.resource_types.is_empty() || request.resource_types.contains(&kind))
    };
    let mut resources = Vec::new();
    if is_wanted(resource::TOPIC) {
        let topics = call.node.topics.all();
        resources.extend(topics.iter().map(|topic| named(resource::TOPIC, topic.name.clone())));
    }
    if is_wanted(resource::NODE) {
        resources.push(named(resource::NODE, NODE_ID.to_string()));
    }
    Some(answer.with_config_resources(resources))
}

fn named(kind: i8, name: String) -> ConfigResource {
    ConfigResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name))
}
