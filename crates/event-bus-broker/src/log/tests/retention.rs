//! Retention by time and by size.

use std::fs;

use tempfile::TempDir;

use super::fixtures::{batch, clean, open, settings};
use crate::log::{Cleanup, Log, LogSettings};

/// One batch a segment.
fn tiny() -> LogSettings {
    LogSettings { segment_bytes: 1, ..settings() }
}

fn fill(log: &mut Log) -> u64 {
    for time in [100, 200, 300, 400] {
        log.append(batch(&[("a", Some("1"), time)]), time).unwrap();
    }
    log.size_bytes() / 4
}

#[test]
fn segments_past_their_time_are_deleted_and_stay_so() {
    let dir = TempDir::new().unwrap();
    let settings = LogSettings { retention_ms: Some(1000), ..tiny() };
    let mut log = open(dir.path(), settings.clone()).unwrap();
    fill(&mut log);
    assert_eq!(clean(&mut log, 1100, 4).unwrap().segments_deleted, 0);
    assert_eq!(clean(&mut log, 1250, 4).unwrap().segments_deleted, 2);
    assert_eq!((log.start_offset(), log.end_offset()), (2, 4));
    drop(log);
    let mut log = open(dir.path(), settings).unwrap();
    assert_eq!(log.start_offset(), 2);
    // The active one goes as well, and offsets go on.
    assert_eq!(clean(&mut log, 9999, 4).unwrap().segments_deleted, 2);
    assert_eq!((log.start_offset(), log.end_offset(), log.size_bytes()), (4, 4, 0));
    assert_eq!(clean(&mut log, 9999, 4).unwrap().segments_deleted, 0);
    assert_eq!(log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap().base_offset, 4);
}

#[test]
fn segments_beyond_the_size_are_deleted() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), tiny()).unwrap();
    let one = fill(&mut log);
    let retention =
        |bytes| LogSettings { retention_ms: None, retention_bytes: Some(bytes), ..tiny() };
    log.configure(retention(2 * one + 1));
    assert_eq!(clean(&mut log, 0, 4).unwrap().segments_deleted, 1);
    log.configure(retention(2 * one));
    let report = clean(&mut log, 0, 4).unwrap();
    assert_eq!((report.segments_deleted, report.bytes_freed, log.start_offset()), (1, one, 2));
}

#[test]
fn nothing_above_the_stable_offset_or_of_a_compacted_topic_is_deleted() {
    let dir = TempDir::new().unwrap();
    let settings = LogSettings { retention_ms: Some(1), ..tiny() };
    let mut log = open(dir.path(), settings.clone()).unwrap();
    fill(&mut log);
    assert_eq!(clean(&mut log, 9999, 1).unwrap().segments_deleted, 1);
    let cleanup = Cleanup { delete: false, compact: true };
    log.configure(LogSettings { cleanup, min_cleanable_dirty_ratio: 1.1, ..settings });
    assert_eq!(clean(&mut log, 9999, 4).unwrap().segments_deleted, 0);
}

#[test]
fn a_segment_is_closed_by_age() {
    let settings = LogSettings { segment_ms: 1000, retention_ms: Some(1), ..settings() };
    let mut log = Log::open(None, settings, |_| {}).unwrap();
    for time in [0, 1000, 1001, 1500] {
        log.append(batch(&[("a", Some("1"), time)]), time).unwrap();
    }
    assert_eq!(clean(&mut log, 1200, 4).unwrap().segments_deleted, 1);
    assert_eq!(log.start_offset(), 2);
}

#[test]
fn deleted_records_stay_deleted_and_their_segments_go() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), tiny()).unwrap();
    fill(&mut log);
    log.delete_records_before(2).unwrap();
    assert!(!fs::exists(dir.path().join("00000000000000000001.log")).unwrap());
    log.delete_records_before(1).unwrap();
    assert_eq!(log.start_offset(), 2);
    log.delete_records_before(99).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (4, 4));
    drop(log);
    let log = open(dir.path(), tiny()).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (4, 4));
}
