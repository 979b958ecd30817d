//! Transactions: what becomes visible and when, and who is fenced.

use event_bus_conformance::batch::{Batch, records_in};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::{equal, eventually};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::producer::{Transactional, init};
use event_bus_conformance::records::special::LATEST;
use event_bus_conformance::records::{
    ALL, Fetch, committed_values, offset_at, produce_in_transaction, produce_request, values, write,
};
use event_bus_conformance::subject::{bootstrap, unique};
use event_bus_conformance::topic::{SOON, Topic, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ProducerId, TransactionalId};

const COMMIT: bool = true;
const ABORT: bool = false;

async fn producer() -> Transactional {
    Transactional::new(&bootstrap(), &unique("transaction")).await
}

/// Waits until nothing in the topic's first partition is open, so that the markers are written.
async fn until_closed(connection: &mut Connection, topic: &str) {
    eventually(SOON, async || {
        let data = Fetch::from(topic, 0).committed_only().send(connection).await;
        equal(data.last_stable_offset, data.high_watermark)
    })
    .await;
}

#[tokio::test]
async fn records_of_an_open_transaction_are_hidden_from_committed_readers_only() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    write(&mut connection, &topic.name, &["before"]).await;
    let mut producer = producer().await;
    assert_eq!(producer.add_and_write(&topic.name, &["open"]).await, 1);
    write(&mut connection, &topic.name, &["after"]).await;

    assert_eq!(values(&mut connection, &topic.name).await, ["before", "open", "after"]);
    assert_eq!(committed_values(&mut connection, &topic.name).await, ["before"]);
    let data = Fetch::from(&topic.name, 0).send(&mut connection).await;
    assert_eq!((data.last_stable_offset, data.high_watermark), (1, 3));
    let end = offset_at(&mut connection, &topic.name, 0, LATEST, true).await;
    assert_eq!(end.offset, 1);
    let end = offset_at(&mut connection, &topic.name, 0, LATEST, false).await;
    assert_eq!(end.offset, 3);

    assert_eq!(producer.end(COMMIT).await, Ok(()));
    until_closed(&mut connection, &topic.name).await;
    assert_eq!(committed_values(&mut connection, &topic.name).await, ["before", "open", "after"]);
}

#[tokio::test]
async fn aborted_records_are_never_shown_to_committed_readers() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let (mut a, mut b) = (producer().await, producer().await);
    a.add_and_write(&topic.name, &["aborted 1"]).await;
    b.add_and_write(&topic.name, &["committed 1"]).await;
    a.write(&topic.name, &["aborted 2"]).await.expect("its partition was added");
    write(&mut connection, &topic.name, &["plain"]).await;
    assert_eq!(a.end(ABORT).await, Ok(()));
    assert_eq!(b.end(COMMIT).await, Ok(()));
    until_closed(&mut connection, &topic.name).await;
    a.add_and_write(&topic.name, &["committed 2"]).await;
    assert_eq!(a.end(COMMIT).await, Ok(()));
    until_closed(&mut connection, &topic.name).await;

    let shown = committed_values(&mut connection, &topic.name).await;
    assert_eq!(shown, ["committed 1", "plain", "committed 2"]);
    let data = Fetch::from(&topic.name, 0).committed_only().send(&mut connection).await;
    let aborted = data.aborted_transactions.expect("they are told");
    let aborted: Vec<_> = aborted.iter().map(|t| (t.producer_id.0, t.first_offset)).collect();
    assert_eq!(aborted, [(a.producer_id, 0)]);
    // Who reads everything is not told.
    let data = Fetch::from(&topic.name, 0).send(&mut connection).await;
    assert_eq!(data.aborted_transactions, None);
}

