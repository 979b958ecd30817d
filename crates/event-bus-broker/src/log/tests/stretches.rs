//! Records that are read while they are sent.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use tempfile::TempDir;

use super::fixtures::{all, batch, headers, open, settings};
use crate::log::{Log, ReadError, Stretch, Window};

/// A log of batches of these sizes, more or less.
fn log_of(dir: &Path, value_bytes: &[usize]) -> Log {
    let mut log = open(dir, settings()).unwrap();
    for bytes in value_bytes {
        log.append(batch(&[("k", Some(&"x".repeat(*bytes)), 0), ("l", Some("y"), 0)]), 0).unwrap();
    }
    log
}

/// Small ones, some of them between two entries of the index, and some that are larger than what is read at once.
fn mixed() -> Vec<usize> {
    let small = (0..120).map(|nth| nth * 13 % 900);
    small.chain([300_000, 10, 700_000, 20_000]).chain((0..30).map(|nth| nth * 997)).collect()
}

/// What of the stretch can be read, and why it ended early.
fn drain(mut stretch: Stretch, window: &mut Window) -> (BytesMut, Option<ReadError>) {
    let mut served = BytesMut::new();
    loop {
        match stretch.next(window) {
            Ok(Some(piece)) => served.extend_from_slice(piece),
            Ok(None) => return (served, None),
            Err(error) => return (served, Some(error)),
        }
    }
}

#[test]
fn a_stretch_has_the_batches_that_a_read_returns_but_for_a_few_of_the_last() {
    let dir = TempDir::new().unwrap();
    let log = log_of(dir.path(), &mixed());
    let end = log.end_offset();
    let mut window = Window::default();
    let mut seen = 0;
    for from in 0..end {
        for (upper, max_bytes) in [(end, usize::MAX), (end - 7, usize::MAX), (end, 500_000)] {
            let Some(stretch) = log.stretch(from, upper, max_bytes).unwrap() else { continue };
            let (bytes, end_offset) = (stretch.len(), stretch.end_offset());
            let read = log.read(from, upper, max_bytes, false).unwrap();
            let (served, error) = drain(stretch, &mut window);
            assert!(error.is_none(), "{error:?}");
            assert_eq!((served.len(), &served[..]), (bytes, &read[..bytes]));
            assert_eq!(headers(&served.freeze()).last().unwrap().next_offset(), end_offset);
            assert!(read.len() - bytes < 8_192 || bytes >= 400_000);
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn few_records_are_read_at_once() {
    let dir = TempDir::new().unwrap();
    let log = log_of(dir.path(), &[40_000, 40_000]);
    let end = log.end_offset();
    assert!(log.stretch(0, end, usize::MAX).unwrap().is_some());
    assert!(log.stretch(0, end, 10_000).unwrap().is_none(), "the first is too large");
    assert!(log.stretch(0, 1, usize::MAX).unwrap().is_none(), "the first is not yet visible");
    assert!(log.stretch(end, end, usize::MAX).unwrap().is_none());
    let small = TempDir::new().unwrap();
    let log = log_of(small.path(), &[1_000, 1_000]);
    assert!(log.stretch(0, log.end_offset(), usize::MAX).unwrap().is_none());
}

#[test]
fn a_window_is_used_for_one_stretch_after_the_other() {
    let dir = TempDir::new().unwrap();
    let log = log_of(dir.path(), &mixed());
    let expected = all(&log).unwrap();
    let mut window = Window::default();
    for _ in 0..3 {
        let stretch = log.stretch(0, log.end_offset(), usize::MAX).unwrap().unwrap();
        assert_eq!(drain(stretch, &mut window).0, expected);
    }
    assert!(window.capacity() < 1_000_000, "no larger than the largest batch needs");
}

#[test]
fn no_byte_that_changed_under_an_open_log_is_served_and_the_next_read_says_so() {
    let dir = TempDir::new().unwrap();
    let sizes = [20_000, 100, 3_000, 30_000, 50];
    let log = log_of(dir.path(), &sizes);
    let original = all(&log).unwrap();
    let borders: Vec<usize> = headers(&original)
        .iter()
        .scan(0, |at, header| {
            let begin = *at;
            *at += header.bytes;
            Some(begin)
        })
        .collect();
    drop(log);
    let path = dir.path().join("00000000000000000000.log");
    let bytes = fs::read(&path).unwrap();
    let in_headers = borders.iter().flat_map(|begin| *begin..begin + 61);
    for at in in_headers.chain((0..bytes.len()).step_by(997)) {
        fs::write(&path, &bytes).unwrap();
        let log = open(dir.path(), settings()).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&path, changed).unwrap();
        let stretch = log.stretch(0, log.end_offset(), usize::MAX).unwrap().unwrap();
        let (served, error) = drain(stretch, &mut Window::default());
        assert!(matches!(error, Some(ReadError::Damaged(_))), "byte {at}: {error:?}");
        assert!(served.len() <= at && original.starts_with(&served), "byte {at} was served");
        assert!(log.stretch(0, log.end_offset(), usize::MAX).unwrap().is_none());
        let error = log.read(0, log.end_offset(), usize::MAX, true).unwrap_err();
        assert!(matches!(error, ReadError::Damaged(_)), "byte {at}: {error}");
    }
}

#[test]
fn a_file_that_was_cut_ends_a_stretch_with_an_error() {
    let dir = TempDir::new().unwrap();
    let log = log_of(dir.path(), &[40_000, 300_000, 40_000]);
    let stretch = log.stretch(0, log.end_offset(), usize::MAX).unwrap().unwrap();
    let path = dir.path().join("00000000000000000000.log");
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(100_000).unwrap();
    let (served, error) = drain(stretch, &mut Window::default());
    assert!(matches!(error, Some(ReadError::Io { .. })), "{error:?}");
    assert!(served.len() < 100_000);
}
