use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchResponse, ProducerId, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tempfile::TempDir;
use uuid::Uuid;

use crate::config::Durability;
use crate::fetch::{PartitionAnswer, TopicKey, encode};
use crate::log::{BatchHeader, Flusher, LogSettings, Window};
use crate::partition::{Batch, Isolation, Membership, Partition, Records, Slice};
use crate::server::Body;

/// Enough records for them to be read while they are sent, and the same records in memory.
fn stretch() -> (TempDir, PartitionAnswer, Bytes) {
    let dir = TempDir::new().unwrap();
    let flusher = Flusher::start(Durability::Lazy);
    let partition =
        Partition::open(Some(dir.path()), ("orders", 0), LogSettings::default(), flusher).unwrap();
    let bytes = Batch::of(3).with_value_bytes(20_000).encode();
    let header = BatchHeader::check(&bytes).unwrap();
    let _shown = partition.append(&header, &bytes, Membership::Verified, 0).unwrap();
    let isolation = Isolation::Uncommitted;
    let slice = Slice { from: 0, max_bytes: 1_000_000, at_least_one: true, isolation };
    let Records::OnDisk(stretch) = partition.read(slice).unwrap().records else {
        panic!("many records are not held")
    };
    let mut window = Window::default();
    let mut again = stretch.clone();
    let held = Bytes::copy_from_slice(again.next(&mut window).unwrap().unwrap());
    (dir, PartitionAnswer { data: data(0), stretch: Some(stretch) }, held)
}

fn data(index: i32) -> PartitionData {
    let aborted = AbortedTransaction::default().with_producer_id(ProducerId(7));
    PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(3)
        .with_last_stable_offset(2)
        .with_log_start_offset(1)
        .with_aborted_transactions(Some(vec![aborted]))
        .with_records(Some(Bytes::from_static(b"some records")))
}

fn written(body: Body) -> BytesMut {
    let mut bytes = BytesMut::new();
    let mut window = Window::default();
    for (before, mut stretch) in body.stretches {
        bytes.extend_from_slice(&before);
        while let Some(piece) = stretch.next(&mut window).unwrap() {
            bytes.extend_from_slice(piece);
        }
    }
    bytes.extend_from_slice(&body.rest);
    bytes
}

#[test]
fn an_answer_has_the_bytes_that_the_codec_writes_in_each_version() {
    let id = Uuid::from_u128(5);
    for version in 4..=18 {
        let key = |name| match version {
            13.. => TopicKey::Id(id),
            _ => TopicKey::Name(TopicName(StrBytes::from_static_str(name))),
        };
        let (_dir, streamed, held) = stretch();
        let answers = vec![
            (key("orders"), data(1).into()),
            (key("orders"), streamed),
            (key("orders"), data(2).into()),
        ];
        let topic = FetchableTopicResponse::default().with_partitions(vec![
            data(1),
            data(0).with_records(Some(held)),
            data(2),
        ]);
        let topic = match key("orders") {
            TopicKey::Id(id) => topic.with_topic_id(id),
            TopicKey::Name(name) => topic.with_topic(name),
        };
        let session_id = if version >= 7 { 9 } else { 0 };
        let response =
            FetchResponse::default().with_session_id(session_id).with_responses(vec![topic]);
        let mut expected = BytesMut::new();
        response.encode(&mut expected, version).unwrap();

        let body = encode(session_id, answers, version).unwrap();
        assert_eq!(body.stretches.len(), 1);
        assert_eq!(body.len(), expected.len(), "version {version}");
        assert_eq!(written(body), expected, "version {version}");
    }
}

#[test]
fn an_answer_about_nothing_has_no_topics() {
    for version in 4..=18 {
        let mut expected = BytesMut::new();
        FetchResponse::default().encode(&mut expected, version).unwrap();
        assert_eq!(written(encode(0, Vec::new(), version).unwrap()), expected);
    }
}
