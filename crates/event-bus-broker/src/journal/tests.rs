//! Tests of the journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Journal, JournalError};
use crate::config::Durability;
use crate::log::{DiskFaults, Flusher};

fn open(path: &Path) -> Result<(Journal, Vec<Bytes>), JournalError> {
    Journal::open(Some(path), Flusher::start(Durability::Lazy))
}

fn push(journal: &Journal, entry: &[u8]) -> Result<(), JournalError> {
    journal.push(entry)?.durable_blocking()
}

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("topics.journal");
    (dir, path)
}

/// Each file with each byte changed, and cut at each length.
fn each_damage(files: &[PathBuf], mut check: impl FnMut(String)) {
    for path in files {
        let intact = fs::read(path).unwrap();
        let others: Vec<_> = files.iter().map(|file| (file, fs::read(file).unwrap())).collect();
        let mut try_bytes = |bytes: &[u8], what: String| {
            fs::write(path, bytes).unwrap();
            check(format!("{} {what}", path.display()));
            for (file, bytes) in &others {
                fs::write(file, bytes).unwrap();
            }
        };
        for at in 0..intact.len() {
            for mask in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = intact.clone();
                changed[at] ^= mask;
                try_bytes(&changed, format!("byte {at} ^ {mask:02x}"));
            }
            try_bytes(&intact[..at], format!("cut to {at} bytes"));
        }
    }
}

#[test]
fn entries_come_back_in_order() {
    let (_dir, path) = place();
    let (journal, entries) = open(&path).unwrap();
    assert!(entries.is_empty());
    for entry in ["one", "", "three"] {
        push(&journal, entry.as_bytes()).unwrap();
    }
    drop(journal);
    let (journal, entries) = open(&path).unwrap();
    assert_eq!(entries, ["one", "", "three"]);
    push(&journal, b"four").unwrap();
    journal.close().unwrap();
    assert_eq!(open(&path).unwrap().1.len(), 4);
}

#[test]
fn a_closed_journal_with_any_damage_is_refused_or_whole() {
    for rewritten in [false, true] {
        let (_dir, path) = place();
        let (journal, _) = open(&path).unwrap();
        let original: Vec<String> = (0..6).map(|nth| format!("{{\"n\":{nth}}}")).collect();
        for entry in &original {
            push(&journal, entry.as_bytes()).unwrap();
        }
        if rewritten {
            journal.rewrite(original.iter().map(|entry| entry.clone().into_bytes())).unwrap();
        }
        journal.close().unwrap();
        drop(journal);
        let mut refused = 0;
        each_damage(&[path.clone(), path.with_extension("checkpoint")], |what| match open(&path) {
            Ok((_, entries)) => assert_eq!(entries, original, "{what}"),
            Err(_) => refused += 1,
        });
        assert!(refused > 500, "{refused}");
    }
}

#[test]
fn a_journal_that_was_not_closed_loses_at_most_what_was_never_durable() {
    let (_dir, path) = place();
    let (journal, _) = Journal::open(Some(&path), Flusher::start(Durability::Fsync)).unwrap();
    for entry in ["one", "two", "three"] {
        push(&journal, entry.as_bytes()).unwrap();
    }
    let _never_asked = (journal.push(b"four").unwrap(), journal.push(b"five").unwrap());
    drop(journal);
    let original = ["one", "two", "three", "four", "five"].map(Bytes::from);
    let mut cut = 0;
    each_damage(&[path.clone(), path.with_extension("checkpoint")], |what| {
        if let Ok((_, entries)) = open(&path) {
            assert!(original.starts_with(&entries) && entries.len() >= 3, "{what}: {entries:?}");
            cut += usize::from(entries.len() < 5);
        }
    });
    assert!(cut > 50, "{cut}");
}

#[test]
fn a_damaged_entry_is_told_with_its_place_and_cure() {
    let (_dir, path) = place();
    let (journal, _) = open(&path).unwrap();
    push(&journal, b"one").unwrap();
    push(&journal, b"two").unwrap();
    journal.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let text = open(&path).unwrap_err().to_string();
    assert!(text.contains("entry 1") && text.contains("truncate -s 47"), "{text}");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(47).unwrap();
    fs::remove_file(path.with_extension("checkpoint")).unwrap();
    assert_eq!(open(&path).unwrap().1, ["one"]);
}

