//! Key compaction.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kafka_protocol::records::Compression;
use proptest::prelude::*;
use tempfile::TempDir;

use super::fixtures::{
    self, NOBODY, Producer, all, batch, contents, marker, open, produced, settings,
};
use crate::log::{BatchHeader, Cleanup, Log, LogSettings};

fn compacted(segment_bytes: u64) -> LogSettings {
    LogSettings {
        segment_bytes,
        cleanup: Cleanup { delete: false, compact: true },
        min_cleanable_dirty_ratio: 0.01,
        delete_retention_ms: 1000,
        ..settings()
    }
}

fn put(log: &mut Log, key: &str, value: Option<&str>) {
    log.append(batch(&[(key, value, 10)]), 0).unwrap();
}

fn clean(log: &mut Log, now_ms: i64) -> usize {
    let end = log.end_offset();
    fixtures::clean(log, now_ms, end).unwrap().segments_compacted
}

fn pair(offset: i64, key: &str, value: Option<&str>) -> (i64, String, Option<String>) {
    (offset, key.to_owned(), value.map(str::to_owned))
}

fn served(log: &Log) -> Vec<BatchHeader> {
    fixtures::headers(&all(log).unwrap())
}

#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), compacted(1)).unwrap();
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5"), ("b", "6")] {
        put(&mut log, key, Some(value));
    }
    // The last batch is in the active segment, which stays as it is and supersedes nothing yet.
    assert_eq!(clean(&mut log, 0), 5);
    let kept = [
        pair(1, "b", Some("2")),
        pair(3, "c", Some("4")),
        pair(4, "a", Some("5")),
        pair(5, "b", Some("6")),
    ];
    assert_eq!(contents(&log), kept);
    log.close().unwrap();
    drop(log);
    let mut log = open(dir.path(), compacted(1)).unwrap();
    assert_eq!(contents(&log), kept);
    assert_eq!(clean(&mut log, 0), 0, "nothing is dirty");
    put(&mut log, "c", None);
    clean(&mut log, 0);
    assert_eq!(
        contents(&log),
        [kept[1].clone(), kept[2].clone(), kept[3].clone(), pair(6, "c", None)]
    );
}

#[test]
fn small_segments_are_merged() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), compacted(300)).unwrap();
    for nth in 0..50 {
        put(&mut log, "a", Some("1"));
        // A compaction makes segments small, and the next one finds that they fit together.
        if nth == 40 {
            clean(&mut log, 0);
        }
    }
    let logs = |dir: &Path| fs::read_dir(dir).unwrap().count() - 1;
    let before = logs(dir.path());
    clean(&mut log, 0);
    let after = logs(dir.path());
    assert!(after * 2 <= before, "{before} to {after}");
    log.close().unwrap();
    drop(log);
    let log = open(dir.path(), compacted(300)).unwrap();
    assert_eq!(log.end_offset(), 50);
    assert!(contents(&log).len() < 6);
    assert_eq!(contents(&log).last().unwrap().0, 49);
}

#[test]
fn each_codec_and_the_other_records_of_a_batch_survive() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut log = Log::open(None, compacted(1), |_| {}).unwrap();
        let specs =
            [("a", Some("1"), 10), ("b", Some("2"), 7), ("a", Some("3"), 5), ("c", None, 9)];
        let producer = Producer { id: 7, epoch: 2, sequence: 40, transactional: false };
        log.append(produced(&specs, producer, codec), 0).unwrap();
        put(&mut log, "x", Some("active"));
        clean(&mut log, 100);
        let header = &served(&log)[0];
        assert_eq!((header.count, header.base_sequence, header.last_sequence()), (3, 40, 43));
        assert_eq!((header.producer_id, header.producer_epoch), (7, 2));
        assert_eq!(header.compression().unwrap(), codec);
        assert_eq!(header.max_timestamp, 9);
        let kept = [pair(1, "b", Some("2")), pair(2, "a", Some("3")), pair(3, "c", None)];
        assert_eq!(contents(&log)[..3], kept);
        assert_eq!(log.offset_for_time(8, 5).unwrap(), Some((3, 9)));
        assert_eq!(log.max_timestamp(4).unwrap(), Some((3, 9)));
    }
}