#[tokio::test]
async fn only_aborted_transactions_within_what_is_read_are_told() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    for _ in 0..2 {
        producer.add_and_write(&topic.name, &["aborted"]).await;
        assert_eq!(producer.end(ABORT).await, Ok(()));
        until_closed(&mut connection, &topic.name).await;
    }
    // A record and a marker each: the second transaction began at 2.
    let data = Fetch::from(&topic.name, 2).committed_only().send(&mut connection).await;
    let aborted = data.aborted_transactions.expect("they are told");
    assert_eq!(aborted.iter().map(|t| t.first_offset).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_marker_takes_an_offset_and_says_how_the_transaction_ended() {
    let mut connection = Connection::open().await;
    for (committed, kind) in [(COMMIT, 1), (ABORT, 0)] {
        let topic = Topic::new(&mut connection).await;
        let mut producer = producer().await;
        producer.add_and_write(&topic.name, &["a", "b"]).await;
        assert_eq!(producer.end(committed).await, Ok(()));
        until_closed(&mut connection, &topic.name).await;
        let data = Fetch::from(&topic.name, 0).send(&mut connection).await;
        assert_eq!(data.high_watermark, 3);
        let records = records_in(data.records.unwrap_or_default());
        let marker = records.last().expect("the marker is there");
        assert!(marker.control && marker.transactional);
        assert_eq!((marker.offset, marker.producer_id), (2, producer.producer_id));
        // Version 0, then the kind.
        assert_eq!(marker.key.as_deref(), Some(&[0, 0, 0, kind][..]));
    }
}

#[tokio::test]
async fn a_transaction_spans_topics_and_ends_in_all_of_them() {
    let mut connection = Connection::open().await;
    let (a, b) = (Topic::new(&mut connection).await, Topic::new(&mut connection).await);
    let mut producer = producer().await;
    producer.add(&a.name).await.expect("it is added");
    producer.add(&b.name).await.expect("it is added");
    // The sequence counts per partition, so only one of them is written to; the other gets a marker too.
    producer.write(&a.name, &["in a"]).await.expect("it was added");
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    for (topic, end) in [(&a, 2), (&b, 1)] {
        eventually(SOON, async || {
            let found = offset_at(&mut connection, &topic.name, 0, LATEST, true).await;
            equal(found.offset, end)
        })
        .await;
    }
}

#[tokio::test]
async fn the_next_owner_of_a_transactional_id_fences_the_one_before_and_aborts_its_transaction() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let id = unique("transaction");
    let mut old = Transactional::new(&bootstrap(), &id).await;
    old.add_and_write(&topic.name, &["of the old one"]).await;
    let mut new = Transactional::new(&bootstrap(), &id).await;
    assert_eq!(new.producer_id, old.producer_id);
    assert!(new.epoch > old.epoch);
    until_closed(&mut connection, &topic.name).await;
    assert!(committed_values(&mut connection, &topic.name).await.is_empty());

    let fenced = Err(ResponseError::ProducerFenced);
    assert_eq!(old.add(&topic.name).await, fenced);
    assert_eq!(old.end(COMMIT).await, fenced);
    assert_eq!(old.add_offsets(&unique("group")).await, fenced);
    let written = old.write(&topic.name, &["too late"]).await;
    assert_eq!(written, Err(ResponseError::InvalidProducerEpoch));
    new.add_and_write(&topic.name, &["of the new one"]).await;
    assert_eq!(new.end(COMMIT).await, Ok(()));
    until_closed(&mut connection, &topic.name).await;
    assert_eq!(committed_values(&mut connection, &topic.name).await, ["of the new one"]);
}

#[tokio::test]
async fn a_producer_that_names_its_epoch_gets_the_next_and_one_with_an_older_is_fenced() {
    let mut connection = Connection::open().await;
    let id = unique("transaction");
    let producer = Transactional::new(&bootstrap(), &id).await;
    let had = (producer.producer_id, producer.epoch);
    let next = init(&mut connection, &id, 60_000, had).await;
    assert_eq!(outcome(next.error_code), Ok(()));
    assert_eq!((next.producer_id, next.producer_epoch), (ProducerId(had.0), had.1 + 1));
    // The same question again is a retry, and has the same answer.
    let again = init(&mut connection, &id, 60_000, had).await;
    assert_eq!((outcome(again.error_code), again.producer_epoch), (Ok(()), had.1 + 1));
    let last = init(&mut connection, &id, 60_000, (had.0, had.1 + 1)).await;
    assert_eq!((outcome(last.error_code), last.producer_epoch), (Ok(()), had.1 + 2));
    let old = init(&mut connection, &id, 60_000, had).await;
    assert_eq!(outcome(old.error_code), Err(ResponseError::ProducerFenced));
}

