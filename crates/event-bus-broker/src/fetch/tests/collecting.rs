use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::time::Instant;

use crate::config::Durability;
use crate::fetch::{Limits, PartitionAnswer, Target, collect};
use crate::log::{BatchHeader, Flusher, LogSettings};
use crate::partition::{Batch, Isolation, Membership, Outcome, Partition};

const NOW_MS: i64 = 1_700_000_000_000;
const LONG: Duration = Duration::from_secs(3_600);

fn partition() -> Arc<Partition> {
    let flusher = Flusher::start(Durability::Fsync);
    Partition::open(None, ("orders", 0), LogSettings::default(), flusher).unwrap()
}

/// Appends, and returns how many bytes that were.
fn produce(partition: &Partition, batch: Batch) -> usize {
    let bytes = batch.encode();
    let header = BatchHeader::check(&bytes).unwrap();
    let _in_memory = partition.append(&header, &bytes, Membership::Verified, NOW_MS).unwrap();
    bytes.len()
}

fn target(partition: &Arc<Partition>, fetch_offset: i64) -> Target {
    Target { index: 0, fetch_offset, max_bytes: i32::MAX, partition: Ok(partition.clone()) }
}

fn limits(min_bytes: i32, max_wait: Duration) -> Limits {
    Limits { min_bytes, max_bytes: i32::MAX, max_wait, isolation: Isolation::Uncommitted }
}

fn sizes(answers: &[PartitionAnswer]) -> Vec<usize> {
    answers.iter().map(|answer| answer.data.records.as_ref().unwrap().len()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_empty_fetch_waits_for_its_time_and_no_longer() {
    let partition = partition();
    let began = Instant::now();
    let wait = Duration::from_millis(500);
    let answers = collect(&[target(&partition, 0)], limits(1, wait)).await;
    assert_eq!((sizes(&answers), began.elapsed()), (vec![0], wait));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_waits_is_woken_by_a_record_in_any_partition() {
    let partitions = [partition(), partition()];
    let targets: Vec<_> = partitions.iter().map(|partition| target(partition, 0)).collect();
    let fetch = tokio::spawn(async move { collect(&targets, limits(1, LONG)).await });
    tokio::task::yield_now().await;
    assert!(!fetch.is_finished());
    let bytes = produce(&partitions[1], Batch::of(1));
    assert_eq!(sizes(&fetch.await.unwrap()), [0, bytes]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_until_there_are_enough_bytes() {
    let partition = partition();
    let bytes = produce(&partition, Batch::of(1));
    let min_bytes = i32::try_from(2 * bytes).unwrap();
    let targets = [target(&partition, 0)];
    let fetch = tokio::spawn(async move { collect(&targets, limits(min_bytes, LONG)).await });
    tokio::task::yield_now().await;
    assert!(!fetch.is_finished());
    produce(&partition, Batch::of(1));
    assert_eq!(sizes(&fetch.await.unwrap()), [2 * bytes]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_transaction_uncovers_what_came_before() {
    let partition = partition();
    let batch = Batch::of(1).by(7, 0, 0).transactional().with_value_bytes(1_000);
    produce(&partition, batch);
    let targets = [target(&partition, 0)];
    let limits = Limits { isolation: Isolation::Committed, ..limits(1_000, LONG) };
    let fetch = tokio::spawn(async move { collect(&targets, limits).await });
    tokio::task::yield_now().await;
    assert!(!fetch.is_finished());
    let _in_memory = partition.end_transaction(7, 0, Outcome::Commit, NOW_MS).unwrap();
    assert!(sizes(&fetch.await.unwrap())[0] > 1_000);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_at_once() {
    let well = partition();
    let gone =
        Target { partition: Err(ResponseError::UnknownTopicOrPartition), ..target(&well, 0) };
    let out_of_range = target(&well, 1);
    let answers = collect(&[target(&well, 0), gone, out_of_range], limits(1, LONG)).await;
    let codes: Vec<i16> = answers.iter().map(|answer| answer.data.error_code).collect();
    assert_eq!(codes, [0, 3, 1]);
    assert_eq!(answers[2].data.high_watermark, -1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_ends_the_wait() {
    let partition = partition();
    let targets = [target(&partition, 0)];
    let fetch = tokio::spawn(async move { collect(&targets, limits(1, LONG)).await });
    tokio::task::yield_now().await;
    partition.close();
    assert_eq!(fetch.await.unwrap()[0].data.error_code, 3);
}

#[tokio::test]
async fn bounds_hold_except_for_the_first_batch() {
    let partitions = [partition(), partition(), partition()];
    let bytes = produce(&partitions[1], Batch::of(1));
    produce(&partitions[1], Batch::of(1));
    produce(&partitions[2], Batch::of(1));
    let targets: Vec<_> = partitions.iter().map(|partition| target(partition, 0)).collect();
    let with = |max_bytes: usize| Limits {
        max_bytes: i32::try_from(max_bytes).unwrap(),
        ..limits(1, Duration::ZERO)
    };
    assert_eq!(sizes(&collect(&targets, with(1)).await), [0, bytes, 0]);
    assert_eq!(sizes(&collect(&targets, with(2 * bytes)).await), [0, 2 * bytes, 0]);
    assert_eq!(sizes(&collect(&targets, with(3 * bytes)).await), [0, 2 * bytes, bytes]);
}

#[tokio::test]
async fn a_partitions_own_bound_holds_too() {
    let partition = partition();
    let bytes = produce(&partition, Batch::of(1));
    produce(&partition, Batch::of(1));
    let max_bytes = i32::try_from(bytes).unwrap();
    let target = Target { max_bytes, ..target(&partition, 0) };
    let answers = collect(&[target], limits(1, Duration::ZERO)).await;
    assert_eq!(sizes(&answers), [bytes]);
}