#[test]
fn tombstones_stay_for_their_time_and_then_go() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), compacted(1)).unwrap();
    put(&mut log, "a", Some("1"));
    put(&mut log, "a", None);
    put(&mut log, "b", Some("2"));
    put(&mut log, "c", Some("3"));
    clean(&mut log, 5000);
    assert_eq!(contents(&log)[0], pair(1, "a", None));
    for (now, stays) in [(5999, true), (6000, false)] {
        put(&mut log, "d", Some("4"));
        put(&mut log, "d", Some("5"));
        clean(&mut log, now);
        assert_eq!(contents(&log)[0] == pair(1, "a", None), stays, "at {now}");
    }
    assert_eq!(log.offset_for_time(0, 4).unwrap(), Some((2, 10)));
}

#[test]
fn the_last_batch_of_a_producer_stays_without_its_records() {
    let mut log = Log::open(None, compacted(1), |_| {}).unwrap();
    for sequence in 0..3 {
        let producer = Producer { id: 9, epoch: 1, sequence, transactional: false };
        log.append(produced(&[("a", Some("1"), 10)], producer, Compression::None), 0).unwrap();
    }
    put(&mut log, "a", Some("2"));
    put(&mut log, "z", Some("active"));
    clean(&mut log, 0);
    assert_eq!(contents(&log), [pair(3, "a", Some("2")), pair(4, "z", Some("active"))]);
    let of_producer: Vec<_> = served(&log).into_iter().filter(|one| one.producer_id == 9).collect();
    let [last] = &of_producer[..] else { panic!("{of_producer:?}") };
    assert_eq!(
        (last.base_offset, last.base_sequence, last.producer_epoch, last.count),
        (2, 2, 1, 0)
    );
}

#[test]
fn aborted_records_supersede_nothing_and_go_but_open_transactions_stay() {
    let mut log = Log::open(None, compacted(1), |_| {}).unwrap();
    let by = |id, sequence| Producer { id, epoch: 0, sequence, transactional: true };
    let in_transaction = |log: &mut Log, producer, key, value| {
        log.append(produced(&[(key, Some(value), 10)], producer, Compression::None), 0).unwrap();
    };
    put(&mut log, "a", Some("kept"));
    put(&mut log, "b", Some("superseded"));
    in_transaction(&mut log, by(1, 0), "a", "aborted");
    log.append(marker(by(1, -1), false, 11), 0).unwrap();
    in_transaction(&mut log, by(1, 1), "b", "committed");
    log.append(marker(by(1, -1), true, 12), 0).unwrap();
    let stable = log.end_offset();
    in_transaction(&mut log, by(2, 0), "a", "open");
    put(&mut log, "z", Some("above"));
    fixtures::clean(&mut log, 0, stable).unwrap();
    let kept = [
        pair(0, "a", Some("kept")),
        pair(4, "b", Some("committed")),
        pair(6, "a", Some("open")),
        pair(7, "z", Some("above")),
    ];
    assert_eq!(contents(&log), kept);
    assert_eq!(served(&log).iter().filter(|header| header.is_control()).count(), 2);
}

#[test]
fn young_records_and_a_small_dirty_share_wait() {
    let lagging = LogSettings { min_compaction_lag_ms: 1000, ..compacted(1) };
    let mut log = Log::open(None, lagging.clone(), |_| {}).unwrap();
    for _ in 0..4 {
        put(&mut log, "a", Some("1"));
    }
    assert_eq!(clean(&mut log, 1009), 0);
    assert_eq!(clean(&mut log, 1010), 3);
    log.configure(LogSettings { min_cleanable_dirty_ratio: 0.99, ..compacted(1) });
    put(&mut log, "a", Some("1"));
    assert_eq!(clean(&mut log, 9999), 0);
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let dir = TempDir::new().unwrap();
    let settings = compacted(1);
    let mut log = open(dir.path(), settings.clone()).unwrap();
    for _ in 0..4 {
        put(&mut log, "a", Some("1"));
    }
    let before = all(&log).unwrap();
    settings.disk_faults.fail_writes(Some(1));
    fixtures::clean(&mut log, 0, 4).unwrap_err();
    assert_eq!(all(&log).unwrap(), before);
    assert!(
        fs::read_dir(dir.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().ends_with(".cleaned") })
    );
    assert_eq!(clean(&mut log, 0), 3);
}

