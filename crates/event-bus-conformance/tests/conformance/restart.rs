//! What was acknowledged is there after a restart. One broker of this test's own is restarted once for all of it.

use event_bus_conformance::batch::Batch;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::coordinators;
use event_bus_conformance::eventually::{equal, eventually};
use event_bus_conformance::member::Member;
use event_bus_conformance::offsets::{commit_request, committed, send_commit};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::producer::{Transactional, idempotent};
use event_bus_conformance::records::special::EARLIEST;
use event_bus_conformance::records::{committed_values, offset_at, produce, values, write};
use event_bus_conformance::subject::{self, Kind, Restartable, unique};
use event_bus_conformance::topic::{SOON, Topic, describe};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest, MetadataRequest};

async fn write_sequence(
    connection: &mut Connection,
    topic: &Topic,
    (producer, sequence): (i64, i32),
    value: &str,
) -> Result<i64, ResponseError> {
    let batch = Batch::of(&[value]).from_producer(producer, 0, sequence).bytes();
    let produced = produce(connection, &topic.name, 0, batch).await;
    outcome(produced.error_code).map(|()| produced.base_offset)
}

/// An idempotent producer that does not know whether its last batch arrived.
struct Retrying {
    topic: Topic,
    producer: i64,
}

impl Retrying {
    async fn before(connection: &mut Connection) -> Self {
        let topic = Topic::new(connection).await;
        let (producer, _) = idempotent(connection).await;
        for (sequence, value) in [(0, "a"), (1, "b"), (2, "c")] {
            let offset = write_sequence(connection, &topic, (producer, sequence), value).await;
            assert_eq!(offset, Ok(i64::from(sequence)));
        }
        Self { topic, producer }
    }

    async fn after(self, connection: &mut Connection) {
        let last = write_sequence(connection, &self.topic, (self.producer, 2), "c").await;
        assert_eq!(last, Ok(2), "the last batch again");
        for (sequence, value) in [(1, "b"), (0, "a")] {
            let again =
                write_sequence(connection, &self.topic, (self.producer, sequence), value).await;
            // docs/BROKER-DIFFERENCES.md: idempotent retries after a restart.
            let wanted = match subject::kind() {
                Kind::Kafka => Err(ResponseError::OutOfOrderSequenceNumber),
                Kind::Embedded => Ok(i64::from(sequence)),
            };
            assert_eq!(again, wanted, "sequence {sequence} again");
        }
        let gap = write_sequence(connection, &self.topic, (self.producer, 4), "e").await;
        assert_eq!(gap, Err(ResponseError::OutOfOrderSequenceNumber));
        let next = write_sequence(connection, &self.topic, (self.producer, 3), "d").await;
        assert_eq!(next, Ok(3));
        assert_eq!(values(connection, &self.topic.name).await, ["a", "b", "c", "d"]);
        let (other, _) = idempotent(connection).await;
        assert_ne!(other, self.producer, "a producer id was given twice");
    }
}

/// Topics: one with settings, one that was deleted, one whose first records were.
struct Topics {
    kept: Topic,
    deleted: Topic,
    trimmed: Topic,
}

impl Topics {
    async fn before(connection: &mut Connection) -> Self {
        let kept = Topic::create(connection, 3, &[("max.message.bytes", "5000")]).await;
        let deleted = Topic::new(connection).await;
        let by_name = DeleteTopicState::default().with_name(Some(deleted.wire_name()));
        let request =
            DeleteTopicsRequest::default().with_topics(vec![by_name]).with_timeout_ms(30_000);
        let response = connection.call(6, &request).await;
        assert_eq!(outcome(response.responses[0].error_code), Ok(()));
        let trimmed = Topic::new(connection).await;
        write(connection, &trimmed.name, &["a", "b", "c"]).await;
        let partition = DeleteRecordsPartition::default().with_offset(2);
        let topic = DeleteRecordsTopic::default()
            .with_name(trimmed.wire_name())
            .with_partitions(vec![partition]);
        let request =
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let response = connection.call(2, &request).await;
        assert_eq!(outcome(response.topics[0].partitions[0].error_code), Ok(()));
        Self { kept, deleted, trimmed }
    }

