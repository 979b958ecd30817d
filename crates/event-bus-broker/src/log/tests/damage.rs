//! Every single-byte change and every truncation of a small log: nothing wrong is ever served.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::fixtures::{all, batch, fill, open, settings};
use crate::log::damage::{Damage, Flaw};
use crate::log::{LogSettings, OpenError};

const MASKS: [u8; 2] = [0x20, 0xff];

/// Segments of about two batches.
fn small_segments() -> LogSettings {
    LogSettings { segment_bytes: 250, ..settings() }
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Puts the directory back as it was.
fn restore(dir: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !files.iter().any(|(kept, _)| *kept == path) {
            fs::remove_file(path).unwrap();
        }
    }
    for (path, bytes) in files {
        overwrite(path, bytes);
    }
}

/// In place: to replace a file through truncation makes some file systems wait for the disk.
fn overwrite(path: &Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Every file of the directory with every single byte changed, and cut at every length.
fn each_damage(dir: &Path, mut check: impl FnMut(String)) {
    let intact = files(dir);
    for (path, bytes) in &intact {
        for at in 0..bytes.len() {
            for mask in MASKS {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                overwrite(path, &changed);
                check(format!("{} byte {at} ^ {mask:02x}", path.display()));
                restore(dir, &intact);
            }
            overwrite(path, &bytes[..at]);
            check(format!("{} cut to {at} bytes", path.display()));
            restore(dir, &intact);
        }
    }
}

/// What opening and reading the log gives; `None` when it is refused.
fn served(dir: &Path, settings: &LogSettings) -> Option<Bytes> {
    let log = open(dir, settings.clone()).ok()?;
    Some(all(&log).expect("what was opened a moment ago can be read"))
}

fn a_closed_log_is_refused_or_whole(settings: &LogSettings) {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), settings.clone()).unwrap();
    fill(&mut log);
    log.delete_records_before(1).unwrap();
    log.close().unwrap();
    let original = all(&log).unwrap();
    drop(log);
    assert_eq!(served(dir.path(), settings).unwrap(), original);
    let (mut refused, mut whole) = (0, 0);
    each_damage(dir.path(), |what| match served(dir.path(), settings) {
        None => refused += 1,
        Some(bytes) => {
            whole += 1;
            assert_eq!(bytes, original, "{what}");
        }
    });
    assert!(refused > 1000, "{refused} refused, {whole} served whole");
    assert_eq!(whole, 0, "there is no byte that does not matter");
}

#[test]
fn a_closed_log_with_any_byte_changed_or_cut_off_is_refused_or_served_whole() {
    a_closed_log_is_refused_or_whole(&settings());
}

#[test]
fn a_closed_log_of_several_segments_with_any_damage_is_refused_or_served_whole() {
    a_closed_log_is_refused_or_whole(&small_segments());
}

#[test]
fn a_log_that_was_not_closed_loses_at_most_what_was_never_durable() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), settings()).unwrap();
    fill(&mut log);
    log.tail().unwrap().sync().unwrap();
    let durable = all(&log).unwrap();
    log.append(batch(&[("late", Some("one"), 1)]), 0).unwrap();
    log.append(batch(&[("late", Some("two"), 1)]), 0).unwrap();
    let original = all(&log).unwrap();
    drop(log);
    let mut cut = 0;
    each_damage(dir.path(), |what| {
        if let Some(bytes) = served(dir.path(), &settings()) {
            assert!(original.starts_with(&bytes) && bytes.starts_with(&durable), "{what}");
            cut += usize::from(bytes != original);
        }
    });
    assert!(cut > 100, "a torn tail above the durable end is cut off, {cut} times here");
}

#[test]
fn a_log_that_was_damaged_while_open_is_not_served() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), settings()).unwrap();
    fill(&mut log);
    let original = all(&log).unwrap();
    let segments = files(dir.path());
    let (path, bytes) = segments
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|extension| extension == "log"))
        .unwrap();
    for at in 0..bytes.len() {
        for mask in MASKS {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            overwrite(path, &changed);
            if let Ok(served) = all(&log) {
                assert_eq!(served, original, "byte {at} ^ {mask:02x}");
            }
        }
    }
}

fn damage_of(error: OpenError) -> Damage {
    match error {
        OpenError::Damaged(damage) => damage,
        other => panic!("not damage: {other}"),
    }
}

#[test]
fn damage_is_told_with_file_byte_offset_and_cure() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), settings()).unwrap();
    log.append(batch(&[("a", Some("1"), 1), ("a", Some("2"), 1)]), 0).unwrap();
    let position = log.size_bytes();
    log.append(batch(&[("b", Some("3"), 1)]), 0).unwrap();
    log.close().unwrap();
    let path = dir.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let damage = damage_of(open(dir.path(), settings()).unwrap_err());
    assert_eq!((&damage.path, damage.position, damage.offset), (&path, position, 2));
    let text = damage.to_string();
    let cure = format!("truncate -s {position}");
    assert!(text.contains("offset 2") && text.contains(&cure), "{text}");

    // The cure works.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(position).unwrap();
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let log = open(dir.path(), settings()).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (0, 2));
}

#[test]
fn a_missing_segment_is_damage() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), small_segments()).unwrap();
    fill(&mut log);
    log.close().unwrap();
    drop(log);
    let intact = files(dir.path());
    let segments: Vec<_> = intact
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    assert!(segments.len() > 2, "the test needs several segments");
    for (path, _) in segments {
        fs::remove_file(path).unwrap();
        let damage = damage_of(open(dir.path(), small_segments()).unwrap_err());
        assert!(matches!(damage.flaw, Flaw::SegmentBase { .. } | Flaw::Missing { .. }), "{damage}");
        restore(dir.path(), &intact);
    }
}

#[test]
fn a_torn_write_before_an_intact_one_is_damage() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path(), settings()).unwrap();
    log.append(batch(&[("a", Some("1"), 1)]), 0).unwrap();
    let middle = usize::try_from(log.size_bytes()).unwrap();
    log.append(batch(&[("b", Some("2"), 1)]), 0).unwrap();
    drop(log);
    let path = dir.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[middle - 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(damage_of(open(dir.path(), settings()).unwrap_err()).offset, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_bytes_make_an_open_panic_or_serve_what_was_never_written(
        at in 0_usize..900,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        with_checkpoint: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let mut log = open(dir.path(), settings()).unwrap();
        fill(&mut log);
        log.close().unwrap();
        let original = all(&log).unwrap();
        drop(log);
        let path = dir.path().join("00000000000000000000.log");
        let mut changed = fs::read(&path).unwrap();
        changed.splice(at.min(changed.len()).., bytes);
        fs::write(&path, changed).unwrap();
        if !with_checkpoint {
            fs::remove_file(dir.path().join("checkpoint")).unwrap();
        }
        if let Some(served) = served(dir.path(), &settings()) {
            prop_assert!(original.starts_with(&served));
            prop_assert!(!with_checkpoint || served == original);
        }
    }
}
