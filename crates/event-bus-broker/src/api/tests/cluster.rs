//! The node, its topics page by page, and the sizes of its logs, over the wire.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    ListConfigResourcesRequest, MetadataRequest, TopicName, describe_topic_partitions_request,
};
use kafka_protocol::protocol::StrBytes;

use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config};

#[tokio::test]
async fn the_cluster_is_one_node_at_the_advertised_address() {
    let advertise = Some("kafka.test:9099".to_owned());
    let broker = Broker::start(Config { advertise, ..Config::default() }).await.unwrap();
    assert_eq!(broker.bootstrap(), "kafka.test:9099");
    let mut client = Client::connect(&broker).await;
    for version in 0..=2 {
        let cluster = client.ask(DescribeClusterRequest::default(), version).await;
        let nodes: Vec<_> =
            cluster.brokers.iter().map(|node| (node.broker_id.0, &*node.host, node.port)).collect();
        assert_eq!(nodes, [(1, "kafka.test", 9099)]);
        assert_eq!(cluster.controller_id.0, 1);
    }
    let metadata = client.ask(MetadataRequest::default(), 13).await;
    assert_eq!((&*metadata.brokers[0].host, metadata.brokers[0].port), ("kafka.test", 9099));
    for (endpoint, error) in
        [(2, ResponseError::MismatchedEndpointType), (9, ResponseError::UnsupportedEndpointType)]
    {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoint);
        assert_eq!(client.ask(request, 2).await.error_code, error.code());
    }
}

#[tokio::test]
async fn partitions_are_told_page_by_page() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("a", 3), topic("b", 2), topic("c", 1)]).await;
    let (mut cursor, mut seen) = (None, Vec::new());
    for _ in 0..10 {
        let request = DescribeTopicPartitionsRequest::default()
            .with_response_partition_limit(2)
            .with_cursor(cursor.clone());
        let page = client.ask(request, 0).await;
        let told: usize = page.topics.iter().map(|topic| topic.partitions.len()).sum();
        assert!(told <= 2);
        for topic in page.topics {
            let name = topic.name.unwrap().to_string();
            seen.extend(topic.partitions.iter().map(|p| (name.clone(), p.partition_index)));
        }
        let Some(next) = page.next_cursor else { break };
        cursor = Some(
            describe_topic_partitions_request::Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index),
        );
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0)];
    assert_eq!(seen, expected.map(|(name, index)| (name.to_owned(), index)));

    let wanted = ["nope", "b"].map(|name| {
        let name = TopicName(StrBytes::from_static_str(name));
        TopicRequest::default().with_name(name)
    });
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(wanted.to_vec())
        .with_response_partition_limit(100);
    let codes: Vec<_> =
        client.ask(request, 0).await.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
}

#[tokio::test]
async fn log_directories_and_resources_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic("a", 2)]).await;
    let dirs = client.ask(DescribeLogDirsRequest::default().with_topics(None), 4).await.results;
    assert_eq!(&*dirs[0].log_dir, dir.path().to_str().unwrap());
    assert_eq!(dirs[0].topics[0].partitions.len(), 2);
    let resources = client.ask(ListConfigResourcesRequest::default(), 1).await.config_resources;
    let listed: Vec<_> = resources.iter().map(|r| (r.resource_type, &*r.resource_name)).collect();
    assert_eq!(listed, [(2, "a"), (4, "1")]);
}

#[tokio::test]
async fn what_is_not_served_closes_the_connection_and_unknown_versions_of_api_versions_do_not() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    // ApiVersions in version 99, correlation id 7, no client id.
    client.send_bytes(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 255, 255]).await;
    let answer = client.receive_bytes().await.unwrap();
    assert_eq!(&answer[..6], &[0, 0, 0, 7, 0, 35]);
    for bytes in [
        // Version 99 of Metadata, API 999, a negative length, more than the largest length, too short a request.
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 7, 255, 255][..],
        &[0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 7, 255, 255],
        &[255, 255, 255, 255],
        &[127, 255, 255, 255],
        &[0, 0, 0, 2, 0, 3],
    ] {
        let mut client = Client::connect(&broker).await;
        client.send_bytes(bytes).await;
        assert_eq!(client.receive_bytes().await, None);
    }
}
