//! Batches and logs to test with.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::log::{BatchHeader, CleanReport, Log, LogSettings, OpenError, ReadError, TruncateError};

/// Who produced a batch.
#[derive(Clone, Copy)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
}

pub const NOBODY: Producer = Producer { id: -1, epoch: -1, sequence: -1, transactional: false };

/// Key, value (`None` is a tombstone) and time of a record.
pub type Spec<'a> = (&'a str, Option<&'a str>, i64);

/// A record as kafka-protocol's encoder takes it.
pub fn record(nth: usize, (key, value, timestamp): Spec<'_>, producer: Producer) -> Record {
    let nth = i32::try_from(nth).unwrap();
    Record {
        transactional: producer.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(nth),
        sequence: if producer.sequence < 0 { nth - 1 } else { producer.sequence + nth },
        timestamp,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        headers: [("source".into(), Some(Bytes::from_static(b"test")))].into(),
    }
}

pub fn encode(records: &[Record], compression: Compression) -> BytesMut {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, records, &options).unwrap();
    bytes
}

pub fn produced(specs: &[Spec<'_>], producer: Producer, compression: Compression) -> BytesMut {
    let records: Vec<Record> =
        specs.iter().enumerate().map(|(nth, spec)| record(nth, *spec, producer)).collect();
    encode(&records, compression)
}

/// A batch of nobody in particular, uncompressed.
pub fn batch(specs: &[Spec<'_>]) -> BytesMut {
    produced(specs, NOBODY, Compression::None)
}

/// A transaction's end, as the coordinator writes it.
pub fn marker(producer: Producer, commits: bool, timestamp: i64) -> BytesMut {
    let mut record = record(0, ("", None, timestamp), producer);
    record.control = true;
    record.transactional = true;
    record.sequence = -1;
    record.headers.clear();
    record.key = Some(Bytes::copy_from_slice(&[0, 0, 0, u8::from(commits)]));
    record.value = Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0]));
    encode(&[record], Compression::None)
}

pub fn settings() -> LogSettings {
    LogSettings::default()
}

pub fn open(dir: &Path, settings: LogSettings) -> Result<Log, OpenError> {
    Log::open(Some(dir), settings, |_| {})
}

/// Everything that the log serves, read in small steps.
pub fn all(log: &Log) -> Result<Bytes, ReadError> {
    let mut served = BytesMut::new();
    let mut from = log.start_offset();
    while from < log.end_offset() {
        let bytes = log.read(from, log.end_offset(), 1, true)?;
        from = BatchHeader::check(&bytes).unwrap().next_offset();
        served.extend_from_slice(&bytes);
    }
    Ok(served.freeze())
}

/// Offset, key and value of each record that the log serves.
pub fn contents(log: &Log) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut served = all(log).unwrap();
    let mut found = Vec::new();
    while !served.is_empty() {
        let set = RecordBatchDecoder::decode(&mut served).unwrap();
        found.extend(set.records.iter().filter(|record| !record.control).map(|record| {
            (record.offset, text(record.key.as_ref().unwrap()), record.value.as_ref().map(text))
        }));
    }
    found
}

/// A log of six small batches with ten records in all.
pub fn fill(log: &mut Log) {
    for nth in 0..6_i64 {
        let value = format!("value {nth}");
        let specs: Vec<Spec<'_>> =
            (0..=nth % 3).map(|_| ("key", Some(value.as_str()), 1000 + nth)).collect();
        log.append(batch(&specs), 0).unwrap();
    }
}

/// Retention and compaction in one go.
pub fn clean(log: &mut Log, now_ms: i64, upper: i64) -> Result<CleanReport, TruncateError> {
    let retained = log.retain(now_ms, upper)?;
    let Some(compaction) = log.compaction(now_ms, upper) else { return Ok(retained) };
    let compacted = log.install(compaction.run()?)?;
    Ok(CleanReport { segments_deleted: retained.segments_deleted, ..compacted })
}

/// The headers of these batches, each checked.
pub fn headers(mut batches: &[u8]) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    while !batches.is_empty() {
        let header = BatchHeader::check(batches).unwrap();
        batches = &batches[header.bytes..];
        headers.push(header);
    }
    headers
}
