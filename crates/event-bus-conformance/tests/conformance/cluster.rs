//! The cluster and its one broker, as every API that describes it says.

use event_bus_conformance::batch::Batch;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::produce;
use event_bus_conformance::subject::{bootstrap, unique};
use event_bus_conformance::topic::{Topic, describe, text, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    FindCoordinatorRequest, MetadataRequest,
};
use uuid::Uuid;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

#[tokio::test]
async fn the_broker_is_where_it_says_in_metadata_and_in_describe_cluster() {
    let mut connection = Connection::open().await;
    let metadata = connection.call(12, &MetadataRequest::default().with_topics(Some(vec![]))).await;
    let cluster =
        connection.call(1, &DescribeClusterRequest::default().with_endpoint_type(1)).await;

    assert_eq!(outcome(cluster.error_code), Ok(()));
    assert_eq!((metadata.brokers.len(), cluster.brokers.len()), (1, 1));
    let (a, b) = (&metadata.brokers[0], &cluster.brokers[0]);
    assert_eq!(format!("{}:{}", a.host.as_str(), a.port), bootstrap());
    assert_eq!((a.node_id, &a.host, a.port), (b.broker_id, &b.host, b.port));
    assert_eq!((a.node_id, a.node_id), (metadata.controller_id, cluster.controller_id));
    assert_eq!(metadata.cluster_id.as_ref(), Some(&cluster.cluster_id));
    assert!(!cluster.cluster_id.is_empty());
    // Nobody asked what he may do.
    assert_eq!(cluster.cluster_authorized_operations, i32::MIN);
}

#[tokio::test]
async fn metadata_of_no_topics_is_empty_and_of_all_topics_has_all() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    let none = connection.call(12, &MetadataRequest::default().with_topics(Some(vec![]))).await;
    assert!(none.topics.is_empty());
    let all = connection.call(12, &MetadataRequest::default().with_topics(None)).await;
    let found = all.topics.iter().find(|found| found.topic_id == topic.id);
    let found = found.expect("it is among all topics");
    assert_eq!(found.name.as_ref(), Some(&topic.wire_name()));
    assert_eq!(found.partitions.len(), 2);
    // Version 0 had no null: there the empty list asks for all.
    let old = connection.call(0, &MetadataRequest::default().with_topics(Some(vec![]))).await;
    assert!(old.topics.iter().any(|found| found.name.as_ref() == Some(&topic.wire_name())));
}

#[tokio::test]
async fn a_partition_is_led_by_the_only_broker_in_epoch_0() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 3, &[]).await;
    let seen = describe(&mut connection, &topic.name).await;
    let mut indexes: Vec<_> = seen.partitions.iter().map(|p| p.partition_index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2]);
    for partition in &seen.partitions {
        assert_eq!(outcome(partition.error_code), Ok(()));
        assert_eq!(partition.leader_epoch, 0);
        assert_eq!(partition.replica_nodes, [partition.leader_id]);
        assert_eq!(partition.isr_nodes, [partition.leader_id]);
        assert!(partition.offline_replicas.is_empty());
    }
}

#[tokio::test]
async fn metadata_knows_a_topic_by_its_id_and_says_when_it_does_not() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let asked = [topic.id, Uuid::from_u128(rand::random())]
        .map(|id| MetadataRequestTopic::default().with_topic_id(id).with_name(None));
    let request = MetadataRequest::default().with_topics(Some(asked.to_vec()));
    let topics = connection.call(12, &request).await.topics;
    let find = |id| topics.iter().find(|topic| topic.topic_id == id).expect("it is answered");
    assert_eq!(find(asked[0].topic_id).name.as_ref(), Some(&topic.wire_name()));
    let unknown = find(asked[1].topic_id);
    assert_eq!(outcome(unknown.error_code), Err(ResponseError::UnknownTopicId));
    assert_eq!(unknown.name, None);
}

#[tokio::test]
async fn metadata_of_an_unknown_topic_and_of_a_bad_name_are_different_errors() {
    let mut connection = Connection::open().await;
    let unknown = describe(&mut connection, &unique("unknown")).await;
    assert_eq!(outcome(unknown.error_code), Err(ResponseError::UnknownTopicOrPartition));
    let bad = describe(&mut connection, "no topic!").await;
    assert_eq!(outcome(bad.error_code), Err(ResponseError::InvalidTopicException));
}

