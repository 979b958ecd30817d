//! What a node carries out, and makes up for after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;

use crate::config::{Config, Storage};
use crate::data_dir::DataDir;
use crate::log::BatchHeader;
use crate::metadata::{Mode, NewTopic};
use crate::node::{ClusterInfo, NODE_ID, Node};
use crate::partition::{Batch, Isolation, Membership, Outcome, Partition, Slice};
use crate::transactions::{End, Identity, Init, Phase, Protocol, Transaction, recover, sweep};

const NOW_MS: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 60_000;
const ID: &str = "payments";

async fn load(dir: &Path) -> Node {
    let config = Config { storage: Storage::Directory(dir.to_owned()), ..Config::default() };
    let data = DataDir::open(dir).await.unwrap();
    let id = data.cluster_id.clone();
    let cluster = ClusterInfo { id, node_id: NODE_ID, host: "localhost".to_owned(), port: 9092 };
    Node::load(config, cluster, Some(data)).unwrap()
}

/// A node with a topic of two partitions and a producer that has been initialised.
async fn prepare(dir: &Path) -> (Node, Identity) {
    let node = load(dir).await;
    let topic = NewTopic::new("orders", 2, BTreeMap::new()).unwrap();
    node.topics.create(topic, Mode::Apply).await.unwrap();
    let held = node.transactions.hold_or_new(ID).await;
    let producer_id = node.transactions.next_producer_id().await.unwrap();
    let new = Transaction::new(producer_id, TIMEOUT_MS, NOW_MS);
    let Ok(Init::Ready(next)) = new.init(None, TIMEOUT_MS, -1, NOW_MS) else { panic!() };
    let producer = next.identity();
    held.store(next).await.unwrap();
    drop(held);
    (node, producer)
}

fn partition(node: &Node, index: i32) -> Arc<Partition> {
    node.topics.partition("orders", index).unwrap()
}

/// Writes a record to each partition, in the transaction.
async fn write(node: &Node, producer: Identity) {
    for index in 0..2 {
        let place = ("orders", index);
        let protocol = Protocol::EpochPerTransaction;
        let admission =
            node.transactions.admit(ID, producer, place, protocol, NOW_MS).await.unwrap();
        let batch =
            Batch::of(1).by(producer.producer_id, producer.epoch, 0).transactional().encode();
        let header = BatchHeader::check(&batch).unwrap();
        let partition = partition(node, index);
        let appended = partition.append(&header, &batch, admission.membership, NOW_MS).unwrap();
        partition.settle(&appended.ticket).await.unwrap();
    }
}

/// Decides the transaction, and does no more.
async fn decide(node: &Node, producer: Identity, outcome: Outcome) {
    let (held, current) = node.transactions.hold(ID).await.unwrap();
    let protocol = Protocol::EpochPerTransaction;
    let Ok(End::Prepare(next)) = current.end(producer, outcome, protocol, -1, NOW_MS) else {
        panic!("the transaction is open");
    };
    held.store(next).await.unwrap();
}

/// What a `read_committed` consumer gets of each partition: the last stable offset, and how many aborted transactions.
fn seen(node: &Node) -> Vec<(i64, usize)> {
    let isolation = Isolation::Committed;
    let slice = Slice { from: 0, max_bytes: usize::MAX, at_least_one: true, isolation };
    let reads = (0..2).map(|index| partition(node, index).read(slice).unwrap());
    reads.map(|read| (read.bounds.last_stable, read.aborted.unwrap().len())).collect()
}

fn phase(node: &Node) -> Phase {
    node.transactions.describe(ID).unwrap().phase
}

