use super::fixtures::{Batch, NOW_MS, Refused, append, base_offsets, in_memory, produce, read};
use crate::log::LogSettings;
use crate::partition::{AppendError, Isolation, Membership, Refusal};

fn refusal(refused: Result<i64, Refused>) -> Refusal {
    match refused {
        Err(Refused::Append(AppendError::Refused(refusal))) => refusal,
        other => panic!("not refused for its producer: {other:?}"),
    }
}

#[tokio::test]
async fn offsets_follow_each_other_and_are_shown_at_once() {
    let partition = in_memory();
    assert_eq!(produce(&partition, Batch::of(3)).await.unwrap(), 0);
    assert_eq!(produce(&partition, Batch::of(2)).await.unwrap(), 3);
    let read = read(&partition, 0, Isolation::Uncommitted);
    assert_eq!(base_offsets(&read), [0, 3]);
    assert_eq!(read.bounds.high_watermark, 5);
    assert_eq!(read.aborted, None);
}

#[tokio::test]
async fn each_of_the_last_five_batches_is_recognised_and_none_before() {
    let partition = in_memory();
    for sequence in 0..6 {
        produce(&partition, Batch::of(1).by(7, 0, sequence)).await.unwrap();
    }
    for sequence in 1..6 {
        let again = produce(&partition, Batch::of(1).by(7, 0, sequence)).await.unwrap();
        assert_eq!(again, i64::from(sequence));
    }
    let refused = refusal(produce(&partition, Batch::of(1).by(7, 0, 0)).await);
    assert!(matches!(refused, Refusal::OutOfOrder { sequence: 0, last: 5, .. }), "{refused}");
    assert_eq!(partition.bounds().high_watermark, 6);
}

#[tokio::test]
async fn a_batch_that_overlaps_another_is_no_duplicate() {
    let partition = in_memory();
    produce(&partition, Batch::of(3).by(7, 0, 0)).await.unwrap();
    let refused = refusal(produce(&partition, Batch::of(2).by(7, 0, 0)).await);
    assert!(matches!(refused, Refusal::OutOfOrder { .. }), "{refused}");
}

#[tokio::test]
async fn a_gap_is_refused_and_what_fills_it_is_taken() {
    let partition = in_memory();
    produce(&partition, Batch::of(2).by(7, 0, 0)).await.unwrap();
    let refused = refusal(produce(&partition, Batch::of(1).by(7, 0, 3)).await);
    assert!(matches!(refused, Refusal::OutOfOrder { sequence: 3, last: 1, .. }), "{refused}");
    produce(&partition, Batch::of(1).by(7, 0, 2)).await.unwrap();
    produce(&partition, Batch::of(1).by(7, 0, 3)).await.unwrap();
}

#[tokio::test]
async fn sequence_numbers_wrap_around() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, i32::MAX - 1)).await.unwrap();
    produce(&partition, Batch::of(1).by(7, 0, i32::MAX)).await.unwrap();
    produce(&partition, Batch::of(1).by(7, 0, 0)).await.unwrap();
    assert_eq!(partition.bounds().high_watermark, 3);
}

#[tokio::test]
async fn a_batch_across_the_wrap_is_followed_by_what_is_left() {
    let partition = in_memory();
    let across = append(&partition, Batch::of(3).by(7, 0, i32::MAX), Membership::Unknown).unwrap();
    assert_eq!(across.base_offset, 0);
    produce(&partition, Batch::of(1).by(7, 0, 2)).await.unwrap();
}

#[tokio::test]
async fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
    let partition = in_memory();
    produce(&partition, Batch::of(2).by(7, 3, 0)).await.unwrap();
    let refused = refusal(produce(&partition, Batch::of(1).by(7, 4, 2)).await);
    assert!(matches!(refused, Refusal::OutOfOrder { .. }), "{refused}");
    produce(&partition, Batch::of(1).by(7, 4, 0)).await.unwrap();
    let refused = refusal(produce(&partition, Batch::of(1).by(7, 3, 2)).await);
    assert!(matches!(refused, Refusal::StaleEpoch { epoch: 3, current: 4, .. }), "{refused}");
}

#[tokio::test]
async fn an_unknown_producer_may_begin_anywhere() {
    let partition = in_memory();
    produce(&partition, Batch::of(1).by(7, 0, 41)).await.unwrap();
    let refused = refusal(produce(&partition, Batch::of(1).by(7, 0, 43)).await);
    assert!(matches!(refused, Refusal::OutOfOrder { .. }), "{refused}");
}

#[tokio::test]
async fn one_whose_epoch_changes_with_each_transaction_begins_at_zero() {
    let partition = in_memory();
    let batch = Batch::of(1).by(7, 0, 1).transactional();
    let refused = append(&partition, batch, Membership::VerifiedWithOwnEpoch).unwrap_err();
    assert!(matches!(refused, AppendError::Refused(Refusal::OutOfOrder { .. })), "{refused}");
    let batch = Batch::of(1).by(7, 0, 0).transactional();
    append(&partition, batch, Membership::VerifiedWithOwnEpoch).unwrap();
}

#[tokio::test]
async fn silent_producers_are_forgotten_after_a_day() {
    let hour_ms = 60 * 60 * 1000;
    let partition = in_memory();
    let known = || {
        let mut ids: Vec<i64> = partition.producers().iter().map(|one| one.producer_id).collect();
        ids.sort_unstable();
        ids
    };
    // How the records are dated doesn't matter.
    let long_ago = NOW_MS - 1_000 * hour_ms;
    produce(&partition, Batch::of(1).by(7, 0, 0).at(long_ago)).await.unwrap();
    produce(&partition, Batch::of(1).by(8, 0, 0).transactional()).await.unwrap();
    produce(&partition, Batch::of(1).by(9, 0, 0)).await.unwrap();
    partition.clean(NOW_MS);
    partition.clean(NOW_MS + 23 * hour_ms);
    assert_eq!(known(), [7, 8, 9]);
    produce(&partition, Batch::of(1).by(9, 0, 1)).await.unwrap();
    partition.clean(NOW_MS + 24 * hour_ms);
    assert_eq!(known(), [8, 9], "an open transaction is remembered however old it is");
}

#[tokio::test]
async fn log_append_time_replaces_the_producers() {
    let partition = in_memory();
    let timestamp_type = kafka_protocol::records::TimestampType::LogAppend;
    partition.configure(LogSettings { timestamp_type, ..LogSettings::default() });
    let appended = append(&partition, Batch::of(2).at(5), Membership::Unknown).unwrap();
    assert_eq!(appended.log_append_time_ms, NOW_MS);
    let read = read(&partition, 0, Isolation::Uncommitted);
    assert_eq!(base_offsets(&read), [0], "the CRC was made anew");
    let latest = partition.latest_time(Isolation::Uncommitted).unwrap().unwrap();
    assert_eq!(latest.timestamp_ms, NOW_MS);
}

#[tokio::test]
async fn records_are_deleted_up_to_the_high_watermark_and_no_further() {
    let partition = in_memory();
    for _ in 0..4 {
        produce(&partition, Batch::of(1)).await.unwrap();
    }
    assert_eq!(partition.delete_records(Some(2)), Ok(2));
    assert_eq!(partition.delete_records(Some(1)), Ok(2), "a start never moves back");
    let out_of_range = Err(kafka_protocol::ResponseError::OffsetOutOfRange);
    assert_eq!(partition.delete_records(Some(5)), out_of_range);
    assert_eq!(partition.delete_records(Some(-2)), out_of_range);
    assert_eq!(partition.delete_records(None), Ok(4));
    assert_eq!(partition.bounds().log_start, 4);
}