#[tokio::test]
async fn a_transaction_needs_a_timeout_within_bounds_and_a_name() {
    let mut connection = Connection::open().await;
    for timeout_ms in [0, -1, 900_001] {
        let refused = init(&mut connection, &unique("transaction"), timeout_ms, (-1, -1)).await;
        let error = outcome(refused.error_code);
        assert_eq!(error, Err(ResponseError::InvalidTransactionTimeout), "{timeout_ms} ms");
    }
    let refused = init(&mut connection, "", 60_000, (-1, -1)).await;
    assert_eq!(outcome(refused.error_code), Err(ResponseError::InvalidRequest));
    let half = init(&mut connection, &unique("transaction"), 60_000, (5, -1)).await;
    assert_eq!(outcome(half.error_code), Err(ResponseError::InvalidRequest));
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer =
        Transactional::with_timeout(&bootstrap(), &unique("transaction"), 1_000).await;
    producer.add_and_write(&topic.name, &["too slow"]).await;
    until_closed(&mut connection, &topic.name).await;
    assert!(committed_values(&mut connection, &topic.name).await.is_empty());
    assert_eq!(producer.end(COMMIT).await, Err(ResponseError::ProducerFenced));
}

#[tokio::test]
async fn a_transaction_that_is_not_open_cannot_be_ended_but_an_end_can_be_repeated() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    assert_eq!(producer.end(COMMIT).await, Err(ResponseError::InvalidTxnState));
    producer.add_and_write(&topic.name, &["x"]).await;
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    assert_eq!(producer.end(ABORT).await, Err(ResponseError::InvalidTxnState));
    until_closed(&mut connection, &topic.name).await;
    assert_eq!(committed_values(&mut connection, &topic.name).await, ["x"]);
}

#[tokio::test]
async fn a_partition_that_was_not_added_takes_nothing_of_the_transaction() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let id = unique("transaction");
    let producer = Transactional::new(&bootstrap(), &id).await;
    let batch = Batch::of(&["x"]).from_producer(producer.producer_id, producer.epoch, 0);
    let request = produce_request(&topic.name, 0, ALL, batch.transactional().bytes())
        .with_transactional_id(Some(TransactionalId(text(&id))));
    // From version 11 on clients know the error that asks for an abort.
    let cases = [(10, ResponseError::InvalidTxnState), (11, ResponseError::TransactionAbortable)];
    for (version, error) in cases {
        let response = connection.call(version, &request).await;
        let refused = outcome(response.responses[0].partition_responses[0].error_code);
        assert_eq!(refused, Err(error), "version {version}");
    }
    assert!(values(&mut connection, &topic.name).await.is_empty());
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_not_added() {
    let mut producer = producer().await;
    let refused = producer.add(&unique("unknown")).await;
    assert_eq!(refused, Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_transactional_id_that_nobody_has_is_not_mapped() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    producer.producer_id += 1_000_000;
    let unmapped = Err(ResponseError::InvalidProducerIdMapping);
    assert_eq!(producer.add(&topic.name).await, unmapped);
    assert_eq!(producer.end(COMMIT).await, unmapped);
    let batch = Batch::of(&["x"]).from_producer(producer.producer_id, 0, 0).transactional();
    let id = unique("transaction");
    let refused = produce_in_transaction(&mut connection, &id, &topic.name, batch.bytes()).await;
    assert_eq!(refused, Err(ResponseError::InvalidProducerIdMapping));
}
