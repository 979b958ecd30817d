use std::sync::Arc;

use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use super::fixtures::{
    Batch, NOW_MS, Refused, append, base_offsets, in_memory, on_disk, produce, read,
};
use crate::config::Durability;
use crate::log::{DiskFaults, Flusher, LogSettings};
use crate::partition::{Isolation, Membership, Outcome, Partition};

fn settings() -> (LogSettings, Arc<DiskFaults>) {
    let faults = Arc::new(DiskFaults::default());
    (LogSettings { disk_faults: faults.clone(), ..LogSettings::default() }, faults)
}

fn error(refused: Result<i64, Refused>) -> ResponseError {
    match refused {
        Err(Refused::Append(error)) => error.response_error(),
        Err(Refused::Settle(error)) => error.response_error(),
        Ok(offset) => panic!("acknowledged at offset {offset}"),
    }
}

#[tokio::test]
async fn what_is_not_durable_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let partition = on_disk(dir.path(), LogSettings::default());
    let appended = append(&partition, Batch::of(1), Membership::Unknown).unwrap();
    assert_eq!(partition.bounds().high_watermark, 0);
    assert_eq!(read(&partition, 0, Isolation::Uncommitted).records.len(), 0);
    partition.settle(&appended.ticket).await.unwrap();
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Uncommitted)), [0]);
}

#[tokio::test]
async fn a_lazy_broker_shows_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let flusher = Flusher::start(Durability::Lazy);
    let partition =
        Partition::open(Some(dir.path()), ("orders", 0), LogSettings::default(), flusher).unwrap();
    let _ticket = append(&partition, Batch::of(1), Membership::Unknown).unwrap().ticket;
    assert_eq!(partition.bounds().high_watermark, 1);
}

#[tokio::test]
async fn a_failed_sync_takes_everything_back_that_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, faults) = settings();
    let partition = on_disk(dir.path(), settings);
    produce(&partition, Batch::of(1).by(7, 0, 0)).await.unwrap();
    faults.fail_syncs(None);
    let first = append(&partition, Batch::of(1).by(7, 0, 1), Membership::Unknown).unwrap();
    let second = append(&partition, Batch::of(1).by(7, 0, 2), Membership::Unknown).unwrap();
    let repeated = append(&partition, Batch::of(1).by(7, 0, 1), Membership::Unknown).unwrap();
    assert_eq!(repeated.base_offset, 1);
    for ticket in [first.ticket, second.ticket, repeated.ticket] {
        let refused = partition.settle(&ticket).await.unwrap_err();
        assert_eq!(refused.response_error(), ResponseError::KafkaStorageError);
    }
    assert_eq!(partition.bounds().high_watermark, 1);
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Uncommitted)), [0]);
    let refused = produce(&partition, Batch::of(1).by(7, 0, 1)).await;
    assert_eq!(error(refused), ResponseError::KafkaStorageError);
    faults.heal();
    assert_eq!(produce(&partition, Batch::of(1).by(7, 0, 1)).await.unwrap(), 1);
    assert_eq!(produce(&partition, Batch::of(1).by(7, 0, 2)).await.unwrap(), 2);
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Uncommitted)), [0, 1, 2]);
}

#[tokio::test]
async fn a_full_disk_refuses_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, faults) = settings();
    let partition = on_disk(dir.path(), settings);
    produce(&partition, Batch::of(1).by(7, 0, 0)).await.unwrap();
    faults.fail_writes(Some(1));
    let refused = produce(&partition, Batch::of(1).by(7, 0, 1)).await;
    assert_eq!(error(refused), ResponseError::KafkaStorageError);
    assert_eq!(produce(&partition, Batch::of(1).by(7, 0, 1)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_marker_that_was_taken_back_leaves_the_transaction_open() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, faults) = settings();
    let partition = on_disk(dir.path(), settings);
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    faults.fail_syncs(Some(1));
    let ticket = partition.end_transaction(7, 0, Outcome::Abort, NOW_MS).unwrap();
    partition.settle(&ticket).await.unwrap_err();
    assert_eq!(partition.bounds().last_stable, 0);
    let ticket = partition.end_transaction(7, 0, Outcome::Abort, NOW_MS).unwrap();
    assert_eq!(partition.bounds().last_stable, 0, "the marker is not shown yet");
    partition.settle(&ticket).await.unwrap();
    assert_eq!(partition.bounds().last_stable, 2);
    assert_eq!(read(&partition, 0, Isolation::Committed).aborted.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reopened_partition_recognises_what_was_sent_before() {
    let dir = tempfile::tempdir().unwrap();
    let partition = on_disk(dir.path(), LogSettings::default());
    for sequence in 0..3 {
        produce(&partition, Batch::of(1).by(7, 2, sequence)).await.unwrap();
    }
    drop(partition);
    let partition = on_disk(dir.path(), LogSettings::default());
    assert_eq!(produce(&partition, Batch::of(1).by(7, 2, 2)).await.unwrap(), 2);
    assert_eq!(produce(&partition, Batch::of(1).by(7, 2, 3)).await.unwrap(), 3);
    assert_eq!(partition.bounds().high_watermark, 4);
}

#[tokio::test]
async fn who_follows_is_told_of_records_and_of_the_end() {
    let partition = in_memory();
    let notify = Arc::new(Notify::new());
    let follower = partition.follow(notify.clone());
    produce(&partition, Batch::of(1)).await.unwrap();
    notify.notified().await;
    partition.close();
    notify.notified().await;
    assert_eq!(
        error(produce(&partition, Batch::of(1)).await),
        ResponseError::UnknownTopicOrPartition
    );
    drop(follower);
}
