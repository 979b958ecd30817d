//! Settings of topics and of the broker.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::eventually;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{SOON, Topic, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request, incremental_alter_configs_request as incremental,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a setting's value comes from.
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

async fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    Connection::open().await.call(4, &request).await.results.remove(0)
}

async fn setting(topic: &Topic, key: &str) -> DescribeConfigsResourceResult {
    let mut described = describe(TOPIC, &topic.name, Some(&[key])).await;
    assert_eq!(outcome(described.error_code), Ok(()));
    described.configs.remove(0)
}

async fn becomes(topic: &Topic, key: &str, wanted: &str) {
    eventually(SOON, async || match setting(topic, key).await.value {
        Some(value) if value.as_str() == wanted => Ok(()),
        other => Err(other),
    })
    .await;
}

async fn alter(
    kind: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> Result<(), ResponseError> {
    let configs = changes.iter().map(|(key, operation, value)| {
        incremental::AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = incremental::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    outcome(Connection::open().await.call(1, &request).await.responses[0].error_code)
}

#[tokio::test]
async fn a_topics_own_setting_and_a_default_tell_where_they_come_from() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 1, &[("retention.ms", "12345")]).await;
    let own = setting(&topic, "retention.ms").await;
    assert_eq!(own.value.as_deref(), Some("12345"));
    assert_eq!(own.config_source, FROM_TOPIC);
    assert!(!own.read_only && !own.is_sensitive);
    assert_eq!(own.synonyms[0].name.as_str(), "retention.ms");
    assert_eq!(own.synonyms[0].source, FROM_TOPIC);
    let default = setting(&topic, "cleanup.policy").await;
    assert_eq!(default.value.as_deref(), Some("delete"));
    assert_eq!(default.config_source, FROM_DEFAULT);
}

#[tokio::test]
async fn all_settings_of_a_topic_have_kafkas_names_and_defaults() {
    const DEFAULTS: [(&str, &str); 14] = [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("delete.retention.ms", "86400000"),
        ("max.compaction.lag.ms", "9223372036854775807"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "CreateTime"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("min.compaction.lag.ms", "0"),
        ("min.insync.replicas", "1"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("segment.bytes", "1073741824"),
        ("segment.ms", "604800000"),
        ("message.timestamp.after.max.ms", "3600000"),
    ];
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let described = describe(TOPIC, &topic.name, None).await;
    for (key, value) in DEFAULTS {
        let found = described.configs.iter().find(|config| config.name.as_str() == key);
        let found = found.unwrap_or_else(|| panic!("{key} is not described"));
        assert_eq!(found.value.as_deref(), Some(value), "{key}");
        assert_ne!(found.config_type, 0, "the type of {key} is told");
    }
}

#[tokio::test]
async fn settings_are_set_and_fall_back_to_their_defaults() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let set = [("retention.ms", SET, Some("1000")), ("segment.bytes", SET, Some("1048576"))];
    assert_eq!(alter(TOPIC, &topic.name, &set, false).await, Ok(()));
    becomes(&topic, "retention.ms", "1000").await;
    becomes(&topic, "segment.bytes", "1048576").await;
    let unset = [("retention.ms", DELETE, None)];
    assert_eq!(alter(TOPIC, &topic.name, &unset, false).await, Ok(()));
    becomes(&topic, "retention.ms", "604800000").await;
    becomes(&topic, "segment.bytes", "1048576").await;
}

#[tokio::test]
async fn a_list_is_appended_to_and_subtracted_from() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let append = [("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(TOPIC, &topic.name, &append, false).await, Ok(()));
    becomes(&topic, "cleanup.policy", "delete,compact").await;
    let subtract = [("cleanup.policy", SUBTRACT, Some("delete"))];
    assert_eq!(alter(TOPIC, &topic.name, &subtract, false).await, Ok(()));
    becomes(&topic, "cleanup.policy", "compact").await;
    let number = [("retention.ms", APPEND, Some("1"))];
    let refused = alter(TOPIC, &topic.name, &number, false).await;
    assert_eq!(refused, Err(ResponseError::InvalidConfig));
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_and_change_nothing() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    for bad in [("no.such.setting", "1"), ("retention.ms", "long"), ("max.message.bytes", "-1")] {
        let changes = [("segment.ms", SET, Some("1000")), (bad.0, SET, Some(bad.1))];
        let refused = alter(TOPIC, &topic.name, &changes, false).await;
        assert_eq!(refused, Err(ResponseError::InvalidConfig), "{bad:?}");
    }
    let twice = [("segment.ms", SET, Some("1")), ("segment.ms", SET, Some("2"))];
    let refused = alter(TOPIC, &topic.name, &twice, false).await;
    assert_eq!(refused, Err(ResponseError::InvalidRequest));
    assert_eq!(setting(&topic, "segment.ms").await.value.as_deref(), Some("604800000"));
}

#[tokio::test]
async fn a_change_that_is_only_validated_changes_nothing() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let change = [("retention.ms", SET, Some("1000"))];
    assert_eq!(alter(TOPIC, &topic.name, &change, true).await, Ok(()));
    assert_eq!(setting(&topic, "retention.ms").await.value.as_deref(), Some("604800000"));
    let bad = [("retention.ms", SET, Some("long"))];
    let refused = alter(TOPIC, &topic.name, &bad, true).await;
    assert_eq!(refused, Err(ResponseError::InvalidConfig));
}

#[tokio::test]
async fn the_older_alter_replaces_all_settings_of_a_topic() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 1, &[("segment.ms", "1000")]).await;
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("1000")));
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let response = connection.call(2, &request).await;
    assert_eq!(outcome(response.responses[0].error_code), Ok(()));
    becomes(&topic, "retention.ms", "1000").await;
    becomes(&topic, "segment.ms", "604800000").await;
}

#[tokio::test]
async fn settings_of_an_unknown_topic_can_be_neither_read_nor_changed() {
    let name = unique("unknown");
    let described = describe(TOPIC, &name, None).await;
    assert_eq!(outcome(described.error_code), Err(ResponseError::UnknownTopicOrPartition));
    let change = [("retention.ms", SET, Some("1000"))];
    let refused = alter(TOPIC, &name, &change, false).await;
    assert_eq!(refused, Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn the_brokers_settings_are_described_by_its_id() {
    let keys = ["message.max.bytes", "auto.create.topics.enable"];
    let described = describe(BROKER, "1", Some(&keys)).await;
    assert_eq!(outcome(described.error_code), Ok(()));
    let mut seen: Vec<_> = described
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_deref().map(str::to_owned)))
        .collect();
    seen.sort();
    let wanted = [("auto.create.topics.enable", "false"), ("message.max.bytes", "1048588")];
    assert_eq!(seen, wanted.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))));
    let other = describe(BROKER, "7", None).await;
    assert_eq!(outcome(other.error_code), Err(ResponseError::InvalidRequest));
}
