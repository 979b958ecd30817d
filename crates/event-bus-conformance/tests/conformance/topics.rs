//! Topics: created, grown, deleted, and refused.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::eventually;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::{values, write};
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{SOON, Topic, creatable, describe, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
};
use uuid::Uuid;

async fn try_create(topic: CreatableTopic) -> Result<(), ResponseError> {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let response = Connection::open().await.call(7, &request).await;
    outcome(response.topics[0].error_code)
}

async fn grow(connection: &mut Connection, topic: &str, to: i32) -> Result<(), ResponseError> {
    let asked = CreatePartitionsTopic::default()
        .with_name(topic_name(topic))
        .with_count(to)
        .with_assignments(None);
    let request =
        CreatePartitionsRequest::default().with_topics(vec![asked]).with_timeout_ms(30_000);
    outcome(connection.call(3, &request).await.results[0].error_code)
}

async fn delete(connection: &mut Connection, topic: DeleteTopicState) -> Result<(), ResponseError> {
    let request = DeleteTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    outcome(connection.call(6, &request).await.responses[0].error_code)
}

fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(topic_name(name)))
}

#[tokio::test]
async fn the_answer_to_a_creation_tells_the_id_the_partitions_and_the_settings() {
    let topic = creatable(&unique("topic"), 3, &[("retention.ms", "12345")]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let response = Connection::open().await.call(7, &request).await;
    let created = &response.topics[0];
    assert_eq!(outcome(created.error_code), Ok(()));
    assert_ne!(created.topic_id, Uuid::nil());
    assert_eq!((created.num_partitions, created.replication_factor), (3, 1));
    let configs = created.configs.as_ref().expect("the settings are told");
    let retention = configs.iter().find(|config| config.name.as_str() == "retention.ms");
    let value = retention.and_then(|config| config.value.as_deref());
    assert_eq!(value, Some("12345"));
}

#[tokio::test]
async fn counts_of_minus_one_mean_the_brokers_defaults() {
    let mut connection = Connection::open().await;
    let name = unique("topic");
    let topic = creatable(&name, -1, &[]).with_replication_factor(-1);
    assert_eq!(try_create(topic).await, Ok(()));
    eventually(SOON, async || match describe(&mut connection, &name).await.partitions.len() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn partitions_can_be_given_as_assignments() {
    let mut connection = Connection::open().await;
    let name = unique("topic");
    let assignments = [0, 1].map(|index| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(vec![BrokerId(1)])
    });
    let topic = creatable(&name, -1, &[])
        .with_replication_factor(-1)
        .with_assignments(assignments.to_vec());
    assert_eq!(try_create(topic).await, Ok(()));
    eventually(SOON, async || match describe(&mut connection, &name).await.partitions.len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn a_topic_can_only_be_created_once() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let again = try_create(creatable(&topic.name, 1, &[])).await;
    assert_eq!(again, Err(ResponseError::TopicAlreadyExists));
}

#[tokio::test]
async fn a_topic_asked_for_twice_in_one_request_is_an_invalid_request() {
    let name = unique("topic");
    let twice = vec![creatable(&name, 1, &[]), creatable(&name, 1, &[])];
    let request = CreateTopicsRequest::default().with_topics(twice).with_timeout_ms(30_000);
    let response = Connection::open().await.call(7, &request).await;
    for topic in &response.topics {
        assert_eq!(outcome(topic.error_code), Err(ResponseError::InvalidRequest));
    }
}

#[tokio::test]
async fn topics_that_cannot_be_are_refused_each_with_its_own_error() {
    let name = || unique("topic");
    let cases = [
        (creatable("no topic!", 1, &[]), ResponseError::InvalidTopicException),
        (creatable("..", 1, &[]), ResponseError::InvalidTopicException),
        (creatable(&"x".repeat(250), 1, &[]), ResponseError::InvalidTopicException),
        (creatable("", 1, &[]), ResponseError::InvalidTopicException),
        (creatable(&name(), 0, &[]), ResponseError::InvalidPartitions),
        (
            creatable(&name(), 1, &[]).with_replication_factor(0),
            ResponseError::InvalidReplicationFactor,
        ),
        (
            creatable(&name(), 1, &[]).with_replication_factor(3),
            ResponseError::InvalidReplicationFactor,
        ),
        (creatable(&name(), 1, &[("no.such.setting", "1")]), ResponseError::InvalidConfig),
        (creatable(&name(), 1, &[("retention.ms", "long")]), ResponseError::InvalidConfig),
        (creatable(&name(), 1, &[("cleanup.policy", "burn")]), ResponseError::InvalidConfig),
    ];
    for (topic, error) in cases {
        assert_eq!(try_create(topic.clone()).await, Err(error), "{topic:?}");
    }
}

#[tokio::test]
async fn names_that_differ_only_in_dots_and_underscores_collide() {
    let name = unique("topic");
    assert_eq!(try_create(creatable(&format!("{name}.a_b"), 1, &[])).await, Ok(()));
    let other = try_create(creatable(&format!("{name}_a.b"), 1, &[])).await;
    assert_eq!(other, Err(ResponseError::InvalidTopicException));
}

#[tokio::test]
async fn a_creation_that_is_only_validated_creates_nothing() {
    let mut connection = Connection::open().await;
    let name = unique("topic");
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable(&name, 1, &[])])
        .with_timeout_ms(30_000)
        .with_validate_only(true);
    let response = connection.call(7, &request).await;
    assert_eq!(outcome(response.topics[0].error_code), Ok(()));
    let seen = describe(&mut connection, &name).await;
    assert_eq!(outcome(seen.error_code), Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_topic_grows_and_keeps_its_records() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["kept"]).await;
    assert_eq!(grow(&mut connection, &topic.name, 4).await, Ok(()));
    eventually(SOON, async || {
        match describe(&mut connection, &topic.name).await.partitions.len() {
            4 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(values(&mut connection, &topic.name).await, ["kept"]);
}

#[tokio::test]
async fn a_topic_neither_shrinks_nor_grows_by_nothing() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    for count in [1, 2, 0, -1] {
        let refused = grow(&mut connection, &topic.name, count).await;
        assert_eq!(refused, Err(ResponseError::InvalidPartitions), "to {count}");
    }
    let unknown = grow(&mut connection, &unique("unknown"), 3).await;
    assert_eq!(unknown, Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn new_partitions_need_as_many_assignments() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let asked = CreatePartitionsTopic::default()
        .with_name(topic.wire_name())
        .with_count(4)
        .with_assignments(Some(vec![assignment]));
    let request =
        CreatePartitionsRequest::default().with_topics(vec![asked]).with_timeout_ms(30_000);
    let response = connection.call(3, &request).await;
    let error = outcome(response.results[0].error_code);
    assert_eq!(error, Err(ResponseError::InvalidReplicaAssignment));
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_its_name_starts_anew() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["old"]).await;
    assert_eq!(delete(&mut connection, by_name(&topic.name)).await, Ok(()));
    eventually(SOON, async || match describe(&mut connection, &topic.name).await.error_code {
        0 => Err("it is still there"),
        _ => Ok(()),
    })
    .await;
    assert_eq!(try_create(creatable(&topic.name, 1, &[])).await, Ok(()));
    let seen = eventually(SOON, async || {
        let seen = describe(&mut connection, &topic.name).await;
        if seen.error_code == 0 && seen.partitions[0].leader_id.0 > 0 {
            Ok(seen)
        } else {
            Err(seen)
        }
    })
    .await;
    assert_ne!(seen.topic_id, topic.id);
    assert_eq!(write(&mut connection, &topic.name, &["new"]).await, 0);
    assert_eq!(values(&mut connection, &topic.name).await, ["new"]);
}

#[tokio::test]
async fn a_topic_is_deleted_by_its_id() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(topic.id);
    assert_eq!(delete(&mut connection, by_id.clone()).await, Ok(()));
    assert_eq!(delete(&mut connection, by_id).await, Err(ResponseError::UnknownTopicId));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_deleted() {
    let mut connection = Connection::open().await;
    let unknown = delete(&mut connection, by_name(&unique("unknown"))).await;
    assert_eq!(unknown, Err(ResponseError::UnknownTopicOrPartition));
    let names = vec![topic_name(&unique("unknown"))];
    let old = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(30_000);
    let old = connection.call(4, &old).await;
    let error = outcome(old.responses[0].error_code);
    assert_eq!(error, Err(ResponseError::UnknownTopicOrPartition));
}
