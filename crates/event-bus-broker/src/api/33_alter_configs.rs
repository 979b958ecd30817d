//! AlterConfigs (key 33), versions 0 to 2: replaces all settings of topics. What is not named has its default again.
//! What changed holds, durably, when the answer comes. The node's own settings can't be changed.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};

use super::{Api, Call, repeated, resource};
use crate::metadata::config::{Change, ConfigError};
use crate::metadata::{Mode, NewConfigs};

pub(super) fn api() -> Api {
    Api::new(ApiKey::AlterConfigs, 0..=2, handle)
}

async fn handle(call: Call, request: AlterConfigsRequest) -> Option<AlterConfigsResponse> {
    let mode = Mode::of(request.validate_only);
    let named =
        |resource: &AlterConfigsResource| (resource.resource_type, resource.resource_name.clone());
    let twice = repeated(request.resources.iter().map(named));
    let mut answers = Vec::with_capacity(request.resources.len());
    for altered in request.resources {
        let (kind, name) = (altered.resource_type, altered.resource_name.clone());
        let outcome = match twice.contains(&(kind, name.clone())) {
            true => Err(resource::named_twice()),
            false => alter(&call, altered, mode).await,
        };
        let (error, message) = resource::told(outcome);
        let answer = AlterConfigsResourceResponse::default()
            .with_error_code(error)
            .with_error_message(message)
            .with_resource_type(kind)
            .with_resource_name(name);
        answers.push(answer);
    }
    Some(AlterConfigsResponse::default().with_responses(answers))
}

async fn alter(call: &Call, altered: AlterConfigsResource, mode: Mode) -> resource::Outcome {
    let resource = (altered.resource_type, altered.resource_name.as_str());
    let settings = altered.configs.len();
    let changes: Result<_, ConfigError> = altered.configs.into_iter().map(set).collect();
    resource::configure(call, resource, settings, changes.map(NewConfigs::Replaced), mode).await
}

fn set(config: AlterableConfig) -> Result<(String, Change), ConfigError> {
    let name = config.name.to_string();
    match config.value {
        Some(value) => Ok((name, Change::Set(value.to_string()))),
        None => Err(ConfigError::Null(name)),
    }
}
