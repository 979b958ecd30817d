//! Reads, lookups by time, and what batches are.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{Compression, Record, RecordBatchDecoder};
use tempfile::TempDir;

use super::fixtures::{NOBODY, all, batch, fill, headers, open, produced, settings};
use crate::log::batch::{BatchError, stamp_append_time};
use crate::log::{BatchHeader, Log, LogSettings, ReadError, records};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[test]
fn reads_return_whole_batches_from_the_one_that_holds_the_offset() {
    let mut log = Log::open(None, settings(), |_| {}).unwrap();
    fill(&mut log);
    let end = log.end_offset();
    let first = |bytes: &Bytes| BatchHeader::check(bytes).unwrap().base_offset;
    assert_eq!(first(&log.read(4, end, usize::MAX, false).unwrap()), 3);
    assert_eq!(log.read(0, end, usize::MAX, false).unwrap().len() as u64, log.size_bytes());
    assert!(log.read(0, end, 10, false).unwrap().is_empty());
    assert_eq!(headers(&log.read(0, end, 10, true).unwrap()).len(), 1);
    // Offsets 1 and 2 are one batch: it is not below 2.
    assert_eq!(headers(&log.read(0, 2, usize::MAX, true).unwrap()).len(), 1);
    assert!(log.read(1, 2, usize::MAX, true).unwrap().is_empty());
    assert!(log.read(end, end, usize::MAX, true).unwrap().is_empty());
    for offset in [-1, end + 1] {
        let error = log.read(offset, end, 1, true).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { .. }), "{error}");
    }
}

#[test]
fn a_large_log_is_read_from_any_offset_with_few_bytes() {
    let dir = TempDir::new().unwrap();
    let value = "x".repeat(3000);
    let settings = LogSettings { segment_bytes: 100_000, ..settings() };
    let mut log = open(dir.path(), settings).unwrap();
    for nth in 0..200 {
        log.append(batch(&[("k", Some(&value), nth), ("l", Some("y"), nth)]), 0).unwrap();
    }
    for offset in 0..400 {
        let bytes = log.read(offset, 400, 5000, true).unwrap();
        let header = BatchHeader::check(&bytes).unwrap();
        assert!((header.base_offset..header.next_offset()).contains(&offset));
        assert!(bytes.len() <= 5000);
    }
    assert_eq!(all(&log).unwrap().len() as u64, log.size_bytes());
}

#[test]
fn records_are_found_by_time_in_each_codec() {
    for codec in CODECS {
        let mut log = Log::open(None, settings(), |_| {}).unwrap();
        for base in [100, 200, 300] {
            let specs =
                [("a", Some("1"), base), ("b", Some("2"), base + 50), ("c", None, base + 20)];
            log.append(produced(&specs, NOBODY, codec), 0).unwrap();
        }
        let find = |time| log.offset_for_time(time, 9).unwrap();
        assert_eq!(find(0), Some((0, 100)));
        assert_eq!(find(101), Some((1, 150)));
        assert_eq!(find(151), Some((3, 200)));
        assert_eq!(find(350), Some((7, 350)));
        assert_eq!(find(351), None);
        assert_eq!(log.offset_for_time(300, 6).unwrap(), None);
        assert_eq!(log.max_timestamp(9).unwrap(), Some((7, 350)));
        assert_eq!(log.max_timestamp(6).unwrap(), Some((4, 250)));
        assert_eq!(log.max_timestamp(0).unwrap(), None);
        log.delete_records_before(2).unwrap();
        assert_eq!(log.offset_for_time(0, 9).unwrap(), Some((2, 120)));
        log.delete_records_before(9).unwrap();
        assert_eq!(log.max_timestamp(9).unwrap(), None);
        assert_eq!(log.offset_for_time(0, 9).unwrap(), None);
    }
}

#[test]
fn log_append_time_counts_for_each_record() {
    let mut log = Log::open(None, settings(), |_| {}).unwrap();
    let mut stamped = batch(&[("a", Some("1"), 5), ("b", Some("2"), 9)]);
    stamp_append_time(&mut stamped, 777);
    log.append(stamped, 777).unwrap();
    assert_eq!(log.offset_for_time(10, 2).unwrap(), Some((0, 777)));
    assert_eq!(log.max_timestamp(2).unwrap(), Some((0, 777)));
}