#[tokio::test]
async fn a_decided_transaction_is_carried_out_at_the_next_start_as_it_was_decided() {
    for (outcome, aborted) in [(Outcome::Commit, 0), (Outcome::Abort, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let (node, producer) = prepare(dir.path()).await;
        write(&node, producer).await;
        decide(&node, producer, outcome).await;
        assert_eq!(seen(&node), [(0, 0), (0, 0)]);
        drop(node);
        let node = load(dir.path()).await;
        assert_eq!(phase(&node).prepared(), Some(outcome));
        // Long after its time-out: a decided transaction has none.
        recover(&node, i64::MAX).await.unwrap();
        assert_eq!(seen(&node), [(2, aborted), (2, aborted)]);
        assert_eq!(phase(&node).prepared(), None);
    }
}

#[tokio::test]
async fn a_crash_between_two_markers_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let (node, producer) = prepare(dir.path()).await;
    write(&node, producer).await;
    decide(&node, producer, Outcome::Commit).await;
    let told = partition(&node, 0);
    let Identity { producer_id, epoch } = node.transactions.describe(ID).unwrap().identity();
    let ticket = told.end_transaction(producer_id, epoch, Outcome::Commit, NOW_MS).unwrap();
    told.settle(&ticket).await.unwrap();
    drop((node, told));
    let node = load(dir.path()).await;
    recover(&node, NOW_MS).await.unwrap();
    assert_eq!(seen(&node), [(2, 0), (2, 0)], "one marker each");
    assert_eq!(phase(&node), Phase::CompleteCommit);
}

#[tokio::test]
async fn an_open_transaction_survives_a_restart_until_its_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let (node, producer) = prepare(dir.path()).await;
    write(&node, producer).await;
    drop(node);
    let node = load(dir.path()).await;
    recover(&node, NOW_MS + 1).await.unwrap();
    assert_eq!(phase(&node), Phase::Ongoing);
    sweep(&node, NOW_MS + i64::from(TIMEOUT_MS) + 1).await;
    assert_eq!(phase(&node), Phase::CompleteAbort);
    assert_eq!(seen(&node), [(2, 1), (2, 1)]);
    let place = ("orders", 0);
    let late = node.transactions.admit(ID, producer, place, Protocol::EpochPerTransaction, NOW_MS);
    assert_eq!(late.await.unwrap_err(), ResponseError::ProducerFenced);
}

#[tokio::test]
async fn producer_ids_are_never_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = BTreeSet::new();
    for _ in 0..3 {
        let node = load(dir.path()).await;
        for _ in 0..1_500 {
            assert!(given.insert(node.transactions.next_producer_id().await.unwrap()));
        }
    }
}

#[tokio::test]
async fn an_unused_id_is_forgotten_after_a_week() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = prepare(dir.path()).await;
    let week_ms = 7 * 24 * 60 * 60 * 1000;
    sweep(&node, NOW_MS + week_ms).await;
    assert!(node.transactions.describe(ID).is_some());
    sweep(&node, NOW_MS + week_ms + 1).await;
    assert_eq!(node.transactions.describe(ID), None);
    drop(node);
    assert_eq!(load(dir.path()).await.transactions.describe(ID), None);
}

#[tokio::test]
async fn a_transaction_of_a_deleted_topic_still_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (node, producer) = prepare(dir.path()).await;
    write(&node, producer).await;
    decide(&node, producer, Outcome::Commit).await;
    let id = node.topics.id_of("orders").unwrap();
    node.topics.delete(id).await.unwrap();
    sweep(&node, NOW_MS).await;
    assert_eq!(phase(&node), Phase::CompleteCommit);
}

#[tokio::test]
async fn a_classic_producer_may_only_write_what_it_added() {
    let dir = tempfile::tempdir().unwrap();
    let (node, producer) = prepare(dir.path()).await;
    let place = ("orders", 0);
    let refused = node.transactions.admit(ID, producer, place, Protocol::Classic, NOW_MS).await;
    assert_eq!(refused.unwrap_err(), ResponseError::TransactionAbortable);
    let (held, current) = node.transactions.hold(ID).await.unwrap();
    let partitions = BTreeMap::from([("orders".to_owned(), BTreeSet::from([0]))]);
    let groups = BTreeSet::new();
    let next = current.add(producer, &partitions, &groups, Protocol::Classic, NOW_MS).unwrap();
    held.store(next.unwrap()).await.unwrap();
    drop(held);
    let admission = node.transactions.admit(ID, producer, place, Protocol::Classic, NOW_MS).await;
    assert_eq!(admission.unwrap().membership, Membership::Verified);
}
