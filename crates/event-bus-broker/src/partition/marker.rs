//! Transaction markers: the control batch that ends a transaction in a partition.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::log::batch::{HEADER_BYTES, PREFIX_BYTES, seal};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Commit,
    Abort,
}

/// The batch's attributes: a control batch of a transactional producer, uncompressed.
const ATTRIBUTES: i16 = 0x30;
/// Version of a marker's key and of its value.
const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// The coordinator never moves on one node.
pub(crate) const COORDINATOR_EPOCH: i32 = 0;

/// A marker that ends the transaction of this producer, ready to be appended.
pub(crate) fn batch(producer_id: i64, epoch: i16, outcome: Outcome, now_ms: i64) -> BytesMut {
    let record = record(outcome);
    let length = HEADER_BYTES - PREFIX_BYTES + record.len();
    let mut batch = BytesMut::with_capacity(HEADER_BYTES + record.len());
    batch.put_i64(0);
    batch.put_i32(i32::try_from(length).expect("a marker has less than 100 bytes"));
    batch.put_i32(0);
    batch.put_u8(2);
    batch.put_u32(0);
    batch.put_i16(ATTRIBUTES);
    batch.put_i32(0);
    batch.put_i64(now_ms);
    batch.put_i64(now_ms);
    batch.put_i64(producer_id);
    batch.put_i16(epoch);
    batch.put_i32(-1);
    batch.put_i32(1);
    batch.put_slice(&record);
    seal(&mut batch);
    batch
}

/// The only record: attributes and deltas are 0, the key says how the transaction ended, the value who said so. All
/// lengths are below 64, so that their zigzag varints take one byte.
fn record(outcome: Outcome) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_slice(&[0, 0, 0]);
    body.put_u8(zigzag(4));
    body.put_i16(VERSION);
    body.put_i16(if outcome == Outcome::Commit { COMMIT } else { ABORT });
    body.put_u8(zigzag(6));
    body.put_i16(VERSION);
    body.put_i32(COORDINATOR_EPOCH);
    body.put_u8(zigzag(0));
    let mut record = BytesMut::with_capacity(body.len() + 1);
    record.put_u8(zigzag(u8::try_from(body.len()).expect("a marker's record has 17 bytes")));
    record.put_slice(&body);
    record
}

const fn zigzag(small: u8) -> u8 {
    small * 2
}

/// How the transaction ended that the control batch in `batch` is about; `None` when it is no such marker.
pub(crate) fn outcome(batch: &Bytes) -> Option<Outcome> {
    let mut record = batch.get(HEADER_BYTES..)?;
    // Length, attributes, two deltas and the key's length: one byte each in what `record` writes, and in what Kafka
    // writes too.
    if record.len() < 5 + 4 || record[4] != zigzag(4) {
        return None;
    }
    record.advance(5 + 2);
    match record.get_i16() {
        COMMIT => Some(Outcome::Commit),
        ABORT => Some(Outcome::Abort),
        _ => None,
    }
}