#[test]
fn a_compaction_of_a_log_that_changed_meanwhile_is_dropped() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), compacted(1)).unwrap();
    for _ in 0..4 {
        put(&mut log, "a", Some("1"));
    }
    let compaction = log.compaction(0, 4).unwrap().run().unwrap();
    log.delete_records_before(2).unwrap();
    assert_eq!(log.install(compaction).unwrap().segments_compacted, 0);
    assert_eq!(contents(&log).len(), 2);
    drop(log);
    assert_eq!(contents(&open(dir.path(), compacted(1)).unwrap()).len(), 2);
}

/// The directory at every point at which a crash may end the installation.
#[test]
fn a_crash_at_any_point_of_the_installation_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let settings = compacted(300);
    let mut log = open(dir.path(), settings.clone()).unwrap();
    for nth in 0..30 {
        put(&mut log, ["a", "b", "c"][nth % 3], Some("1"));
    }
    log.close().unwrap();
    let copy = |to: &TempDir, from: &Path| {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
        }
    };
    let before = TempDir::new().unwrap();
    copy(&before, dir.path());
    let compacted = log.compaction(0, 30).unwrap().run().unwrap();
    let drafted = TempDir::new().unwrap();
    copy(&drafted, dir.path());
    log.install(compacted).unwrap();
    let last_of = |log: &Log| -> BTreeMap<String, (i64, Option<String>)> {
        contents(log).into_iter().map(|(offset, key, value)| (key, (offset, value))).collect()
    };
    let expected = last_of(&log);
    let drafts: Vec<_> = fs::read_dir(drafted.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cleaned"))
        .collect();
    assert!(!drafts.is_empty());
    for renamed in 0..=drafts.len() {
        // Some drafts are in their place, and none of the segments that were merged is deleted.
        let crashed = TempDir::new().unwrap();
        copy(&crashed, drafted.path());
        for draft in &drafts[..renamed] {
            let draft = crashed.path().join(draft.file_name().unwrap());
            fs::rename(&draft, draft.with_extension("log")).unwrap();
        }
        let log = open(crashed.path(), settings.clone()).unwrap();
        assert_eq!((log.end_offset(), last_of(&log)), (30, expected.clone()));
        assert!(
            fs::read_dir(crashed.path()).unwrap().all(|entry| {
                !entry.unwrap().file_name().to_string_lossy().ends_with(".cleaned")
            })
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn compaction_keeps_the_last_value_of_each_key(
        puts in prop::collection::vec((0_u8..6, prop::option::of(0_u8..50), prop::bool::weighted(0.1)), 1..80),
        segment_bytes in 1_u64..1000,
    ) {
        let dir = TempDir::new().unwrap();
        let mut log = open(dir.path(), compacted(segment_bytes)).unwrap();
        let mut model: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
        for (nth, (key, value, cleans)) in puts.into_iter().enumerate() {
            let (key, value) = (format!("key {key}"), value.map(|value| format!("value {value}")));
            let specs = [(key.as_str(), Some("overwritten"), 5), (key.as_str(), value.as_deref(), 5)];
            log.append(produced(&specs, NOBODY, Compression::Lz4), 0).unwrap();
            model.insert(key, (log.end_offset() - 1, value));
            if cleans {
                clean(&mut log, 0);
            }
            if nth % 20 == 19 {
                drop(log);
                log = open(dir.path(), compacted(segment_bytes)).unwrap();
            }
        }
        clean(&mut log, 0);
        let last: BTreeMap<String, (i64, Option<String>)> =
            contents(&log).into_iter().map(|(offset, key, value)| (key, (offset, value))).collect();
        prop_assert_eq!(last, model);
    }
}
