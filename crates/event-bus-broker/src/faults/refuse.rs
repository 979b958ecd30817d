//! Answers that say an error and nothing else, for the APIs that scripts may refuse.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, DescribeClusterRequest,
    DescribeClusterResponse, EndTxnRequest, EndTxnResponse, HeartbeatRequest, HeartbeatResponse,
    InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::{Encodable, Request};

use super::answers;
use crate::api::CallError;
use crate::server::shape;

/// Answers a request of one API by an error, `None` where the protocol has no answer.
type Refuse = fn(&Bytes, i16, ResponseError) -> Result<Option<BytesMut>, CallError>;

/// The APIs that can be refused, and how.
const REFUSALS: &[(ApiKey, &str, Refuse)] = &[
    (ApiKey::Produce, "Produce", |body, version, error| {
        answer(body, version, |request| answers::produce(request, error))
    }),
    (ApiKey::Fetch, "Fetch", |body, version, error| {
        always(body, version, |request| answers::fetch(request, error))
    }),
    (ApiKey::ListOffsets, "ListOffsets", |body, version, error| {
        always(body, version, |request| answers::list_offsets(request, error))
    }),
    (ApiKey::OffsetCommit, "OffsetCommit", |body, version, error| {
        always(body, version, |request| answers::offset_commit(request, error))
    }),
    (ApiKey::OffsetFetch, "OffsetFetch", |body, version, error| {
        always(body, version, |request| answers::offset_fetch(request, version, error))
    }),
    (ApiKey::FindCoordinator, "FindCoordinator", |body, version, error| {
        always(body, version, |request| answers::find_coordinator(request, version, error))
    }),
    (ApiKey::JoinGroup, "JoinGroup", |body, version, error| {
        always(body, version, |_: JoinGroupRequest| {
            JoinGroupResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::Heartbeat, "Heartbeat", |body, version, error| {
        always(body, version, |_: HeartbeatRequest| {
            HeartbeatResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::LeaveGroup, "LeaveGroup", |body, version, error| {
        always(body, version, |_: LeaveGroupRequest| {
            LeaveGroupResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::SyncGroup, "SyncGroup", |body, version, error| {
        always(body, version, |_: SyncGroupRequest| {
            SyncGroupResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::ListGroups, "ListGroups", |body, version, error| {
        always(body, version, |_: ListGroupsRequest| {
            ListGroupsResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::CreateTopics, "CreateTopics", |body, version, error| {
        always(body, version, |request| answers::create_topics(request, error))
    }),
    (ApiKey::DeleteTopics, "DeleteTopics", |body, version, error| {
        always(body, version, |request| answers::delete_topics(request, error))
    }),
    (ApiKey::InitProducerId, "InitProducerId", |body, version, error| {
        always(body, version, |_: InitProducerIdRequest| {
            InitProducerIdResponse::default()
                .with_error_code(error.code())
                .with_producer_id((-1).into())
                .with_producer_epoch(-1)
        })
    }),
    (ApiKey::AddPartitionsToTxn, "AddPartitionsToTxn", |body, version, error| {
        always(body, version, |request| answers::add_partitions(request, version, error))
    }),
    (ApiKey::AddOffsetsToTxn, "AddOffsetsToTxn", |body, version, error| {
        always(body, version, |_: AddOffsetsToTxnRequest| {
            AddOffsetsToTxnResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::EndTxn, "EndTxn", |body, version, error| {
        always(body, version, |_: EndTxnRequest| {
            EndTxnResponse::default().with_error_code(error.code())
        })
    }),
    (ApiKey::TxnOffsetCommit, "TxnOffsetCommit", |body, version, error| {
        always(body, version, |request| answers::txn_offset_commit(request, error))
    }),
    (ApiKey::CreatePartitions, "CreatePartitions", |body, version, error| {
        always(body, version, |request| answers::create_partitions(request, error))
    }),
    (ApiKey::DescribeCluster, "DescribeCluster", |body, version, error| {
        always(body, version, |_: DescribeClusterRequest| {
            DescribeClusterResponse::default().with_error_code(error.code())
        })
    }),
];

/// How requests of that API are refused.
pub(super) fn find(key: ApiKey) -> Option<Refuse> {
    REFUSALS.iter().find(|(api, _, _)| *api == key).map(|(_, _, refuse)| *refuse)
}

/// The APIs that can be refused.
pub(super) fn choices() -> Vec<&'static str> {
    REFUSALS.iter().map(|(_, name, _)| *name).collect()
}

/// Answers a request by an error.
///
/// # Errors
/// When the request can't be decoded or the answer not encoded.
pub(crate) fn refuse(
    key: ApiKey,
    body: &Bytes,
    version: i16,
    error: ResponseError,
) -> Result<Option<BytesMut>, CallError> {
    let refuse = find(key).expect("scripts refuse only what can be refused");
    refuse(body, version, error)
}

fn always<R: Request>(
    body: &Bytes,
    version: i16,
    answering: impl FnOnce(R) -> R::Response,
) -> Result<Option<BytesMut>, CallError> {
    answer(body, version, |request| Some(answering(request)))
}

fn answer<R: Request>(
    body: &Bytes,
    version: i16,
    answering: impl FnOnce(R) -> Option<R::Response>,
) -> Result<Option<BytesMut>, CallError> {
    let api = ApiKey::try_from(R::KEY).expect("each request is one of an API");
    let request = shape::decode::<R>(body, version).map_err(|source| CallError::Malformed {
        api,
        version,
        source,
    })?;
    let Some(answer) = answering(request) else { return Ok(None) };
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes, version).map_err(|source| CallError::Unanswerable {
        api,
        version,
        source,
    })?;
    Ok(Some(bytes))
}
