//! Reading: how much, how long to wait, and what is not there.

use std::time::{Duration, Instant};

use event_bus_conformance::batch::{Batch, records_in, values_in};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::{FETCH, Fetch, produce, values, write};
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use uuid::Uuid;

/// Longer than any test takes that doesn't wait.
const LONG_MS: i32 = 20_000;

#[tokio::test]
async fn a_fetch_that_waits_is_answered_as_soon_as_there_are_records() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let start = Instant::now();
    let request = Fetch::from(&topic.name, 0).waiting(1, LONG_MS).request();
    connection.send(FETCH, &request).await;
    let mut other = Connection::open().await;
    write(&mut other, &topic.name, &["awaited"]).await;
    let mut response = connection.answer::<FetchRequest>(FETCH).await;
    let data = response.responses.remove(0).partitions.remove(0);
    assert_eq!(values_in(data.records.unwrap_or_default()), ["awaited"]);
    assert!(start.elapsed() < Duration::from_secs(15), "the records did not end the wait");
}

#[tokio::test]
async fn a_fetch_waits_no_longer_than_it_said() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["little"]).await;
    let start = Instant::now();
    let data = Fetch::from(&topic.name, 0).waiting(1 << 20, 300).send(&mut connection).await;
    assert!(start.elapsed() >= Duration::from_millis(300), "it did not wait for more");
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for too long");
    // What there is comes all the same.
    assert_eq!(values_in(data.records.unwrap_or_default()), ["little"]);
}

#[tokio::test]
async fn a_fetch_that_has_enough_does_not_wait() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["enough"]).await;
    let start = Instant::now();
    let data = Fetch::from(&topic.name, 0).waiting(1, LONG_MS).send(&mut connection).await;
    assert_eq!(values_in(data.records.unwrap_or_default()), ["enough"]);
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn an_error_is_not_waited_with() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let start = Instant::now();
    let data = Fetch::from(&topic.name, 5).waiting(1, LONG_MS).send(&mut connection).await;
    assert_eq!(outcome(data.error_code), Err(ResponseError::OffsetOutOfRange));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn the_end_can_be_read_from_and_what_lies_beyond_is_out_of_range() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["a", "b"]).await;
    let end = Fetch::from(&topic.name, 2).send(&mut connection).await;
    assert_eq!((outcome(end.error_code), end.high_watermark), (Ok(()), 2));
    assert!(end.records.unwrap_or_default().is_empty());
    for offset in [3, -1] {
        let beyond = Fetch::from(&topic.name, offset).send(&mut connection).await;
        assert_eq!(outcome(beyond.error_code), Err(ResponseError::OffsetOutOfRange));
        assert_eq!(beyond.high_watermark, -1);
    }
}

#[tokio::test]
async fn a_fetch_within_a_batch_gets_the_whole_batch() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["a"]).await;
    write(&mut connection, &topic.name, &["b", "c", "d"]).await;
    let data = Fetch::from(&topic.name, 2).send(&mut connection).await;
    assert_eq!(values_in(data.records.unwrap_or_default()), ["b", "c", "d"]);
}

#[tokio::test]
async fn a_batch_above_all_limits_still_comes_alone_so_that_readers_get_on() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    for _ in 0..2 {
        produce(&mut connection, &topic.name, 0, Batch::of_size(10_000).bytes()).await;
    }
    let data = Fetch::from(&topic.name, 0).at_most(100, 100).send(&mut connection).await;
    let offsets: Vec<_> =
        records_in(data.records.unwrap_or_default()).iter().map(|r| r.offset).collect();
    assert_eq!(offsets, [0]);
}

/// The records that each partition of a two-partition topic gets of a response.
async fn two_partitions(max_bytes: i32, partition_max_bytes: i32) -> Vec<usize> {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    for partition in 0..2 {
        for _ in 0..3 {
            produce(&mut connection, &topic.name, partition, Batch::of_size(10_000).bytes()).await;
        }
    }
    let mut request = Fetch::from(&topic.name, 0).at_most(max_bytes, partition_max_bytes).request();
    let second = request.topics[0].partitions[0].clone().with_partition(1);
    request.topics[0].partitions.push(second);
    let mut response = connection.call(FETCH, &request).await;
    // Apache Kafka cuts the last batch off; whole ones are counted.
    let whole = |records: bytes::Bytes| records.len() / 10_000;
    let partitions = response.responses.remove(0).partitions;
    partitions.into_iter().map(|p| whole(p.records.unwrap_or_default())).collect()
}

