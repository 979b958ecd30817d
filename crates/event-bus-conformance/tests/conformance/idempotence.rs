//! Idempotent producers: each batch once, in order.

use event_bus_conformance::batch::Batch;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::producer::idempotent;
use event_bus_conformance::records::{produce, values};
use event_bus_conformance::topic::Topic;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, ProducerId};

/// A producer that says itself which sequence it writes.
struct Producer {
    connection: Connection,
    topic: Topic,
    id: i64,
}

impl Producer {
    async fn new() -> Self {
        let mut connection = Connection::open().await;
        let topic = Topic::new(&mut connection).await;
        let (id, epoch) = idempotent(&mut connection).await;
        assert_eq!(epoch, 0);
        Self { connection, topic, id }
    }

    async fn write(
        &mut self,
        epoch: i16,
        sequence: i32,
        values: &[&str],
    ) -> Result<i64, ResponseError> {
        let batch = Batch::of(values).from_producer(self.id, epoch, sequence).bytes();
        let produced = produce(&mut self.connection, &self.topic.name, 0, batch).await;
        outcome(produced.error_code).map(|()| produced.base_offset)
    }

    async fn values(&mut self) -> Vec<String> {
        values(&mut self.connection, &self.topic.name).await
    }
}

#[tokio::test]
async fn every_producer_gets_an_id_of_its_own() {
    let mut connection = Connection::open().await;
    let (a, _) = idempotent(&mut connection).await;
    let (b, _) = idempotent(&mut connection).await;
    assert_ne!(a, b);
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_answered_with_its_first_offset() {
    let mut producer = Producer::new().await;
    assert_eq!(producer.write(0, 0, &["a", "b"]).await, Ok(0));
    assert_eq!(producer.write(0, 2, &["c"]).await, Ok(2));
    assert_eq!(producer.write(0, 2, &["c"]).await, Ok(2));
    assert_eq!(producer.write(0, 0, &["a", "b"]).await, Ok(0));
    assert_eq!(producer.values().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn of_the_last_five_batches_each_is_known_again_and_no_older_one() {
    let mut producer = Producer::new().await;
    for sequence in 0..6 {
        assert_eq!(producer.write(0, sequence, &["x"]).await, Ok(i64::from(sequence)));
    }
    for sequence in 1..6 {
        assert_eq!(producer.write(0, sequence, &["x"]).await, Ok(i64::from(sequence)));
    }
    // Too old to be known, and surely a duplicate: its sequence is below the last one.
    let older = producer.write(0, 0, &["x"]).await;
    assert_eq!(older, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(producer.values().await.len(), 6);
}

#[tokio::test]
async fn a_gap_in_the_sequence_is_refused() {
    let mut producer = Producer::new().await;
    assert_eq!(producer.write(0, 0, &["a"]).await, Ok(0));
    let gap = producer.write(0, 2, &["c"]).await;
    assert_eq!(gap, Err(ResponseError::OutOfOrderSequenceNumber));
    let overlap = producer.write(0, 0, &["a", "b"]).await;
    assert_eq!(overlap, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(producer.write(0, 1, &["b"]).await, Ok(1));
    assert_eq!(producer.values().await, ["a", "b"]);
}

#[tokio::test]
async fn a_producer_that_the_partition_does_not_know_may_begin_anywhere() {
    let mut producer = Producer::new().await;
    assert_eq!(producer.write(0, 7, &["a"]).await, Ok(0));
    assert_eq!(producer.write(0, 8, &["b"]).await, Ok(1));
}

#[tokio::test]
async fn a_new_epoch_begins_at_0_and_fences_the_old_one() {
    let mut producer = Producer::new().await;
    assert_eq!(producer.write(0, 0, &["a"]).await, Ok(0));
    let wrong = producer.write(1, 1, &["b"]).await;
    assert_eq!(wrong, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(producer.write(1, 0, &["b"]).await, Ok(1));
    let old = producer.write(0, 1, &["c"]).await;
    assert_eq!(old, Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(producer.values().await, ["a", "b"]);
}

#[tokio::test]
async fn the_sequence_goes_on_at_0_after_the_largest_number() {
    let mut producer = Producer::new().await;
    assert_eq!(producer.write(0, i32::MAX - 1, &["a", "b"]).await, Ok(0));
    assert_eq!(producer.write(0, 0, &["c"]).await, Ok(2));
    assert_eq!(producer.values().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_producer_id_without_transactions_gets_no_new_epoch() {
    let mut connection = Connection::open().await;
    let (id, epoch) = idempotent(&mut connection).await;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch);
    let response = connection.call(4, &request).await;
    assert_eq!(outcome(response.error_code), Ok(()));
    assert_ne!(response.producer_id.0, id);
}
