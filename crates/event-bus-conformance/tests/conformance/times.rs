//! ListOffsets: the ends, and the offset of a time.

use event_bus_conformance::batch::{Batch, now_ms};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::special::{EARLIEST, LATEST, MAX_TIMESTAMP};
use event_bus_conformance::records::{offset_at, produce};
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::records::Compression;

async fn at(connection: &mut Connection, topic: &Topic, time: i64) -> (i64, i64) {
    let found = offset_at(connection, &topic.name, 0, time, false).await;
    assert_eq!(outcome(found.error_code), Ok(()));
    (found.offset, found.timestamp)
}

#[tokio::test]
async fn an_empty_partition_begins_and_ends_at_0_and_has_no_times() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    assert_eq!(at(&mut connection, &topic, EARLIEST).await, (0, -1));
    assert_eq!(at(&mut connection, &topic, LATEST).await, (0, -1));
    assert_eq!(at(&mut connection, &topic, 0).await, (-1, -1));
    assert_eq!(at(&mut connection, &topic, MAX_TIMESTAMP).await, (-1, -1));
}

#[tokio::test]
async fn a_time_leads_to_the_first_record_that_is_not_older_with_every_codec() {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let mut connection = Connection::open().await;
        let topic = Topic::new(&mut connection).await;
        let t = now_ms() - 10_000;
        for times in [[t, t + 10, t + 20], [t + 100, t + 110, t + 120]] {
            let batch = Batch::of(&["a", "b", "c"]).at(&times).compressed(codec).bytes();
            produce(&mut connection, &topic.name, 0, batch).await;
        }
        let cases = [
            (t - 5_000, (0, t)),
            (t, (0, t)),
            (t + 1, (1, t + 10)),
            (t + 10, (1, t + 10)),
            (t + 20, (2, t + 20)),
            (t + 21, (3, t + 100)),
            (t + 105, (4, t + 110)),
            (t + 120, (5, t + 120)),
            (t + 121, (-1, -1)),
        ];
        for (time, wanted) in cases {
            assert_eq!(at(&mut connection, &topic, time).await, wanted, "{codec:?} +{}", time - t);
        }
    }
}

#[tokio::test]
async fn times_that_run_backwards_are_searched_in_the_order_of_the_log() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let t = now_ms() - 10_000;
    let batch = Batch::of(&["a", "b", "c"]).at(&[t + 50, t, t + 100]).bytes();
    produce(&mut connection, &topic.name, 0, batch).await;
    let batch = Batch::of(&["d"]).at(&[t + 20]).bytes();
    produce(&mut connection, &topic.name, 0, batch).await;
    assert_eq!(at(&mut connection, &topic, t).await, (0, t + 50));
    assert_eq!(at(&mut connection, &topic, t + 60).await, (2, t + 100));
    assert_eq!(at(&mut connection, &topic, MAX_TIMESTAMP).await, (2, t + 100));
    assert_eq!(at(&mut connection, &topic, LATEST).await, (4, -1));
}

#[tokio::test]
async fn of_several_largest_timestamps_the_first_counts() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let t = now_ms() - 10_000;
    for _ in 0..2 {
        let batch = Batch::of(&["a", "b", "c"]).at(&[t - 1, t, t]).bytes();
        produce(&mut connection, &topic.name, 0, batch).await;
    }
    assert_eq!(at(&mut connection, &topic, MAX_TIMESTAMP).await, (1, t));
}

#[tokio::test]
async fn a_partition_that_is_not_there_has_no_offsets() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let missing = Err(ResponseError::UnknownTopicOrPartition);
    let partition = offset_at(&mut connection, &topic.name, 3, LATEST, false).await;
    assert_eq!(outcome(partition.error_code), missing);
    assert_eq!((partition.offset, partition.timestamp), (-1, -1));
    let unknown = offset_at(&mut connection, &unique("unknown"), 0, LATEST, false).await;
    assert_eq!(outcome(unknown.error_code), missing);
}

#[tokio::test]
async fn every_version_of_list_offsets_tells_the_end() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    produce(&mut connection, &topic.name, 0, Batch::of(&["a", "b"]).bytes()).await;
    for version in 1..=8 {
        let partition =
            ListOffsetsPartition::default().with_current_leader_epoch(-1).with_timestamp(LATEST);
        let asked = ListOffsetsTopic::default()
            .with_name(topic.wire_name())
            .with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]);
        let response = connection.call(version, &request).await;
        let found = &response.topics[0].partitions[0];
        assert_eq!((outcome(found.error_code), found.offset), (Ok(()), 2), "version {version}");
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!(found.leader_epoch, epoch, "version {version}");
    }
}
