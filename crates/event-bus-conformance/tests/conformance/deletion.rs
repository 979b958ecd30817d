//! Records that are deleted from the front of a partition.

use event_bus_conformance::batch::values_in;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::records::special::{EARLIEST, LATEST};
use event_bus_conformance::records::{Fetch, offset_at, write};
use event_bus_conformance::subject::unique;
use event_bus_conformance::topic::{Topic, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

async fn delete_below(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<i64, ResponseError> {
    let partition =
        DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic =
        DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let mut response = connection.call(2, &request).await;
    let partition = response.topics.remove(0).partitions.remove(0);
    outcome(partition.error_code).map(|()| partition.low_watermark)
}

#[tokio::test]
async fn deleted_records_are_gone_and_the_others_keep_their_offsets() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    for values in [["a", "b"], ["c", "d"], ["e", "f"]] {
        write(&mut connection, &topic.name, &values).await;
    }
    assert_eq!(delete_below(&mut connection, &topic.name, 0, 3).await, Ok(3));
    assert_eq!(offset_at(&mut connection, &topic.name, 0, EARLIEST, false).await.offset, 3);
    let gone = Fetch::from(&topic.name, 2).send(&mut connection).await;
    assert_eq!(outcome(gone.error_code), Err(ResponseError::OffsetOutOfRange));
    let rest = Fetch::from(&topic.name, 3).send(&mut connection).await;
    assert_eq!((rest.log_start_offset, rest.high_watermark), (3, 6));
    // The batch of the first kept record comes whole; readers skip what is below their offset.
    assert_eq!(values_in(rest.records.unwrap_or_default()), ["c", "d", "e", "f"]);
}

#[tokio::test]
async fn deleting_less_than_is_deleted_already_changes_nothing() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["a", "b", "c"]).await;
    assert_eq!(delete_below(&mut connection, &topic.name, 0, 2).await, Ok(2));
    assert_eq!(delete_below(&mut connection, &topic.name, 0, 1).await, Ok(2));
}

#[tokio::test]
async fn everything_is_deleted_up_to_the_end() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["a", "b", "c"]).await;
    assert_eq!(delete_below(&mut connection, &topic.name, 0, -1).await, Ok(3));
    assert_eq!(offset_at(&mut connection, &topic.name, 0, EARLIEST, false).await.offset, 3);
    assert_eq!(offset_at(&mut connection, &topic.name, 0, LATEST, false).await.offset, 3);
    assert_eq!(write(&mut connection, &topic.name, &["d"]).await, 3);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_deleted() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["a"]).await;
    let beyond = delete_below(&mut connection, &topic.name, 0, 2).await;
    assert_eq!(beyond, Err(ResponseError::OffsetOutOfRange));
    let partition = delete_below(&mut connection, &topic.name, 4, 0).await;
    assert_eq!(partition, Err(ResponseError::UnknownTopicOrPartition));
    let unknown = delete_below(&mut connection, &unique("unknown"), 0, 0).await;
    assert_eq!(unknown, Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_topic_that_is_only_compacted_keeps_its_records() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 1, &[("cleanup.policy", "compact")]).await;
    let refused = delete_below(&mut connection, &topic.name, 0, 0).await;
    assert_eq!(refused, Err(ResponseError::PolicyViolation));
}