#[test]
fn a_rewrite_takes_the_place_of_all_entries_and_pushes_go_on() {
    let (_dir, path) = place();
    let (journal, _) = open(&path).unwrap();
    let large = vec![b'x'; 64 * 1024];
    while !journal.wants_rewrite() {
        push(&journal, &large).unwrap();
    }
    journal.rewrite([b"all".to_vec()]).unwrap();
    assert!(!journal.wants_rewrite());
    push(&journal, b"next").unwrap();
    drop(journal);
    assert_eq!(open(&path).unwrap().1, ["all", "next"]);
}

#[test]
fn a_rewrite_that_fails_changes_nothing() {
    let (_dir, path) = place();
    let faults = Arc::new(DiskFaults::default());
    let flusher = Flusher::with_disk_faults(Durability::Fsync, faults.clone());
    let (journal, _) = Journal::open(Some(&path), flusher).unwrap();
    push(&journal, b"one").unwrap();
    faults.fail_writes(Some(1));
    journal.rewrite([b"all".to_vec()]).unwrap_err();
    push(&journal, b"two").unwrap();
    drop(journal);
    assert_eq!(open(&path).unwrap().1, ["one", "two"]);
}

#[tokio::test]
async fn a_failed_sync_takes_its_entries_back_and_the_journal_recovers() {
    let (_dir, path) = place();
    let faults = Arc::new(DiskFaults::default());
    let flusher = Flusher::with_disk_faults(Durability::Fsync, faults.clone());
    let (journal, _) = Journal::open(Some(&path), flusher).unwrap();
    journal.push(b"one").unwrap().durable().await.unwrap();
    let (two, three) = (journal.push(b"two").unwrap(), journal.push(b"three").unwrap());
    faults.fail_syncs(None);
    two.durable().await.unwrap_err();
    journal.push(b"four").expect_err("the disk is still broken");
    faults.heal();
    let five = journal.push(b"five").unwrap();
    three.durable().await.expect_err("it was cut off with the one before it");
    five.durable().await.unwrap();
    drop(journal);
    assert_eq!(open(&path).unwrap().1, ["one", "five"]);
}

#[tokio::test]
async fn a_full_disk_fails_the_push_and_the_next_one_may_work() {
    let (_dir, path) = place();
    let faults = Arc::new(DiskFaults::default());
    let flusher = Flusher::with_disk_faults(Durability::Fsync, faults.clone());
    let (journal, _) = Journal::open(Some(&path), flusher).unwrap();
    faults.fail_writes(Some(1));
    journal.push(b"one").unwrap_err();
    journal.push(b"two").unwrap().durable().await.unwrap();
    drop(journal);
    assert_eq!(open(&path).unwrap().1, ["two"]);
}

#[test]
fn a_journal_in_memory_keeps_nothing() {
    let (journal, entries) = Journal::open(None, Flusher::start(Durability::Fsync)).unwrap();
    assert!(entries.is_empty() && !journal.wants_rewrite());
    push(&journal, b"one").unwrap();
    journal.rewrite([]).unwrap();
    journal.close().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn a_journal_holds_what_a_list_would(
        steps in prop::collection::vec((0_u8..10, prop::collection::vec(any::<u8>(), 0..200)), 1..40),
    ) {
        let (_dir, path) = place();
        let (mut journal, _) = open(&path).unwrap();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for (step, entry) in steps {
            match step {
                0 => {
                    drop(journal);
                    let (opened, entries) = open(&path).unwrap();
                    prop_assert_eq!(&entries, &model);
                    journal = opened;
                }
                1 => {
                    model = vec![entry];
                    journal.rewrite(model.clone()).unwrap();
                }
                _ => {
                    push(&journal, &entry).unwrap();
                    model.push(entry);
                }
            }
        }
        drop(journal);
        prop_assert_eq!(open(&path).unwrap().1, model);
    }
}
