//! IncrementalAlterConfigs (key 44), versions 0 and 1: sets and unsets single settings of topics, and adds to and
//! takes from lists. What changed holds, durably, when the answer comes. The node's own settings can't be changed.

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::{Api, Call, repeated, resource};
use crate::metadata::config::{Change, ConfigError};
use crate::metadata::{Mode, NewConfigs};

pub(super) fn api() -> Api {
    Api::new(ApiKey::IncrementalAlterConfigs, 0..=1, handle)
}

async fn handle(
    call: Call,
    request: IncrementalAlterConfigsRequest,
) -> Option<IncrementalAlterConfigsResponse> {
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
    Some(IncrementalAlterConfigsResponse::default().with_responses(answers))
}

async fn alter(call: &Call, altered: AlterConfigsResource, mode: Mode) -> resource::Outcome {
    let resource = (altered.resource_type, altered.resource_name.as_str());
    let settings = altered.configs.len();
    let changes: Result<_, ConfigError> = altered.configs.iter().map(change).collect();
    resource::configure(call, resource, settings, changes.map(NewConfigs::Changed), mode).await
}

fn change(config: &AlterableConfig) -> Result<(String, Change), ConfigError> {
    let name = config.name.to_string();
    let value = || match &config.value {
        Some(value) => Ok(value.to_string()),
        None => Err(ConfigError::Null(config.name.to_string())),
    };
    let change = match config.config_operation {
        0 => Change::Set(value()?),
        1 => Change::Unset,
        2 => Change::Append(value()?),
        3 => Change::Subtract(value()?),
        operation => return Err(ConfigError::Operation { operation, name }),
    };
    Ok((name, change))
}