    async fn after(self, connection: &mut Connection) {
        let kept = describe(connection, &self.kept.name).await;
        assert_eq!((kept.topic_id, kept.partitions.len()), (self.kept.id, 3));
        let large = produce(connection, &self.kept.name, 0, Batch::of_size(6_000).bytes()).await;
        assert_eq!(outcome(large.error_code), Err(ResponseError::MessageTooLarge));
        let deleted = describe(connection, &self.deleted.name).await;
        let error = outcome(deleted.error_code);
        assert_eq!(error, Err(ResponseError::UnknownTopicOrPartition));
        let start = offset_at(connection, &self.trimmed.name, 0, EARLIEST, false).await;
        assert_eq!(start.offset, 2);
    }
}

/// A group's offset, and a member that heartbeats on.
struct Group {
    topic: Topic,
    group: String,
    member: Member,
}

impl Group {
    async fn before(address: &str, connection: &mut Connection) -> Self {
        let (topic, group) = (Topic::new(connection).await, unique("group"));
        let offset = commit_request(&group, &topic.name, 0, 42, "kept");
        assert_eq!(send_commit(connection, &offset).await, Ok(()));
        let mut member = Member::at(Connection::to(address).await, &group);
        member.join_alone().await;
        Self { topic, group, member }
    }

    async fn after(mut self, address: &str, connection: &mut Connection) {
        let seen = committed(connection, &self.group, &self.topic.name, 0, true).await;
        assert_eq!((outcome(seen.error_code), seen.committed_offset), (Ok(()), 42));
        assert_eq!(seen.metadata.as_deref(), Some("kept"));
        self.member.connection = Connection::to(address).await;
        assert_eq!(self.member.heartbeat().await, Ok(()), "a member of before the restart");
    }
}

/// Transactions: one committed, one aborted, one that is open.
struct Transactions {
    topic: Topic,
    open: Transactional,
}

impl Transactions {
    async fn before(address: &str, connection: &mut Connection) -> Self {
        let topic = Topic::new(connection).await;
        let mut producer = Transactional::new(address, &unique("transaction")).await;
        for (value, commits) in [("committed", true), ("aborted", false)] {
            producer.add_and_write(&topic.name, &[value]).await;
            assert_eq!(producer.end(commits).await, Ok(()));
        }
        let mut open = Transactional::new(address, &unique("transaction")).await;
        open.add_and_write(&topic.name, &["open"]).await;
        write(connection, &topic.name, &["plain"]).await;
        Self { topic, open }
    }

    async fn after(mut self, address: &str, connection: &mut Connection) {
        eventually(SOON, async || {
            equal(
                committed_values(connection, &self.topic.name).await,
                vec!["committed".to_owned()],
            )
        })
        .await;
        self.open.reconnect(address).await;
        self.open.write(&self.topic.name, &["goes on"]).await.expect("the transaction is open");
        assert_eq!(self.open.end(true).await, Ok(()));
        let wanted = ["committed", "open", "plain", "goes on"].map(str::to_owned);
        eventually(SOON, async || {
            equal(committed_values(connection, &self.topic.name).await, wanted.to_vec())
        })
        .await;
    }
}

async fn cluster_id(connection: &mut Connection) -> Option<String> {
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    connection.call(12, &request).await.cluster_id.map(|id| id.to_string())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut broker = Restartable::start().await;
    let address = broker.address().to_owned();
    let mut connection = Connection::to(&address).await;
    let id = cluster_id(&mut connection).await;
    coordinators::until_ready(&mut connection).await;
    let retrying = Retrying::before(&mut connection).await;
    let topics = Topics::before(&mut connection).await;
    let group = Group::before(&address, &mut connection).await;
    let transactions = Transactions::before(&address, &mut connection).await;

    broker.restart().await;
    let address = broker.address().to_owned();
    let mut connection = Connection::to(&address).await;
    assert_eq!(cluster_id(&mut connection).await, id);
    for topic in [&retrying.topic, &topics.trimmed, &group.topic, &transactions.topic] {
        topic.until_ready(&mut connection, 1).await;
    }
    topics.kept.until_ready(&mut connection, 3).await;
    coordinators::until_ready(&mut connection).await;
    retrying.after(&mut connection).await;
    topics.after(&mut connection).await;
    group.after(&address, &mut connection).await;
    transactions.after(&address, &mut connection).await;
    broker.stop().await;
}
