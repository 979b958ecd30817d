//! DescribeConfigs (key 32), versions 1 to 4: settings of topics and of the node, each with where it comes from.
//!
//! The node's settings are those that clients look at, under Kafka's names; they are read-only, for they are given
//! at its start. Other resources have none here, see `SKIPPED.md`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call, resource, text};
use crate::access::Operation;
use crate::metadata::config::keys::{self, Key};
use crate::metadata::config::node_settings::{self, NodeSetting};
use crate::metadata::{Topic, TopicName};

/// Where a value comes from, in the protocol's numbers.
mod source {
    pub const TOPIC: i8 = 1;
    pub const NODE: i8 = 4;
    pub const DEFAULT: i8 = 5;
}

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeConfigs, 1..=4, handle)
}

async fn handle(call: Call, request: DescribeConfigsRequest) -> Option<DescribeConfigsResponse> {
    let wishes =
        Wishes { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.iter().map(|resource| {
        let (error, message, configs) = match describe(&call, resource, wishes) {
            Ok(configs) => (0, None, configs),
            Err((error, message)) => (error.code(), text(message), Vec::new()),
        };
        DescribeConfigsResult::default()
            .with_error_code(error)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_configs(configs)
    });
    Some(DescribeConfigsResponse::default().with_results(results.collect()))
}

/// What is wanted beyond the values.
#[derive(Clone, Copy)]
struct Wishes {
    synonyms: bool,
    documentation: bool,
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ResponseError, String)>;

fn describe(call: &Call, wanted: &DescribeConfigsResource, wishes: Wishes) -> Described {
    let is_wanted = |name: &str| {
        wanted.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| **key == *name))
    };
    resource::check(call, Operation::DescribeConfigs, wanted.resource_type, &wanted.resource_name)?;
    match wanted.resource_type {
        resource::TOPIC => {
            TopicName::new(&wanted.resource_name)
                .map_err(|error| (ResponseError::InvalidTopicException, error.to_string()))?;
            let topic = call.node.topics.topic(&wanted.resource_name).ok_or_else(|| {
                let message = "This server does not host this topic-partition.";
                (ResponseError::UnknownTopicOrPartition, message.to_owned())
            })?;
            let listed = keys::KEYS.iter().filter(|key| is_wanted(key.name));
            Ok(listed.map(|key| topic_setting(&topic, key, wishes)).collect())
        }
        resource::NODE => {
            resource::check_node(&wanted.resource_name)?;
            // The default of all nodes: nothing was set on it.
            if wanted.resource_name.is_empty() {
                return Ok(Vec::new());
            }
            let listed = node_settings::all(&call.node);
            let listed = listed.into_iter().filter(|setting| is_wanted(setting.name));
            Ok(listed.map(|setting| node_setting(setting, wishes)).collect())
        }
        other => Err(resource::unsupported(other)),
    }
}

fn topic_setting(
    topic: &Topic,
    key: &'static Key,
    wishes: Wishes,
) -> DescribeConfigsResourceResult {
    let own = topic.configs.own(key.name);
    let mut synonyms = Vec::new();
    if wishes.synonyms {
        if let Some(value) = own {
            synonyms.push(synonym(key.name, value, source::TOPIC));
        }
        if let Some(name) = key.synonym {
            synonyms.push(synonym(name, key.default, source::DEFAULT));
        }
    }
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(key.name))
        .with_value(text(topic.configs.get(key)))
        .with_config_source(if own.is_some() { source::TOPIC } else { source::DEFAULT })
        .with_synonyms(synonyms)
        .with_config_type(key.kind.number())
        .with_documentation(
            wishes.documentation.then(|| StrBytes::from_static_str(key.documentation)),
        )
}

fn node_setting(setting: NodeSetting, wishes: Wishes) -> DescribeConfigsResourceResult {
    let source = if setting.is_default { source::DEFAULT } else { source::NODE };
    let synonyms = match wishes.synonyms {
        true => vec![synonym(setting.name, &setting.value, source)],
        false => Vec::new(),
    };
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(setting.name))
        .with_value(text(setting.value))
        .with_read_only(true)
        .with_config_source(source)
        .with_synonyms(synonyms)
        .with_config_type(setting.kind.number())
        .with_documentation(
            wishes.documentation.then(|| StrBytes::from_static_str(setting.documentation)),
        )
}

fn synonym(name: &'static str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(text(value))
        .with_source(source)
}
