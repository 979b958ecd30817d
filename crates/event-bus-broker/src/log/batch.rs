//! A record batch (magic 2) as bytes: its header, whether it is whole and unharmed, and the few fields that a
//! broker writes into it.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{Compression, TimestampType};

/// Bytes of a batch before its records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before those that the length field counts: base offset and the length itself.
pub(crate) const PREFIX_BYTES: usize = 12;
/// What the CRC covers begins here: attributes and all after them. Base offset, length, leader epoch and magic stand
/// before it, so that a broker can set the offset without touching the CRC.
const CRC_FROM: usize = 21;
/// The only format that is stored. Older ones have no producer ids, no headers and no CRC over the batch.
const MAGIC: u8 = 2;
/// The leader never changes on one node, so each stored batch has this epoch, and another one is damage.
pub(crate) const LEADER_EPOCH: i32 = 0;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// Why bytes are not a batch that can be stored or served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch has {actual} of its {expected} bytes")]
    Incomplete { expected: usize, actual: usize },
    /// The length field is shorter than a header, or negative.
    #[error("the batch's length field says {length}, and no batch is that short")]
    Length { length: i32 },
    /// A format that is not stored.
    #[error(
        "the batch has magic {magic}; only format 2 is stored: use a client of Kafka 0.11 or later"
    )]
    Magic { magic: u8 },
    /// The bytes changed on their way, or on the disk.
    #[error("the batch's CRC is {stored:08x}, that of its bytes {actual:08x}")]
    Crc { stored: u32, actual: u32 },
    /// The codec's number is none of Kafka's.
    #[error("the batch names compression codec {codec}, which does not exist")]
    Codec { codec: i16 },
    /// Record count and last offset delta exclude each other, or are negative.
    #[error("the batch counts {count} records and has last offset delta {last_offset_delta}")]
    Count { count: i32, last_offset_delta: i32 },
}

/// The header of a batch, read once and passed around instead of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Offset of the first record that the batch had when it was appended; compaction keeps it.
    pub base_offset: i64,
    /// Size of the whole batch with its prefix, in bytes.
    pub bytes: usize,
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// Milliseconds since 1970 that the records' time deltas count from.
    pub first_timestamp: i64,
    /// The latest record's time, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// -1 without idempotence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Number of records; 0 in a batch of which compaction left only the header.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header at the beginning of `bytes`, which may be shorter than the batch. Does not look at the CRC.
    ///
    /// # Errors
    /// When there is no plausible header.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::fields(bytes)?;
        header.check_count()?;
        Ok(header)
    }

    /// A count that excludes the offsets would make a batch of nothing, or of more than there is.
    fn check_count(&self) -> Result<(), BatchError> {
        let Self { count, last_offset_delta, .. } = *self;
        if count < 0 || last_offset_delta < 0 || i64::from(count) > i64::from(last_offset_delta) + 1
        {
            return Err(BatchError::Count { count, last_offset_delta });
        }
        Ok(())
    }

    fn fields(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Incomplete { expected: HEADER_BYTES, actual: bytes.len() });
        };
        let length = i32_at(header, 8);
        let whole = usize::try_from(length).map(|length| length + PREFIX_BYTES);
        let whole = match whole {
            Ok(whole) if whole >= HEADER_BYTES => whole,
            _ => return Err(BatchError::Length { length }),
        };
        if header[16] != MAGIC {
            return Err(BatchError::Magic { magic: header[16] });
        }
        Ok(Self {
            base_offset: i64_at(header, 0),
            bytes: whole,
            leader_epoch: i32_at(header, 12),
            crc: u32::from_be_bytes(array_at(header, 17)),
            attributes: i16_at(header, 21),
            last_offset_delta: i32_at(header, 23),
            first_timestamp: i64_at(header, 27),
            max_timestamp: i64_at(header, 35),
            producer_id: i64_at(header, 43),
            producer_epoch: i16_at(header, 51),
            base_sequence: i32_at(header, 53),
            count: i32_at(header, 57),
        })
    }

    /// Reads the batch at the beginning of `bytes` and checks that it is whole and unharmed. More bytes may follow.
    ///
    /// # Errors
    /// When the bytes are no whole batch, or not what its CRC says.
    pub fn check(bytes: &[u8]) -> Result<Self, BatchError> {
        // The count is looked at last: one that was damaged on its way is told by the CRC.
        let header = Self::fields(bytes)?;
        let Some(batch) = bytes.get(..header.bytes) else {
            return Err(BatchError::Incomplete { expected: header.bytes, actual: bytes.len() });
        };
        let actual = crc32c::crc32c(&batch[CRC_FROM..]);
        if actual != header.crc {
            return Err(BatchError::Crc { stored: header.crc, actual });
        }
        header.check_count()?;
        header.compression()?;
        Ok(header)
    }

    /// The batch's last offset, whether or not compaction left that record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The sequence number of the last record; it wraps around as Kafka's does. -1 without one.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last % (i64::from(i32::MAX) + 1)).expect("a remainder by 2^31 fits")
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is a transaction marker.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether `first_timestamp` is the time at which compaction may remove the batch's tombstones (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON != 0
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME != 0 {
            TimestampType::LogAppend
        } else {
            TimestampType::Creation
        }
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// When the codec's number is unknown.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        match self.attributes & CODEC_MASK {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            codec => Err(BatchError::Codec { codec }),
        }
    }
}

