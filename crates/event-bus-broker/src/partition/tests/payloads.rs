use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::records::Compression;

use super::fixtures::{Batch, NOW_MS, in_memory};
use crate::log::{LogSettings, batch};
use crate::partition::{Partition, PayloadError};

const VERSION: i16 = 9;

fn error(partition: &Partition, payload: &[u8], version: i16) -> Option<ResponseError> {
    partition.check(payload, version, NOW_MS).err().map(|error| error.response_error())
}

fn changed(batch: &Bytes, change: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::from(batch.as_ref());
    change(&mut bytes);
    batch::seal(&mut bytes);
    bytes.freeze()
}

#[test]
fn one_whole_batch_is_taken() {
    let payload = Batch::of(3).encode();
    let partition = in_memory();
    let (header, batch) = partition.check(&payload, VERSION, NOW_MS).unwrap();
    assert_eq!((header.count, batch.len()), (3, payload.len()));
}

#[test]
fn nothing_a_part_and_two_batches_are_invalid() {
    let partition = in_memory();
    let batch = Batch::of(1).encode();
    let invalid = Some(ResponseError::InvalidRecord);
    assert_eq!(error(&partition, &[], VERSION), invalid);
    assert_eq!(error(&partition, &batch[..batch.len() - 1], VERSION), invalid);
    assert_eq!(error(&partition, &[&batch[..], &batch[..]].concat(), VERSION), invalid);
}

#[test]
fn a_changed_byte_is_corrupt() {
    let partition = in_memory();
    let batch = Batch::of(1).encode();
    // In the CRC, the count of records, and the last record.
    for at in [17, 57, batch.len() - 1] {
        let mut damaged = BytesMut::from(batch.as_ref());
        damaged[at] ^= 1;
        let error = error(&partition, &damaged, VERSION);
        assert_eq!(error, Some(ResponseError::CorruptMessage), "byte {at}");
    }
}

#[test]
fn what_only_brokers_write_is_invalid() {
    let partition = in_memory();
    let plain = Batch::of(1).encode();
    let control = changed(&plain, |bytes| bytes[22] |= 0x20);
    let placed = changed(&plain, |bytes| bytes[7] = 9);
    let miscounted = changed(&plain, |bytes| bytes[26] = 4);
    let unsequenced = Batch::of(1).by(7, 0, -1).encode();
    for payload in [control, placed, miscounted, unsequenced] {
        assert_eq!(error(&partition, &payload, VERSION), Some(ResponseError::InvalidRecord));
    }
}

#[test]
fn old_formats_are_invalid() {
    let old = changed(&Batch::of(1).encode(), |bytes| bytes[16] = 1);
    assert_eq!(error(&in_memory(), &old, VERSION), Some(ResponseError::InvalidRecord));
}

#[test]
fn zstd_needs_version_seven() {
    let payload = Batch::of(1).compressed(Compression::Zstd).encode();
    let partition = in_memory();
    let unsupported = Some(ResponseError::UnsupportedCompressionType);
    assert_eq!(error(&partition, &payload, 6), unsupported);
    assert_eq!(error(&partition, &payload, 7), None);
}

#[test]
fn a_batch_above_the_topics_bound_is_too_large() {
    let partition = in_memory();
    partition.configure(LogSettings { max_message_bytes: 200, ..LogSettings::default() });
    let payload = Batch::of(1).with_value_bytes(200).encode();
    assert_eq!(error(&partition, &payload, VERSION), Some(ResponseError::MessageTooLarge));
    assert_eq!(error(&partition, &Batch::of(1).encode(), VERSION), None);
}

#[test]
fn times_outside_of_the_topics_bounds_are_invalid() {
    let partition = in_memory();
    let hour_ms = 60 * 60 * 1000;
    let ahead = |ms| Batch::of(1).at(NOW_MS + ms).encode();
    let invalid = Some(ResponseError::InvalidTimestamp);
    assert_eq!(error(&partition, &ahead(hour_ms), VERSION), None);
    assert_eq!(error(&partition, &ahead(hour_ms + 1), VERSION), invalid);
    assert_eq!(error(&partition, &ahead(-hour_ms), VERSION), None);
    let settings = LogSettings { timestamp_before_max_ms: 1_000, ..LogSettings::default() };
    partition.configure(settings);
    assert_eq!(error(&partition, &ahead(-1_000), VERSION), None);
    assert_eq!(error(&partition, &ahead(-1_001), VERSION), invalid);
}

#[test]
fn a_compacted_topic_says_which_records_have_no_key() {
    let partition = in_memory();
    let mut settings = LogSettings::default();
    settings.cleanup.compact = true;
    partition.configure(settings);
    for compression in [Compression::None, Compression::Gzip] {
        let keyless = Batch::of(2).without_keys().compressed(compression).encode();
        match partition.check(&keyless, VERSION, NOW_MS) {
            Err(PayloadError::Keyless { indexes }) => assert_eq!(indexes, [0, 1]),
            other => panic!("{other:?}"),
        }
        let keyed = Batch::of(2).compressed(compression).encode();
        assert_eq!(error(&partition, &keyed, VERSION), None);
    }
}
