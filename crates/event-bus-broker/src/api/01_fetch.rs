//! Fetch (key 1), versions 4 to 18: reads batches, and waits until there are enough (long poll). Sessions as of KIP-227
//! from version 7 on; topics are named by id from version 13 on.
//!
//! Version 18's field, a follower's high watermark, is for replicas, of which there are none.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};

use super::{Api, Call, CallError, encode};
use crate::access::Operation;
use crate::clock;
use crate::fetch::{self, Limits, Target, TopicKey, Wanted, collect};
use crate::partition::{Isolation, Partition, check_leader_epoch};
use crate::server::Body;

pub(super) fn api() -> Api {
    Api::encoding(ApiKey::Fetch, 4..=18, handle).waiting()
}

async fn handle(call: Call, request: FetchRequest) -> Result<Option<Body>, CallError> {
    let sessions = &call.node.fetch_sessions;
    let begun = match sessions.begin(&request, call.version, clock::now_ms()) {
        Ok(begun) => begun,
        Err(error) => {
            let refused = FetchResponse::default().with_error_code(error.code());
            return encode(ApiKey::Fetch, &refused, call.version).map(Some);
        }
    };
    let targets: Vec<Target> = begun.wanted.iter().map(|wanted| target(&call, wanted)).collect();
    let limits = Limits {
        min_bytes: request.min_bytes,
        max_bytes: request.max_bytes,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        isolation: Isolation::from(request.isolation_level),
    };
    let found = targets.iter().filter_map(|target| target.partition.as_ref().ok());
    call.node.faults.slow_fetch(found.map(|found| (found.topic(), found.index()))).await;
    let answers = collect(&targets, limits).await;
    let (session_id, answers) = sessions.finish(&begun, answers, clock::now_ms());
    let version = call.version;
    fetch::encode(session_id, answers, version)
        .map(Some)
        .map_err(|source| CallError::Unanswerable { api: ApiKey::Fetch, version, source })
}

fn target(call: &Call, wanted: &Wanted) -> Target {
    Target {
        index: wanted.partition,
        fetch_offset: wanted.fetch_offset,
        max_bytes: wanted.max_bytes,
        partition: check_leader_epoch(wanted.current_leader_epoch)
            .and_then(|()| partition(call, wanted)),
    }
}

fn partition(call: &Call, wanted: &Wanted) -> Result<Arc<Partition>, ResponseError> {
    let topics = &call.node.topics;
    match &wanted.topic {
        TopicKey::Name(name) => {
            call.check_topic(Operation::Read, name)?;
            topics.partition(name, wanted.partition)
        }
        TopicKey::Id(id) => {
            let topic = topics.topic_by_id(*id).ok_or(ResponseError::UnknownTopicId)?;
            call.check_topic(Operation::Read, &topic.name)?;
            let partition = topic.partition(wanted.partition).cloned();
            partition.ok_or(ResponseError::UnknownTopicOrPartition)
        }
    }
}
