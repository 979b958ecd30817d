use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, CreateTopicsRequest, FetchRequest, MetadataRequest,
    OffsetCommitRequest, ProduceRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::{Encodable, Message, StrBytes};
use proptest::prelude::*;

use super::*;

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn produce(record_bytes: usize) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(3)
        .with_records(Some(Bytes::from(vec![7; record_bytes])));
    let topic = TopicProduceData::default()
        .with_name(topic_name())
        .with_partition_data(vec![partition.clone(), partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic.clone(), topic])
}

fn create_topics() -> CreateTopicsRequest {
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("cleanup.policy"))
        .with_value(Some(StrBytes::from_static_str("compact")));
    let topic = CreatableTopic::default()
        .with_name(topic_name())
        .with_num_partitions(1_000_000)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(i32::MAX)
}

fn add_partitions() -> AddPartitionsToTxnRequest {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(topic_name())
        .with_partitions(vec![0, 1, 2_000_000]);
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_verify_only(true)
        .with_topics(vec![topic.clone(), topic]);
    AddPartitionsToTxnRequest::default().with_transactions(vec![transaction.clone(), transaction])
}

fn offset_commit() -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(i64::MAX)
        .with_committed_metadata(Some(StrBytes::from_static_str("m")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name())
        .with_partitions(vec![partition.clone(), partition]);
    OffsetCommitRequest::default().with_topics(vec![topic])
}

fn sync_group(bytes: usize) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(StrBytes::from_static_str("member"))
        .with_assignment(Bytes::from(vec![1; bytes]));
    SyncGroupRequest::default().with_assignments(vec![assignment.clone(), assignment])
}

fn encoded<R: Encodable>(request: &R, version: i16) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).ok()?;
    Some(bytes.freeze())
}

/// All versions of a request that can say what it says.
fn samples<R: Encodable + Message>(request: &R) -> Vec<(i16, Bytes)> {
    let versions = R::VERSIONS.min..=R::VERSIONS.max;
    versions.filter_map(|version| Some((version, encoded(request, version)?))).collect()
}

/// The codec's own answer and the guarded one are the same.
fn decodes<R: Encodable + Decodable + Message + PartialEq + std::fmt::Debug>(request: &R) {
    let samples = samples(request);
    assert!(!samples.is_empty());
    for (version, bytes) in samples {
        let plain = R::decode(&mut bytes.clone(), version).unwrap();
        assert_eq!(decode::<R>(&bytes, version).unwrap(), plain, "version {version}");
    }
}

#[test]
fn honest_requests_are_decoded_as_ever() {
    decodes(&produce(100));
    decodes(&create_topics());
    decodes(&add_partitions());
    decodes(&offset_commit());
    decodes(&sync_group(10));
    decodes(&FetchRequest::default().with_max_wait_ms(i32::MAX).with_max_bytes(i32::MAX));
}

#[test]
fn byte_strings_may_be_longer_than_any_list() {
    decodes(&produce(MAX_VALUES + 1));
    decodes(&produce(3 * MAX_VALUES));
    decodes(&sync_group(2 * MAX_VALUES));
}

#[test]
fn a_list_that_announces_more_than_there_is_is_refused() {
    // In version 0 a metadata request is a list of names; from version 9 on the length is compact.
    for announced in [65, 1_000_000, 1_000_001, i32::MAX] {
        let mut bytes = BytesMut::new();
        bytes.put_i32(announced);
        bytes.put_i16(0);
        assert!(decode::<MetadataRequest>(&bytes.freeze(), 0).is_err());
    }
    for length in [&b"\xff\xff\xff\xff\x0f"[..], b"\xff\xff\xff\x07", b"\xc2\x00", b"\xff\x7f"] {
        let bytes = Bytes::from([length, b"\x01\x00"].concat());
        assert!(decode::<MetadataRequest>(&bytes, 12).is_err());
    }
}

#[test]
fn a_list_of_more_values_than_a_request_may_hold_is_refused() {
    let names = vec![MetadataRequestTopic::default().with_name(Some(topic_name())); MAX_VALUES];
    let request = MetadataRequest::default().with_topics(Some(names));
    for version in [0, 9] {
        let refused = decode::<MetadataRequest>(&encoded(&request, version).unwrap(), version);
        assert!(refused.unwrap_err().to_string().contains("values"));
    }
}

/// Every number handed out as a possible list length is bounded by what is left: read a number at each position.
#[test]
fn no_number_larger_than_what_is_left_is_handed_out() {
    for left in [0_usize, 10, 1_000, MAX_VALUES + 100] {
        let mut bytes = BytesMut::new();
        bytes.put_i32(i32::MAX);
        bytes.put_bytes(0, left);
        let mut guarded = Guarded::new(bytes.freeze());
        let handed_out = usize::try_from(guarded.try_get_i32().unwrap()).unwrap();
        assert!(handed_out <= left.clamp(SMALL, MAX_VALUES) + 1);
    }
}

/// Decodes bytes as each of the requests; a lie about a length would end the process here.
fn decode_as_all(bytes: &Bytes, version: i16) {
    let _ = decode::<ProduceRequest>(bytes, version);
    let _ = decode::<FetchRequest>(bytes, version);
    let _ = decode::<MetadataRequest>(bytes, version);
    let _ = decode::<CreateTopicsRequest>(bytes, version);
    let _ = decode::<AddPartitionsToTxnRequest>(bytes, version);
    let _ = decode::<OffsetCommitRequest>(bytes, version);
    let _ = decode::<SyncGroupRequest>(bytes, version);
}

/// Numbers that lie when they stand where a length does.
const LIES: [&[u8]; 5] = [
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x7f\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\x7f",
];

#[test]
fn a_lie_at_any_place_costs_nothing() {
    let all = [
        samples(&produce(20)),
        samples(&create_topics()),
        samples(&add_partitions()),
        samples(&offset_commit()),
        samples(&sync_group(5)),
    ];
    for (version, honest) in all.into_iter().flatten() {
        for at in 0..honest.len() {
            for lie in LIES {
                let end = (at + lie.len()).min(honest.len());
                let bytes = [&honest[..at], lie, &honest[end..]].concat();
                decode_as_all(&bytes.into(), version);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..400), version in 0_i16..14,
    ) {
        decode_as_all(&bytes.into(), version);
    }
}
