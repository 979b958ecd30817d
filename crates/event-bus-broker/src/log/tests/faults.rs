//! Full and failing disks.

use std::sync::Arc;

use tempfile::TempDir;

use super::fixtures::{all, batch, contents, open, settings};
use crate::config::Durability;
use crate::log::{AppendError, DiskFaults, Flusher, LogSettings};

fn faulty() -> (LogSettings, Arc<DiskFaults>) {
    let settings = settings();
    let faults = settings.disk_faults.clone();
    (settings, faults)
}

#[tokio::test]
async fn a_full_disk_fails_the_append_and_the_next_one_may_work() {
    let dir = TempDir::new().unwrap();
    let (settings, faults) = faulty();
    let mut log = open(dir.path(), settings.clone()).unwrap();
    log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
    let before = all(&log).unwrap();
    faults.fail_writes(Some(1));
    let error = log.append(batch(&[("b", Some("2"), 1)]), 0).unwrap_err();
    assert!(matches!(error, AppendError::Io { .. }), "{error}");
    assert_eq!((log.end_offset(), all(&log).unwrap()), (1, before));
    log.append(batch(&[("c", Some("3"), 1)]), 0).unwrap();
    drop(log);
    let log = open(dir.path(), settings).unwrap();
    let expected = [(0, "a".into(), Some("1".into())), (1, "c".into(), Some("3".into()))];
    assert_eq!(contents(&log), expected);
}

#[tokio::test]
async fn a_failed_sync_fails_all_who_wait_until_the_log_is_cut_back() {
    let dir = TempDir::new().unwrap();
    let (settings, faults) = faulty();
    let flusher = Flusher::start(Durability::Fsync);
    let mut log = open(dir.path(), settings.clone()).unwrap();
    log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
    let tail = log.tail().unwrap();
    flusher.durable(&tail).await.unwrap();
    let durable_end = log.durable_end();
    assert_eq!(durable_end, 1);

    log.append(batch(&[("b", Some("2"), 1)]), 0).unwrap();
    faults.fail_syncs(Some(2));
    let (one, two) = tokio::join!(flusher.durable(&tail), flusher.durable(&tail));
    assert!(one.is_err() && two.is_err());
    assert!(matches!(log.append(batch(&[("c", Some("3"), 1)]), 0), Err(AppendError::Failed(_))));
    log.truncate_to(durable_end).expect_err("the disk is still broken");
    log.truncate_to(durable_end).unwrap();
    assert_eq!(log.end_offset(), 1);

    // Who still holds the old file must not be told that what was cut off is durable.
    flusher.durable(&tail).await.unwrap_err();
    log.append(batch(&[("d", Some("4"), 1)]), 0).unwrap();
    flusher.durable(&log.tail().unwrap()).await.unwrap();
    drop(log);
    let log = open(dir.path(), settings).unwrap();
    let expected = [(0, "a".into(), Some("1".into())), (1, "d".into(), Some("4".into()))];
    assert_eq!(contents(&log), expected);
}

#[tokio::test]
async fn a_failed_sync_as_a_segment_is_closed_fails_the_append() {
    let dir = TempDir::new().unwrap();
    let (settings, faults) = faulty();
    let settings = LogSettings { segment_bytes: 1, ..settings };
    let mut log = open(dir.path(), settings).unwrap();
    log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
    faults.fail_syncs(Some(1));
    let error = log.append(batch(&[("b", Some("2"), 1)]), 0).unwrap_err();
    assert!(matches!(error, AppendError::Failed(_)), "{error}");
    log.truncate_to(log.durable_end()).unwrap();
    assert_eq!(log.end_offset(), 0);
    log.append(batch(&[("c", Some("3"), 1)]), 0).unwrap();
    log.append(batch(&[("d", Some("4"), 1)]), 0).unwrap();
    assert_eq!(contents(&log).len(), 2);
}

#[tokio::test]
async fn a_start_that_cannot_be_made_durable_does_not_move() {
    let dir = TempDir::new().unwrap();
    let (settings, faults) = faulty();
    let mut log = open(dir.path(), settings.clone()).unwrap();
    log.append(batch(&[("a", Some("1"), 1), ("a", Some("2"), 1)]), 0).unwrap();
    faults.fail_writes(Some(1));
    log.delete_records_before(1).unwrap_err();
    assert_eq!(log.start_offset(), 0);
    log.delete_records_before(1).unwrap();
    drop(log);
    assert_eq!(open(dir.path(), settings).unwrap().start_offset(), 1);
}

#[tokio::test]
async fn a_lazy_flusher_does_not_wait_for_the_disk() {
    let dir = TempDir::new().unwrap();
    let (settings, faults) = faulty();
    let flusher = Flusher::start(Durability::Lazy);
    let mut log = open(dir.path(), settings).unwrap();
    log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
    faults.fail_syncs(None);
    flusher.durable(&log.tail().unwrap()).await.unwrap();
    assert_eq!(log.durable_end(), 0);
    faults.heal();
    log.close().unwrap();
    assert_eq!(log.durable_end(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sync_serves_many() {
    let dir = TempDir::new().unwrap();
    let flusher = Flusher::start(Durability::Fsync);
    let log = Arc::new(std::sync::Mutex::new(open(dir.path(), settings()).unwrap()));
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (log, flusher) = (log.clone(), flusher.clone());
            tokio::spawn(async move {
                let (tail, offset) = {
                    let mut log = log.lock().unwrap();
                    let appended = log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
                    (log.tail().unwrap(), appended.last_offset)
                };
                flusher.durable(&tail).await.unwrap();
                assert!(log.lock().unwrap().durable_end() > offset);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(log.lock().unwrap().durable_end(), 200);
}

#[tokio::test]
async fn what_was_synced_but_is_taken_back_is_not_missed_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let (settings, _) = faulty();
    let mut log = open(dir.path(), LogSettings { segment_bytes: 1, ..settings.clone() }).unwrap();
    for value in ["1", "2", "3"] {
        log.append(batch(&[("a", Some(value), 1)]), 0).unwrap();
    }
    let tail = log.tail().unwrap();
    tail.sync().unwrap();
    log.truncate_to(1).unwrap();
    tail.sync().expect_err("what it covered is gone");
    drop(log);
    assert_eq!(contents(&open(dir.path(), settings).unwrap()), [(0, "a".into(), Some("1".into()))]);
}
