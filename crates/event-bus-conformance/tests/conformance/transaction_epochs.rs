//! The second version of the transaction protocol (KIP-890): writing adds partitions, and each transaction has an epoch.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::{equal, eventually};
use event_bus_conformance::offsets::committed;
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::producer::Transactional;
use event_bus_conformance::records::committed_values;
use event_bus_conformance::subject::{bootstrap, unique};
use event_bus_conformance::topic::{SOON, Topic, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiVersionsRequest;

const COMMIT: bool = true;
const ABORT: bool = false;

async fn producer() -> Transactional {
    Transactional::new(&bootstrap(), &unique("transaction")).await.second()
}

async fn becomes(connection: &mut Connection, topic: &str, wanted: &[&str]) {
    eventually(SOON, async || {
        equal(
            committed_values(connection, topic).await,
            wanted.iter().map(|value| (*value).to_owned()).collect(),
        )
    })
    .await;
}

#[tokio::test]
async fn clients_are_told_that_they_may_use_it() {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("conformance"))
        .with_client_software_version(text("1.0"));
    let response = Connection::open().await.call(3, &request).await;
    let features = &response.finalized_features;
    let feature = features.iter().find(|feature| feature.name.as_str() == "transaction.version");
    assert_eq!(feature.expect("the feature is there").max_version_level, 2);
}

#[tokio::test]
async fn writing_adds_the_partition_and_each_end_brings_the_next_epoch() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    let (id, first) = (producer.producer_id, producer.epoch);
    for (value, commits) in [("a", COMMIT), ("b", ABORT), ("c", COMMIT)] {
        producer.write(&topic.name, &[value]).await.expect("it is taken");
        assert_eq!(producer.end(commits).await, Ok(()));
    }
    assert_eq!((producer.producer_id, producer.epoch), (id, first + 3));
    becomes(&mut connection, &topic.name, &["a", "c"]).await;
}

#[tokio::test]
async fn the_epoch_of_an_ended_transaction_writes_nothing_more() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    producer.write(&topic.name, &["a"]).await.expect("it is taken");
    let ended = producer.epoch;
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    let next = producer.epoch;
    producer.write(&topic.name, &["b"]).await.expect("it is taken");
    producer.epoch = ended;
    let late = producer.write(&topic.name, &["late"]).await;
    assert_eq!(late, Err(ResponseError::InvalidProducerEpoch));
    producer.epoch = next;
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    becomes(&mut connection, &topic.name, &["a", "b"]).await;
}

#[tokio::test]
async fn an_end_that_is_sent_again_has_the_same_answer() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let mut producer = producer().await;
    producer.write(&topic.name, &["a"]).await.expect("it is taken");
    let ended = producer.epoch;
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    let next = producer.epoch;
    producer.epoch = ended;
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    assert_eq!(producer.epoch, next);
    producer.epoch = ended;
    assert_eq!(producer.end(ABORT).await, Err(ResponseError::InvalidTxnState));
}

#[tokio::test]
async fn nothing_can_be_aborted_but_not_committed() {
    let mut producer = producer().await;
    let first = producer.epoch;
    assert_eq!(producer.end(COMMIT).await, Err(ResponseError::InvalidTxnState));
    assert_eq!(producer.end(ABORT).await, Ok(()));
    assert_eq!(producer.epoch, first + 1);
}

#[tokio::test]
async fn committing_an_offset_adds_the_group() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let mut producer = producer().await;
    assert_eq!(producer.commit_offset(&group, &topic.name, 7).await, Ok(()));
    assert_eq!(producer.end(COMMIT).await, Ok(()));
    eventually(SOON, async || {
        let seen = committed(&mut connection, &group, &topic.name, 0, true).await;
        equal((outcome(seen.error_code), seen.committed_offset), (Ok(()), 7))
    })
    .await;
}
