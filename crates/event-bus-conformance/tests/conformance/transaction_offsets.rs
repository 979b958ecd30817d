//! Offsets that are committed in a transaction, for consumers that write what they make of what they read.

use event_bus_conformance::connection::Connection;
use event_bus_conformance::eventually::{equal, eventually};
use event_bus_conformance::member::Member;
use event_bus_conformance::offsets::{commit, committed};
use event_bus_conformance::outcome::outcome;
use event_bus_conformance::producer::Transactional;
use event_bus_conformance::subject::{bootstrap, unique};
use event_bus_conformance::topic::{SOON, Topic};
use kafka_protocol::ResponseError;

/// A topic, a group that has committed 1 in it, and a producer whose transaction says 9.
async fn pending() -> (Connection, Topic, String, Transactional) {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    assert_eq!(commit(&mut connection, &group, &topic.name, 1).await, Ok(()));
    let mut producer = Transactional::new(&bootstrap(), &unique("transaction")).await;
    assert_eq!(producer.add_offsets(&group).await, Ok(()));
    assert_eq!(producer.commit_offset(&group, &topic.name, 9).await, Ok(()));
    (connection, topic, group, producer)
}

/// Waits for the offset that a stable-only reader is told.
async fn becomes(connection: &mut Connection, group: &str, topic: &str, wanted: i64) {
    eventually(SOON, async || {
        let seen = committed(connection, group, topic, 0, true).await;
        equal((outcome(seen.error_code), seen.committed_offset), (Ok(()), wanted))
    })
    .await;
}

#[tokio::test]
async fn an_offset_in_an_open_transaction_is_unstable_and_not_seen() {
    let (mut connection, topic, group, _producer) = pending().await;
    let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
    assert_eq!((outcome(seen.error_code), seen.committed_offset), (Ok(()), 1));
    let stable = committed(&mut connection, &group, &topic.name, 0, true).await;
    let error = outcome(stable.error_code);
    assert_eq!(error, Err(ResponseError::UnstableOffsetCommit));
    assert_eq!(stable.committed_offset, -1);
}

#[tokio::test]
async fn a_committed_transaction_commits_its_offset() {
    let (mut connection, topic, group, mut producer) = pending().await;
    assert_eq!(producer.end(true).await, Ok(()));
    becomes(&mut connection, &group, &topic.name, 9).await;
    let seen = committed(&mut connection, &group, &topic.name, 0, true).await;
    assert_eq!(seen.metadata.as_deref(), Some("in a transaction"));
}

#[tokio::test]
async fn an_aborted_transaction_leaves_the_offset_that_was() {
    let (mut connection, topic, group, mut producer) = pending().await;
    assert_eq!(producer.end(false).await, Ok(()));
    becomes(&mut connection, &group, &topic.name, 1).await;
}

#[tokio::test]
async fn a_plain_commit_during_a_transaction_is_replaced_when_the_transaction_commits() {
    let (mut connection, topic, group, mut producer) = pending().await;
    assert_eq!(commit(&mut connection, &group, &topic.name, 5).await, Ok(()));
    let seen = committed(&mut connection, &group, &topic.name, 0, false).await;
    assert_eq!(seen.committed_offset, 5);
    assert_eq!(producer.end(true).await, Ok(()));
    // The plain commit came later, and stays.
    becomes(&mut connection, &group, &topic.name, 5).await;
}

#[tokio::test]
async fn a_member_that_is_not_in_the_group_commits_nothing_in_a_transaction() {
    let mut connection = Connection::open().await;
    let (topic, group) = (Topic::new(&mut connection).await, unique("group"));
    let mut member = Member::of(&group).await;
    member.join_alone().await;
    let mut producer = Transactional::new(&bootstrap(), &unique("transaction")).await;
    assert_eq!(producer.add_offsets(&group).await, Ok(()));
    let cases = [
        (member.generation + 1, member.id.as_str(), Err(ResponseError::IllegalGeneration)),
        (member.generation, "stranger", Err(ResponseError::UnknownMemberId)),
        (member.generation, member.id.as_str(), Ok(())),
    ];
    for (generation, id, wanted) in cases {
        let who = (group.as_str(), generation, id);
        let answer = producer.commit_offset_as(who, &topic.name, 3).await;
        assert_eq!(answer, wanted, "generation {generation}, member {id}");
    }
    assert_eq!(producer.end(true).await, Ok(()));
    becomes(&mut connection, &group, &topic.name, 3).await;
}

#[tokio::test]
async fn a_fenced_producer_commits_no_offset() {
    let mut connection = Connection::open().await;
    let (topic, group, id) =
        (Topic::new(&mut connection).await, unique("group"), unique("transaction"));
    let mut old = Transactional::new(&bootstrap(), &id).await;
    assert_eq!(old.add_offsets(&group).await, Ok(()));
    assert_eq!(old.commit_offset(&group, &topic.name, 7).await, Ok(()));
    let mut new = Transactional::new(&bootstrap(), &id).await;
    becomes(&mut connection, &group, &topic.name, -1).await;
    let refused = old.commit_offset(&group, &topic.name, 8).await;
    assert_eq!(refused, Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(new.add_offsets(&group).await, Ok(()));
    assert_eq!(new.commit_offset(&group, &topic.name, 9).await, Ok(()));
    assert_eq!(new.end(true).await, Ok(()));
    becomes(&mut connection, &group, &topic.name, 9).await;
}
