use bytes::Bytes;
use kafka_protocol::messages as m;
use kafka_protocol::protocol::Encodable;
use proptest::prelude::*;

use super::*;
use crate::log::LogSettings;

/// Each request that is served, as it says nothing, in each of its versions.
fn samples() -> Vec<(ApiKey, i16, Vec<u8>)> {
    let mut samples = Vec::new();
    macro_rules! sample {
        ($($key:ident: $request:ident,)*) => {$(
            let served = &api::registry()[&(ApiKey::$key as i16)].versions;
            for version in served.clone() {
                let mut body = BytesMut::new();
                m::$request::default().encode(&mut body, version).unwrap();
                samples.push((ApiKey::$key, version, body.to_vec()));
            }
        )*};
    }
    sample! {
        Produce: ProduceRequest, Fetch: FetchRequest, ListOffsets: ListOffsetsRequest,
        Metadata: MetadataRequest, OffsetCommit: OffsetCommitRequest, OffsetFetch: OffsetFetchRequest,
        FindCoordinator: FindCoordinatorRequest, JoinGroup: JoinGroupRequest,
        Heartbeat: HeartbeatRequest, LeaveGroup: LeaveGroupRequest, SyncGroup: SyncGroupRequest,
        DescribeGroups: DescribeGroupsRequest, ListGroups: ListGroupsRequest,
        ApiVersions: ApiVersionsRequest, CreateTopics: CreateTopicsRequest,
        DeleteTopics: DeleteTopicsRequest, DeleteRecords: DeleteRecordsRequest,
        InitProducerId: InitProducerIdRequest, OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
        AddPartitionsToTxn: AddPartitionsToTxnRequest, AddOffsetsToTxn: AddOffsetsToTxnRequest,
        EndTxn: EndTxnRequest, TxnOffsetCommit: TxnOffsetCommitRequest,
        DescribeConfigs: DescribeConfigsRequest, AlterConfigs: AlterConfigsRequest,
        DescribeLogDirs: DescribeLogDirsRequest, CreatePartitions: CreatePartitionsRequest,
        DeleteGroups: DeleteGroupsRequest, IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
        OffsetDelete: OffsetDeleteRequest, DescribeCluster: DescribeClusterRequest,
        DescribeProducers: DescribeProducersRequest,
        DescribeTransactions: DescribeTransactionsRequest, ListTransactions: ListTransactionsRequest,
        ListConfigResources: ListConfigResourcesRequest,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest, SaslHandshake: SaslHandshakeRequest,
        SaslAuthenticate: SaslAuthenticateRequest, DescribeAcls: DescribeAclsRequest,
        CreateAcls: CreateAclsRequest, DeleteAcls: DeleteAclsRequest,
    }
    samples
}

#[test]
fn each_api_has_a_sample_and_none_panics() {
    let samples = samples();
    let mut keys: Vec<i16> = samples.iter().map(|(key, ..)| *key as i16).collect();
    keys.dedup();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(api::registry().keys().copied()), "add a sample for the new API");
    for (key, version, body) in samples {
        exchange(&framed(key, version, &body));
    }
}

/// Bytes of which many are lengths and counts that fit.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0_u8..4, 2 => Just(b't'), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..120)
}

/// A batch of records as a producer would send it.
fn batch() -> Vec<u8> {
    use kafka_protocol::records::{
        Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };
    let records: Vec<_> = (0..3)
        .map(|offset| Record {
            delete_horizon: false,
            transactional: false,
            control: false,
            partition_leader_epoch: 0,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset,
            sequence: -1,
            timestamp: offset,
            key: None,
            value: Some(Bytes::from_static(b"value")),
            headers: kafka_protocol::indexmap::IndexMap::default(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, records.iter(), &options).unwrap();
    bytes.to_vec()
}

fn changed(
    mut bytes: Vec<u8>,
    changes: &[(prop::sample::Index, u8)],
    cut: prop::sample::Index,
) -> Vec<u8> {
    if !bytes.is_empty() {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).min(bytes.len()));
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5)
}

#[test]
fn an_intact_log_is_served() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("00000000000000000000.log"), batch()).unwrap();
    let log = Log::open(Some(dir.path()), LogSettings::default(), |_| {}).unwrap();
    assert_eq!(log.end_offset(), 3);
    recovery(&batch());
}

proptest! {
    #[test]
    fn any_bytes_can_be_sent(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        frames(&bytes);
    }

    #[test]
    fn any_body_can_be_sent(api: u8, version: u8, body in likely_bytes()) {
        frames(&[&[1, api, version], &body[..]].concat());
    }

    #[test]
    fn requests_can_be_changed_anywhere(
        sample: prop::sample::Index, changes in changes(), cut: prop::sample::Index,
    ) {
        let samples = samples();
        let (key, version, body) = sample.get(&samples).clone();
        exchange(&framed(key, version, &changed(body, &changes, cut)));
    }

    #[test]
    fn batches_can_be_changed_anywhere(changes in changes(), cut: prop::sample::Index) {
        let bytes = changed([batch(), batch()].concat(), &changes, cut);
        batches(&bytes);
        recovery(&bytes);
    }
}