#[test]
fn records_are_read_as_the_protocol_library_reads_them() {
    for codec in CODECS {
        let specs = [("a", Some("1"), 1000), ("b", None, 900), ("", Some(""), 1_000_000)];
        let bytes = produced(&specs, NOBODY, codec).freeze();
        let header = BatchHeader::check(&bytes).unwrap();
        let body = records::body(&header, &bytes).unwrap();
        let ours: Vec<_> = records::records(&header, &body)
            .map(|record| record.unwrap())
            .map(|record| (record.offset, record.timestamp, record.key, record.value))
            .map(|(offset, time, key, value)| {
                (offset, time, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))
            })
            .collect();
        let theirs: Vec<_> = RecordBatchDecoder::decode(&mut bytes.clone())
            .unwrap()
            .records
            .into_iter()
            .map(|Record { offset, timestamp, key, value, .. }| {
                (offset, timestamp, key.map(|key| key.to_vec()), value.map(|value| value.to_vec()))
            })
            .collect();
        assert_eq!(ours, theirs);
        records::check(&header, &bytes).unwrap();
    }
}

#[test]
fn one_bare_snappy_block_is_read_too() {
    let plain = batch(&[("a", Some("1"), 1)]);
    let packed = snap::raw::Encoder::new().compress_vec(&plain[61..]).unwrap();
    let mut bytes = BytesMut::from(&plain[..61]);
    bytes.extend_from_slice(&packed);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = 2;
    crate::log::batch::seal(&mut bytes);
    let header = BatchHeader::check(&bytes).unwrap();
    assert_eq!(records::body(&header, &bytes).unwrap(), &plain[61..]);
}

#[test]
fn no_bytes_make_the_reader_panic_or_take_memory() {
    for codec in CODECS {
        let bytes = produced(&[("a", Some("1"), 1), ("b", None, 2)], NOBODY, codec);
        for at in 61..bytes.len() {
            for mask in [0x01, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                crate::log::batch::seal(&mut changed);
                let header = BatchHeader::check(&changed).unwrap();
                let _ = records::check(&header, &changed);
            }
        }
        let mut huge = bytes.clone();
        huge[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        huge[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        crate::log::batch::seal(&mut huge);
        let header = BatchHeader::check(&huge).unwrap();
        records::check(&header, &huge).unwrap_err();
    }
}

#[test]
fn a_batch_is_checked_for_being_whole_and_unharmed() {
    let whole = batch(&[("a", Some("1"), 1)]);
    let check = |change: &dyn Fn(&mut BytesMut)| {
        let mut changed = whole.clone();
        change(&mut changed);
        BatchHeader::check(&changed).unwrap_err()
    };
    let last = whole.len() - 1;
    assert!(matches!(check(&|bytes| bytes[last] ^= 1), BatchError::Crc { .. }));
    assert!(matches!(check(&|bytes| bytes.truncate(last)), BatchError::Incomplete { .. }));
    assert!(matches!(check(&|bytes| bytes.truncate(60)), BatchError::Incomplete { .. }));
    assert!(matches!(check(&|bytes| bytes[8] = 0xff), BatchError::Length { .. }));
    assert!(matches!(check(&|bytes| bytes[11] = 1), BatchError::Length { .. }));
    assert!(matches!(check(&|bytes| bytes[16] = 1), BatchError::Magic { magic: 1 }));
    let count = |bytes: &mut BytesMut| {
        bytes[60] = 2;
        crate::log::batch::seal(bytes);
    };
    assert!(matches!(check(&count), BatchError::Count { count: 2, .. }));
    let codec = |bytes: &mut BytesMut| {
        bytes[22] = 7;
        crate::log::batch::seal(bytes);
    };
    assert_eq!(check(&codec), BatchError::Codec { codec: 7 });
}

#[test]
fn sequences_wrap_around() {
    let mut header = BatchHeader::parse(&batch(&[("a", None, 1), ("b", None, 1)])).unwrap();
    assert_eq!(header.last_sequence(), -1);
    header.base_sequence = i32::MAX;
    assert_eq!(header.last_sequence(), 0);
}
