//! What the tests of partitions are made of.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::config::Durability;
use crate::log::{BatchHeader, Flusher, LogSettings};
use crate::partition::{
    AppendError, Appended, Isolation, Membership, Partition, PartitionRead, Records, Slice,
    StorageError,
};

/// A time of these tests, in milliseconds since 1970.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A batch to be made, of a producer without idempotence unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    records: i32,
    is_transactional: bool,
    timestamp_ms: i64,
    has_keys: bool,
    value_bytes: usize,
    compression: Compression,
}

impl Batch {
    pub fn of(records: i32) -> Self {
        Self {
            producer_id: -1,
            epoch: -1,
            sequence: -1,
            records,
            is_transactional: false,
            timestamp_ms: NOW_MS,
            has_keys: true,
            value_bytes: 10,
            compression: Compression::None,
        }
    }

    pub fn by(self, producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer_id, epoch, sequence, ..self }
    }

    pub fn transactional(self) -> Self {
        Self { is_transactional: true, ..self }
    }

    pub fn at(self, timestamp_ms: i64) -> Self {
        Self { timestamp_ms, ..self }
    }

    pub fn without_keys(self) -> Self {
        Self { has_keys: false, ..self }
    }

    pub fn with_value_bytes(self, value_bytes: usize) -> Self {
        Self { value_bytes, ..self }
    }

    pub fn compressed(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// As a producer sends it.
    pub fn encode(self) -> Bytes {
        let records: Vec<Record> = (0..self.records)
            .map(|nth| Record {
                transactional: self.is_transactional,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: self.producer_id,
                producer_epoch: self.epoch,
                timestamp_type: TimestampType::Creation,
                offset: i64::from(nth),
                sequence: self.sequence.wrapping_add(nth),
                timestamp: self.timestamp_ms + i64::from(nth),
                key: self.has_keys.then(|| Bytes::from(format!("key-{nth}"))),
                value: Some(Bytes::from(vec![b'v'; self.value_bytes])),
                headers: Default::default(),
            })
            .collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: self.compression };
        RecordBatchEncoder::encode(&mut bytes, records.iter(), &options).unwrap();
        bytes.freeze()
    }
}

/// A partition in memory.
pub fn in_memory() -> Arc<Partition> {
    let flusher = Flusher::start(Durability::Fsync);
    Partition::open(None, ("orders", 0), LogSettings::default(), flusher).unwrap()
}

/// A partition on disk.
pub fn on_disk(dir: &Path, settings: LogSettings) -> Arc<Partition> {
    let flusher = Flusher::start(Durability::Fsync);
    Partition::open(Some(dir), ("orders", 0), settings, flusher).unwrap()
}

/// Why a batch was not acknowledged.
#[derive(Debug)]
pub enum Refused {
    Append(AppendError),
    Settle(StorageError),
}

/// Appends without waiting.
pub fn append(
    partition: &Partition,
    batch: Batch,
    membership: Membership,
) -> Result<Appended, AppendError> {
    let bytes = batch.encode();
    let header = BatchHeader::check(&bytes).unwrap();
    partition.append(&header, &bytes, membership, NOW_MS)
}

/// Appends and waits for the acknowledgement; returns the base offset.
pub async fn produce(partition: &Partition, batch: Batch) -> Result<i64, Refused> {
    let appended = append(partition, batch, Membership::Verified).map_err(Refused::Append)?;
    partition.settle(&appended.ticket).await.map_err(Refused::Settle)?;
    Ok(appended.base_offset)
}

/// Everything from an offset on.
pub fn read(partition: &Partition, from: i64, isolation: Isolation) -> PartitionRead {
    let slice = Slice { from, max_bytes: usize::MAX, at_least_one: true, isolation };
    partition.read(slice).unwrap()
}

/// The base offsets of the batches that were read.
pub fn base_offsets(read: &PartitionRead) -> Vec<i64> {
    let Records::Held(records) = &read.records else { panic!("few records are held") };
    let mut rest = &records[..];
    let mut offsets = Vec::new();
    while let Ok(header) = BatchHeader::check(rest) {
        rest = &rest[header.bytes..];
        offsets.push(header.base_offset);
    }
    assert!(rest.is_empty(), "{} bytes behind the last batch", rest.len());
    offsets
}