#[tokio::test]
async fn the_only_broker_coordinates_every_group_and_every_transaction() {
    let mut connection = Connection::open().await;
    for kind in [GROUP, TRANSACTION] {
        let keys = [unique("a"), unique("b")];
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(keys.iter().map(|key| text(key)).collect());
        // Apache Kafka creates the coordinator's topic at the first question.
        let found = event_bus_conformance::eventually::eventually(
            event_bus_conformance::topic::SOON,
            async || {
                let response = connection.call(4, &request).await;
                let ready = response.coordinators.iter().all(|found| found.error_code == 0);
                if ready { Ok(response.coordinators) } else { Err(response) }
            },
        )
        .await;
        for (found, key) in found.iter().zip(&keys) {
            assert_eq!(found.key.as_str(), key);
            assert_eq!(format!("{}:{}", found.host.as_str(), found.port), bootstrap());
        }
        let old = FindCoordinatorRequest::default().with_key_type(kind).with_key(text(&keys[0]));
        let old = connection.call(3, &old).await;
        assert_eq!(outcome(old.error_code), Ok(()));
        assert_eq!(old.node_id, found[0].node_id);
    }
}

#[tokio::test]
async fn a_coordinator_of_an_unknown_kind_is_an_invalid_request() {
    let mut connection = Connection::open().await;
    let request = FindCoordinatorRequest::default().with_key_type(9).with_key(text("x"));
    let response = connection.call(3, &request).await;
    assert_eq!(outcome(response.error_code), Err(ResponseError::InvalidRequest));
}

#[tokio::test]
async fn topic_partitions_are_described_page_by_page() {
    let mut connection = Connection::open().await;
    let mut topics = [
        Topic::create(&mut connection, 3, &[]).await,
        Topic::create(&mut connection, 2, &[]).await,
    ];
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let total = 5;
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(
            topics
                .iter()
                .map(|topic| TopicRequest::default().with_name(topic.wire_name()))
                .collect(),
        )
        .with_response_partition_limit(2);
    let mut cursor: Option<Cursor> = None;
    let mut seen = Vec::new();
    for _ in 0..total {
        let page = connection.call(0, &request.clone().with_cursor(cursor.take())).await;
        let mut on_page = 0;
        for topic in &page.topics {
            assert_eq!(outcome(topic.error_code), Ok(()));
            for partition in &topic.partitions {
                assert_eq!(partition.isr_nodes, [partition.leader_id]);
                seen.push((topic.topic_id, partition.partition_index));
                on_page += 1;
            }
        }
        assert!(on_page <= 2, "{on_page} partitions on a page of 2");
        let Some(next) = page.next_cursor else { break };
        cursor = Some(
            Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index),
        );
    }
    let wanted: Vec<_> = topics
        .iter()
        .flat_map(|topic| {
            let partitions = seen.iter().filter(|(id, _)| *id == topic.id).count();
            (0..i32::try_from(partitions).expect("few")).map(|index| (topic.id, index))
        })
        .collect();
    assert_eq!(seen, wanted);
    assert_eq!(seen.len(), total);
}

#[tokio::test]
async fn the_description_of_an_unknown_topic_is_an_error_of_that_topic() {
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![TopicRequest::default().with_name(topic_name(&unique("unknown")))])
        .with_response_partition_limit(10);
    let response = Connection::open().await.call(0, &request).await;
    let error = outcome(response.topics[0].error_code);
    assert_eq!(error, Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn log_dirs_tell_the_bytes_of_each_partition() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    let batch = Batch::of_size(10_000).bytes();
    produce(&mut connection, &topic.name, 1, batch.clone()).await;
    let asked =
        DescribableLogDirTopic::default().with_topic(topic.wire_name()).with_partitions(vec![0, 1]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![asked]));
    let response = connection.call(4, &request).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    let dir = &response.results[0];
    assert_eq!(outcome(dir.error_code), Ok(()));
    assert!(!dir.log_dir.is_empty());
    let found = dir.topics.iter().find(|found| found.name == topic.wire_name());
    let mut sizes: Vec<_> = found
        .expect("the topic is there")
        .partitions
        .iter()
        .map(|p| (p.partition_index, p.partition_size, p.offset_lag, p.is_future_key))
        .collect();
    sizes.sort_unstable();
    let size = i64::try_from(batch.len()).expect("it is small");
    assert_eq!(sizes, [(0, 0, 0, false), (1, size, 0, false)]);
}
