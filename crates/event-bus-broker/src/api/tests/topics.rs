//! Topics are made, shown, grown and deleted over the wire.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::testing::Client;
use crate::{Broker, Config, TopicDefaults};

fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(super) fn topic(of: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(of))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

pub(super) fn config(name: &'static str, value: Option<&'static str>) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(value.map(StrBytes::from_static_str))
}

/// Creates topics and returns their error codes.
pub(super) async fn create(client: &mut Client, topics: Vec<CreatableTopic>) -> Vec<i16> {
    let request = CreateTopicsRequest::default().with_topics(topics);
    let answer = client.ask(request, 7).await;
    answer.topics.iter().map(|topic| topic.error_code).collect()
}

/// What the broker says about all topics, or about those.
async fn metadata(client: &mut Client, names: Option<&[&str]>) -> Vec<MetadataResponseTopic> {
    let topics = names.map(|names| {
        let named = |of: &&str| MetadataRequestTopic::default().with_name(Some(name(of)));
        names.iter().map(named).collect()
    });
    client.ask(MetadataRequest::default().with_topics(topics), 12).await.topics
}

async fn partitions(client: &mut Client, of: &str) -> usize {
    metadata(client, Some(&[of])).await[0].partitions.len()
}

#[tokio::test]
async fn a_topic_outlives_the_broker_with_its_id_partitions_and_settings() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let wanted = topic("orders", 3).with_configs(vec![config("retention.ms", Some("77"))]);
    assert_eq!(create(&mut client, vec![wanted]).await, [0]);
    let before = metadata(&mut client, Some(&["orders"])).await;
    assert!(before[0].error_code == 0 && before[0].partitions.len() == 3);
    assert!(!before[0].topic_id.is_nil());
    broker.stop().await;

    let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(metadata(&mut client, None).await, before);
    let configs = super::configs::topic_configs(&mut client, "orders").await;
    assert_eq!(configs["retention.ms"], "77");
}

#[tokio::test]
async fn a_deleted_topic_is_gone_with_its_records_and_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("a", 2), topic("b", 1)]).await;
    let first = metadata(&mut client, Some(&["a"])).await[0].topic_id;
    assert!(dir.path().join("topics").join(first.to_string()).is_dir());
    let by_name = DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("nope")]);
    let answer = client.ask(by_name, 5).await.responses;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!([answer[0].error_code, answer[1].error_code], [0, unknown]);
    assert!(!dir.path().join("topics").join(first.to_string()).exists());
    assert_eq!(metadata(&mut client, Some(&["a"])).await[0].error_code, unknown);

    assert_eq!(create(&mut client, vec![topic("a", 1)]).await, [0]);
    let second = metadata(&mut client, Some(&["a"])).await[0].topic_id;
    assert_ne!(first, second);
    let state = |id| DeleteTopicState::default().with_topic_id(id);
    let by_id = DeleteTopicsRequest::default().with_topics(vec![state(second), state(first)]);
    let answer = client.ask(by_id, 6).await.responses;
    assert_eq!(answer[0].name, Some(name("a")));
    assert_eq!(answer[1].error_code, ResponseError::UnknownTopicId.code());
    broker.stop().await;

    let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let left = metadata(&mut client, None).await;
    assert_eq!(left.iter().map(|topic| topic.name.clone()).collect::<Vec<_>>(), [Some(name("b"))]);
}

#[tokio::test]
async fn what_a_crash_left_of_a_topic_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = dir.path().join("topics").join(Uuid::new_v4().to_string());
    let other = dir.path().join("topics").join("notes");
    std::fs::create_dir_all(orphan.join("0")).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    Broker::start(Config::in_directory(dir.path())).await.unwrap().stop().await;
    assert!(!orphan.exists() && other.exists());
}