#[tokio::test]
async fn the_first_partition_with_records_uses_the_limit_up() {
    assert_eq!(two_partitions(100, 1 << 20).await, [1, 0]);
}

#[tokio::test]
async fn each_partition_gets_no_more_than_its_own_limit() {
    assert_eq!(two_partitions(1 << 20, 20_500).await, [2, 2]);
}

#[tokio::test]
async fn an_unknown_topic_or_partition_is_an_error_of_its_own() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let unknown = Fetch::from(&unique("unknown"), 0).send(&mut connection).await;
    assert_eq!(outcome(unknown.error_code), Err(ResponseError::UnknownTopicOrPartition));
    let partition = Fetch::from(&topic.name, 0).of_partition(7).send(&mut connection).await;
    assert_eq!(outcome(partition.error_code), Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_topic_is_read_by_its_id() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["by id"]).await;
    for version in [13, 16] {
        let mut request = Fetch::from(&topic.name, 0).request();
        request.topics[0].topic = TopicName::default();
        request.topics[0].topic_id = topic.id;
        // From version 15 on only brokers say who they are.
        if version >= 15 {
            request.replica_id = FetchRequest::default().replica_id;
        }
        let mut response = connection.call(version, &request).await;
        assert_eq!(outcome(response.error_code), Ok(()));
        assert_eq!(response.responses[0].topic_id, topic.id);
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!(values_in(data.records.unwrap_or_default()), ["by id"]);

        request.topics[0].topic_id = Uuid::from_u128(rand::random());
        let response = connection.call(version, &request).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(outcome(response.error_code), Ok(()));
        assert_eq!(outcome(partition.error_code), Err(ResponseError::UnknownTopicId));
    }
}

#[tokio::test]
async fn another_leader_epoch_is_fenced_or_unknown() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut request = Fetch::from(&topic.name, 0).request();
    for (epoch, wanted) in [(0, Ok(())), (5, Err(ResponseError::UnknownLeaderEpoch))] {
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = connection.call(FETCH, &request).await;
        assert_eq!(outcome(response.responses[0].partitions[0].error_code), wanted);
    }
}

#[tokio::test]
async fn every_version_of_fetch_by_name_reads() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["x"]).await;
    for version in 4..=12 {
        let mut request = Fetch::from(&topic.name, 0).request();
        if version < 7 {
            request.session_epoch = FetchRequest::default().session_epoch;
        }
        let mut response = connection.call(version, &request).await;
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!(values_in(data.records.unwrap_or_default()), ["x"], "version {version}");
    }
    assert_eq!(values(&mut connection, &topic.name).await, ["x"]);
}

#[tokio::test]
async fn a_fetch_of_nothing_is_answered() {
    let mut connection = Connection::open().await;
    let request = Fetch::from("any", 0).request().with_topics(Vec::<FetchTopic>::new());
    let response = connection.call(FETCH, &request).await;
    assert_eq!((outcome(response.error_code), response.session_id), (Ok(()), 0));
    assert!(response.responses.is_empty());
}

#[tokio::test]
async fn partitions_of_one_request_each_have_their_own_answer() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    write(&mut connection, &topic.name, &["first"]).await;
    let mut request = Fetch::from(&topic.name, 0).request();
    let first = request.topics[0].partitions[0].clone();
    let more: [FetchPartition; 2] =
        [first.clone().with_partition(1).with_fetch_offset(9), first.with_partition(2)];
    request.topics[0].partitions.extend(more);
    let response = connection.call(FETCH, &request).await;
    let seen: Vec<_> = response.responses[0]
        .partitions
        .iter()
        .map(|p| (p.partition_index, outcome(p.error_code)))
        .collect();
    let wanted = [
        (0, Ok(())),
        (1, Err(ResponseError::OffsetOutOfRange)),
        (2, Err(ResponseError::UnknownTopicOrPartition)),
    ];
    for partition in wanted {
        assert!(seen.contains(&partition), "{partition:?} is not in {seen:?}");
    }
}
