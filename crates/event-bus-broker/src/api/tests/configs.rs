//! Settings are shown and changed over the wire.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request,
};
use kafka_protocol::protocol::StrBytes;

use super::topics::{config, create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config};

const TOPIC: i8 = 2;
const NODE: i8 = 4;

async fn describe(client: &mut Client, kind: i8, name: &'static str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    client.ask(request, 4).await.results.remove(0)
}

/// The settings of a topic that hold.
pub(super) async fn topic_configs(
    client: &mut Client,
    name: &'static str,
) -> BTreeMap<String, String> {
    let described = describe(client, TOPIC, name).await;
    let pair = |config: &kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
        let value = config.value.as_ref().map(ToString::to_string);
        (config.name.to_string(), value.unwrap_or_default())
    };
    described.configs.iter().map(pair).collect()
}

/// Changes one setting of a topic and returns the error code.
async fn change(
    client: &mut Client,
    operation: i8,
    name: &'static str,
    value: &'static str,
) -> i16 {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_config_operation(operation)
        .with_value(Some(StrBytes::from_static_str(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.ask(request, 1).await.responses[0].error_code
}

#[tokio::test]
async fn each_setting_is_told_with_where_it_comes_from() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let wanted = topic("t", 1).with_configs(vec![config("cleanup.policy", Some("compact"))]);
    create(&mut client, vec![wanted]).await;
    let described = describe(&mut client, TOPIC, "t").await;
    let find = |name: &str| described.configs.iter().find(|config| &*config.name == name).unwrap();
    let (own, default) = (find("cleanup.policy"), find("retention.ms"));
    assert_eq!((own.config_source, default.config_source), (1, 5));
    assert_eq!((own.config_type, default.config_type), (7, 5));
    let sources: Vec<_> =
        own.synonyms.iter().map(|synonym| (&*synonym.name, synonym.source)).collect();
    assert_eq!(sources, [("cleanup.policy", 1), ("log.cleanup.policy", 5)]);
    assert!(described.configs.iter().all(|config| config.documentation.is_some()));
}

#[tokio::test]
async fn the_node_tells_its_settings_and_keeps_them() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let node = describe(&mut client, NODE, "1").await;
    assert!(node.configs.iter().any(|config| &*config.name == "auto.create.topics.enable"));
    assert!(node.configs.iter().all(|config| config.read_only));
    assert!(describe(&mut client, NODE, "").await.configs.is_empty());
    for (kind, name, error) in [
        (NODE, "7", ResponseError::InvalidRequest),
        (TOPIC, "nope", ResponseError::UnknownTopicOrPartition),
        (TOPIC, "a/b", ResponseError::InvalidTopicException),
        (16, "x", ResponseError::InvalidRequest),
    ] {
        assert_eq!(describe(&mut client, kind, name).await.error_code, error.code(), "{name}");
    }
}

#[tokio::test]
async fn settings_change_one_by_one_and_are_checked() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("t", 1)]).await;
    let invalid = ResponseError::InvalidConfig.code();
    for (operation, name, value, error) in [
        (0, "retention.ms", "5", 0),
        (0, "retention.ms", "x", invalid),
        (0, "nope", "1", invalid),
        (2, "cleanup.policy", "compact", 0),
        (3, "cleanup.policy", "delete", 0),
        (2, "retention.ms", "1", invalid),
        (9, "retention.ms", "1", ResponseError::InvalidRequest.code()),
    ] {
        assert_eq!(change(&mut client, operation, name, value).await, error, "{operation} {name}");
    }
    let configs = topic_configs(&mut client, "t").await;
    assert_eq!((&*configs["retention.ms"], &*configs["cleanup.policy"]), ("5", "compact"));
    assert_eq!(change(&mut client, 1, "retention.ms", "").await, 0);
    assert_eq!(topic_configs(&mut client, "t").await["retention.ms"], "604800000");
}

#[tokio::test]
async fn replacing_settings_takes_those_away_that_are_not_named() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let wanted = topic("t", 1).with_configs(vec![config("retention.ms", Some("5"))]);
    create(&mut client, vec![wanted]).await;
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(StrBytes::from_static_str("segment.ms"))
        .with_value(Some(StrBytes::from_static_str("9")));
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let dry = request.clone().with_validate_only(true);
    assert_eq!(client.ask(dry, 2).await.responses[0].error_code, 0);
    assert_eq!(topic_configs(&mut client, "t").await["retention.ms"], "5");
    let twice = AlterConfigsRequest::default()
        .with_resources([request.resources.clone(), request.resources.clone()].concat());
    let twice = client.ask(twice, 2).await.responses;
    assert!(twice.iter().all(|answer| answer.error_code == ResponseError::InvalidRequest.code()));
    assert_eq!(client.ask(request, 2).await.responses[0].error_code, 0);
    let configs = topic_configs(&mut client, "t").await;
    assert_eq!((&*configs["retention.ms"], &*configs["segment.ms"]), ("604800000", "9"));
}
