use kafka_protocol::ResponseError;

use super::fixtures::{Batch, NOW_MS, append, base_offsets, in_memory, on_disk, produce, read};
use crate::log::LogSettings;
use crate::partition::{AppendError, Isolation, Membership, Outcome, Partition};

async fn end(partition: &Partition, producer_id: i64, epoch: i16, outcome: Outcome) {
    let ticket = partition.end_transaction(producer_id, epoch, outcome, NOW_MS).unwrap();
    partition.settle(&ticket).await.unwrap();
}

fn aborted(partition: &Partition, from: i64) -> Vec<(i64, i64)> {
    let aborted = read(partition, from, Isolation::Committed).aborted.unwrap();
    aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect()
}

#[tokio::test]
async fn an_open_transaction_holds_back_the_last_stable_offset() {
    let partition = in_memory();
    produce(&partition, Batch::of(2)).await.unwrap();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    produce(&partition, Batch::of(1)).await.unwrap();
    assert_eq!(partition.bounds().last_stable, 2);
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Committed)), [0]);
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Uncommitted)), [0, 2, 3]);
    end(&partition, 7, 0, Outcome::Commit).await;
    assert_eq!(partition.bounds().last_stable, 5);
    assert_eq!(base_offsets(&read(&partition, 0, Isolation::Committed)), [0, 2, 3, 4]);
    assert_eq!(aborted(&partition, 0), []);
}

#[tokio::test]
async fn consumers_are_told_which_transactions_were_aborted() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    produce(&partition, Batch::of(1).by(8, 0, 0).transactional()).await.unwrap();
    end(&partition, 8, 0, Outcome::Abort).await;
    assert_eq!(partition.bounds().last_stable, 0, "producer 7 is not done");
    end(&partition, 7, 0, Outcome::Abort).await;
    assert_eq!(partition.bounds().last_stable, 4);
    assert_eq!(aborted(&partition, 0), [(8, 1), (7, 0)]);
    assert_eq!(aborted(&partition, 3), [(7, 0)], "the other one ended before offset 3");
}

#[tokio::test]
async fn a_batch_outside_of_an_open_transaction_needs_the_coordinator() {
    let partition = in_memory();
    let batch = Batch::of(1).by(7, 0, 0).transactional();
    let refused = append(&partition, batch, Membership::Unknown).unwrap_err();
    assert_eq!(refused.response_error(), ResponseError::InvalidTxnState);
    assert_eq!(partition.bounds().high_watermark, 0);
    append(&partition, batch, Membership::Verified).unwrap();
    let next = Batch::of(1).by(7, 0, 1).transactional();
    append(&partition, next, Membership::Unknown).expect("the transaction is open by now");
    end(&partition, 7, 0, Outcome::Commit).await;
    let late = Batch::of(1).by(7, 0, 2).transactional();
    append(&partition, late, Membership::Unknown).expect_err("the transaction has ended");
}

#[tokio::test]
async fn a_plain_batch_in_an_open_transaction_is_refused() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    let refused = append(&partition, Batch::of(1).by(7, 0, 1), Membership::Unknown).unwrap_err();
    assert_eq!(refused.response_error(), ResponseError::InvalidTxnState);
}

#[tokio::test]
async fn a_marker_that_is_repeated_changes_nothing() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    end(&partition, 7, 1, Outcome::Abort).await;
    end(&partition, 7, 1, Outcome::Abort).await;
    assert_eq!(partition.bounds().high_watermark, 2);
    assert_eq!(aborted(&partition, 0), [(7, 0)]);
}

#[tokio::test]
async fn a_marker_fences_older_epochs() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    end(&partition, 7, 1, Outcome::Abort).await;
    let late = Batch::of(1).by(7, 0, 1).transactional();
    let refused = append(&partition, late, Membership::Verified).unwrap_err();
    assert_eq!(refused.response_error(), ResponseError::InvalidProducerEpoch);
    let refused = partition.end_transaction(7, 0, Outcome::Commit, NOW_MS).unwrap_err();
    assert!(matches!(refused, AppendError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_reopened_partition_knows_its_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let partition = on_disk(dir.path(), LogSettings::default());
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    end(&partition, 7, 0, Outcome::Abort).await;
    produce(&partition, Batch::of(1).by(8, 0, 0).transactional()).await.unwrap();
    end(&partition, 8, 0, Outcome::Commit).await;
    produce(&partition, Batch::of(2).by(9, 0, 0).transactional()).await.unwrap();
    let before = (partition.bounds(), aborted(&partition, 0));
    drop(partition);
    let partition = on_disk(dir.path(), LogSettings::default());
    assert_eq!((partition.bounds(), aborted(&partition, 0)), before);
    assert_eq!(before.1, [(7, 0)]);
    assert_eq!(before.0.last_stable, 4);
    let next = Batch::of(1).by(9, 0, 2).transactional();
    append(&partition, next, Membership::Unknown).expect("the transaction is still open");
}

#[tokio::test]
async fn deleted_records_hold_nobody_back() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 0).transactional()).await.unwrap();
    produce(&partition, Batch::of(1)).await.unwrap();
    partition.delete_records(Some(1)).unwrap();
    assert_eq!(partition.bounds().last_stable, 1);
}
