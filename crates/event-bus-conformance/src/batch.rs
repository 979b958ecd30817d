//! Record batches, built and read.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Where the parts of a batch of format 2 begin.
pub mod position {
    use std::ops::Range;

    /// The offset of the first record.
    pub const BASE_OFFSET: Range<usize> = 0..8;
    /// The bytes that follow this field.
    pub const LENGTH: Range<usize> = 8..12;
    /// The epoch of the leader that wrote it.
    pub const LEADER_EPOCH: Range<usize> = 12..16;
    /// The format's number.
    pub const MAGIC: usize = 16;
    /// The checksum over all that follows it.
    pub const CRC: Range<usize> = 17..21;
    /// Codec, kind of timestamp, transaction.
    pub const ATTRIBUTES: Range<usize> = 21..23;
    /// The largest timestamp of its records.
    pub const MAX_TIMESTAMP: Range<usize> = 35..43;
    /// How many records it says it has.
    pub const COUNT: Range<usize> = 57..61;
}

/// Milliseconds since 1970, now.
///
/// # Panics
/// When the machine's clock is before 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("the milliseconds fit for a long time")
}

/// A batch to be sent.
#[derive(Clone, Debug)]
pub struct Batch {
    records: Vec<Record>,
    codec: Compression,
}

impl Batch {
    /// Records without keys, written now.
    pub fn of<V: AsRef<[u8]>>(values: &[V]) -> Self {
        let now = now_ms();
        let records = values.iter().enumerate().map(|(at, value)| {
            let at = i32::try_from(at).expect("a test's batch is small");
            Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
                producer_id: NO_PRODUCER_ID,
                producer_epoch: NO_PRODUCER_EPOCH,
                timestamp_type: TimestampType::Creation,
                offset: i64::from(at),
                sequence: NO_SEQUENCE + at,
                timestamp: now,
                key: None,
                value: Some(Bytes::copy_from_slice(value.as_ref())),
                headers: IndexMap::new(),
            }
        });
        Self { records: records.collect(), codec: Compression::None }
    }

    /// One record of this many bytes that no codec makes smaller.
    pub fn of_size(bytes: usize) -> Self {
        let value: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
        Self::of(&[value])
    }

    /// The same with these times, in milliseconds, one a record.
    #[must_use]
    pub fn at(mut self, times_ms: &[i64]) -> Self {
        for (record, time) in self.records.iter_mut().zip(times_ms) {
            record.timestamp = *time;
        }
        self
    }

    /// The same from an idempotent producer.
    #[must_use]
    pub fn from_producer(mut self, id: i64, epoch: i16, first_sequence: i32) -> Self {
        for (record, at) in self.records.iter_mut().zip(0..) {
            record.producer_id = id;
            record.producer_epoch = epoch;
            record.sequence = first_sequence + at;
        }
        self
    }

    /// The same as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        for record in &mut self.records {
            record.transactional = true;
        }
        self
    }

    /// The same, compressed.
    #[must_use]
    pub fn compressed(mut self, codec: Compression) -> Self {
        self.codec = codec;
        self
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When the codec can't write it.
    pub fn bytes(&self) -> Bytes {
        let options = RecordEncodeOptions { version: 2, compression: self.codec };
        let mut bytes = BytesMut::new();
        RecordBatchEncoder::encode(&mut bytes, &self.records, &options).expect("it can be written");
        bytes.freeze()
    }
}

/// The batch with other bytes at a position and the checksum that they ask for.
pub fn patched(batch: &[u8], at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = batch.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&batch[position::CRC.end..]);
    batch[position::CRC].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

/// All records in the batches; control records too.
///
/// # Panics
/// When they aren't whole batches.
pub fn records_in(mut batches: Bytes) -> Vec<Record> {
    let sets = RecordBatchDecoder::decode_all(&mut batches).expect("they are whole batches");
    sets.into_iter().flat_map(|set| set.records).collect()
}

/// The values of all records in the batches but control records.
///
/// # Panics
/// When they aren't whole batches, or a value isn't text.
pub fn values_in(batches: Bytes) -> Vec<String> {
    let records = records_in(batches).into_iter().filter(|record| !record.control);
    records
        .map(|record| {
            let value = record.value.expect("the tests' records have values");
            String::from_utf8(value.to_vec()).expect("the tests' values are text")
        })
        .collect()
}