#[tokio::test]
async fn topics_that_kafka_refuses_are_refused_in_the_same_way() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("a.b", 1)]).await;
    let assigned = |indexes: &[(i32, &[i32])]| {
        let assignment = |(index, nodes): &(i32, &[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*index)
                .with_broker_ids(nodes.iter().copied().map(BrokerId).collect())
        };
        let assignments = indexes.iter().map(assignment).collect();
        topic("t", -1).with_replication_factor(-1).with_assignments(assignments)
    };
    for (wanted, error) in [
        (topic("a.b", 1), ResponseError::TopicAlreadyExists),
        (topic("a_b", 1), ResponseError::InvalidTopicException),
        (topic("a b", 1), ResponseError::InvalidTopicException),
        (topic("t", 0), ResponseError::InvalidPartitions),
        (topic("t", i32::MAX), ResponseError::InvalidPartitions),
        (topic("t", 1).with_replication_factor(3), ResponseError::InvalidReplicationFactor),
        (topic("t", 1).with_replication_factor(0), ResponseError::InvalidReplicationFactor),
        (topic("t", 1).with_configs(vec![config("x", Some("1"))]), ResponseError::InvalidConfig),
        (
            topic("t", 1).with_configs(vec![config("retention.ms", Some("x"))]),
            ResponseError::InvalidConfig,
        ),
        (
            topic("t", 1).with_configs(vec![config("retention.ms", None)]),
            ResponseError::InvalidConfig,
        ),
        (assigned(&[(0, &[7])]), ResponseError::InvalidReplicaAssignment),
        (assigned(&[(0, &[])]), ResponseError::InvalidReplicaAssignment),
        (assigned(&[(0, &[1]), (2, &[1])]), ResponseError::InvalidReplicaAssignment),
        (assigned(&[(0, &[1])]).with_num_partitions(1), ResponseError::InvalidRequest),
    ] {
        let codes = create(&mut client, vec![wanted.clone()]).await;
        assert_eq!(codes, [error.code()], "{wanted:?}");
    }
    let twice = create(&mut client, vec![topic("t", 1), topic("t", 1)]).await;
    assert_eq!(twice, [ResponseError::InvalidRequest.code()]);
    assert_eq!(create(&mut client, vec![assigned(&[(1, &[1]), (0, &[1])])]).await, [0]);
    assert_eq!(partitions(&mut client, "t").await, 2);
}

#[tokio::test]
async fn asking_whether_a_topic_could_be_made_does_not_make_it() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let request =
        CreateTopicsRequest::default().with_topics(vec![topic("t", 4)]).with_validate_only(true);
    let answer = client.ask(request, 7).await.topics;
    assert!(answer[0].error_code == 0 && answer[0].num_partitions == 4);
    assert!(metadata(&mut client, None).await.is_empty());
}

#[tokio::test]
async fn a_topic_grows_and_never_shrinks() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("t", 2)]).await;
    for (of, count, error) in [
        ("t", 5, 0),
        ("t", 5, ResponseError::InvalidPartitions.code()),
        ("t", 1, ResponseError::InvalidPartitions.code()),
        ("t", i32::MAX, ResponseError::InvalidPartitions.code()),
        ("nope", 5, ResponseError::UnknownTopicOrPartition.code()),
    ] {
        let grown = CreatePartitionsTopic::default()
            .with_name(name(of))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![grown]);
        let answer = client.ask(request, 3).await.results;
        assert_eq!(answer[0].error_code, error, "{of} {count}");
    }
    assert_eq!(partitions(&mut client, "t").await, 5);
}

#[tokio::test]
async fn topics_are_made_on_demand_only_where_both_sides_allow_it() {
    let topics = TopicDefaults { partitions: 2, auto_create: true };
    let broker = Broker::start(Config { topics, ..Config::default() }).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let named = MetadataRequestTopic::default().with_name(Some(name("t")));
    let request = MetadataRequest::default().with_topics(Some(vec![named]));
    let refused = client.ask(request.clone().with_allow_auto_topic_creation(false), 12).await;
    assert_eq!(refused.topics[0].error_code, ResponseError::UnknownTopicOrPartition.code());
    let made = client.ask(request, 12).await;
    assert!(made.topics[0].error_code == 0 && made.topics[0].partitions.len() == 2);
    assert_eq!(metadata(&mut client, Some(&["a/b"])).await[0].error_code, 17);
}

#[tokio::test]
async fn an_empty_list_asks_for_no_topic_and_in_version_0_for_all() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("t", 1)]).await;
    let none = MetadataRequest::default().with_topics(Some(Vec::new()));
    assert_eq!(client.ask(none.clone(), 0).await.topics.len(), 1);
    assert_eq!(client.ask(none, 1).await.topics.len(), 0);
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!(client.ask(all, 13).await.topics.len(), 1);
    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(9));
    let unknown = MetadataRequest::default().with_topics(Some(vec![by_id]));
    let answer = client.ask(unknown, 12).await.topics;
    assert_eq!(answer[0].error_code, ResponseError::UnknownTopicId.code());
    assert_eq!((answer[0].name.clone(), answer[0].topic_id), (None, Uuid::from_u128(9)));
}