/// Writes what the log decides into a batch's header: its base offset, and this node's leader epoch. The CRC covers
/// neither.
pub(crate) fn place(header: &mut [u8; HEADER_BYTES], base_offset: i64) {
    header[..8].copy_from_slice(&base_offset.to_be_bytes());
    header[12..16].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
}

/// Gives all records of the batch the time at which the log took them (`message.timestamp.type=LogAppendTime`).
pub(crate) fn stamp_append_time(batch: &mut BytesMut, now_ms: i64) {
    let attributes = i16_at(batch, 21) | LOG_APPEND_TIME;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&now_ms.to_be_bytes());
    seal(batch);
}

/// What changes in a batch's header when some of its records are removed.
pub(super) struct Rewritten {
    pub records: usize,
    pub first_timestamp: i64,
    pub max_timestamp: i64,
    pub has_delete_horizon: bool,
}

/// The batch with other records: fewer than before, `packed` as its codec does it. Offsets, producer and sequence stay.
pub(super) fn rewritten(old: &[u8], fields: &Rewritten, packed: &[u8]) -> (BatchHeader, Bytes) {
    let mut batch = BytesMut::with_capacity(HEADER_BYTES + packed.len());
    batch.extend_from_slice(&old[..HEADER_BYTES]);
    batch.extend_from_slice(packed);
    let horizon = if fields.has_delete_horizon { DELETE_HORIZON } else { 0 };
    let attributes = (i16_at(&batch, 21) & !DELETE_HORIZON) | horizon;
    let count = i32::try_from(fields.records).expect("a batch that is stored counts with an i32");
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[27..35].copy_from_slice(&fields.first_timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&fields.max_timestamp.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    closed(batch)
}

/// The batch without its records, for its producer's sake.
pub(super) fn emptied(header: &BatchHeader, old: &[u8]) -> (BatchHeader, Bytes) {
    let BatchHeader { first_timestamp, max_timestamp, .. } = *header;
    let has_delete_horizon = header.has_delete_horizon();
    let fields = Rewritten { records: 0, first_timestamp, max_timestamp, has_delete_horizon };
    rewritten(old, &fields, &[])
}

/// An empty batch of nobody that covers the offsets from `from` up to `to`, or as many of them as one can.
pub(super) fn placeholder(from: i64, to: i64) -> (BatchHeader, Bytes) {
    let last_offset_delta = i32::try_from(to - from - 1).unwrap_or(i32::MAX);
    let mut batch = [0; HEADER_BYTES];
    batch[16] = MAGIC;
    batch[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    // No times, no producer, no epoch and no sequence: each is -1.
    batch[27..57].fill(0xff);
    place(&mut batch, from);
    closed(BytesMut::from(&batch[..]))
}

/// Completes a batch whose header has everything but length and CRC.
fn closed(mut batch: BytesMut) -> (BatchHeader, Bytes) {
    let length =
        i32::try_from(batch.len() - PREFIX_BYTES).expect("it is no longer than the old one");
    batch[8..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    seal(&mut batch);
    let header = BatchHeader::parse(&batch).expect("a header was written a moment ago");
    (header, batch.freeze())
}

/// Writes the CRC of what it covers.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("callers pass at least a whole header")
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at))
}
