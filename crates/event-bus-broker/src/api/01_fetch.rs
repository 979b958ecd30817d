//! Fetch (key 1), versions 4 to 18: reads batches, and waits until there are enough (long poll). Sessions as of KIP-227
//! from version 7 on; topics are named by id from version 13 on.
//!
//! Version 18's field, a follower's high watermark, is for replicas, of which there are none.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};

use super::{Api, Call};
use crate::clock;
use crate::fetch::{Limits, Target, TopicKey, Wanted, collect};
use crate::node::Node;
use crate::partition::{Isolation, Partition, check_leader_epoch};

pub(super) fn api() -> Api {
    Api::new(ApiKey::Fetch, 4..=18, handle).waiting()
}

async fn handle(call: Call, request: FetchRequest) -> Option<FetchResponse> {
    let sessions = &call.node.fetch_sessions;
    let begun = match sessions.begin(&request, call.version, clock::now_ms()) {
        Ok(begun) => begun,
        Err(error) => return Some(FetchResponse::default().with_error_code(error.code())),
    };
    let targets: Vec<Target> =
        begun.wanted.iter().map(|wanted| target(&call.node, wanted)).collect();
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
    Some(FetchResponse::default().with_session_id(session_id).with_responses(by_topic(answers)))
}

fn target(node: &Node, wanted: &Wanted) -> Target {
    Target {
        index: wanted.partition,
        fetch_offset: wanted.fetch_offset,
        max_bytes: wanted.max_bytes,
        partition: check_leader_epoch(wanted.current_leader_epoch)
            .and_then(|()| partition(node, wanted)),
    }
}

fn partition(node: &Node, wanted: &Wanted) -> Result<Arc<Partition>, ResponseError> {
    match &wanted.topic {
        TopicKey::Name(name) => node.topics.partition(name, wanted.partition),
        TopicKey::Id(id) => {
            let topic = node.topics.topic_by_id(*id).ok_or(ResponseError::UnknownTopicId)?;
            let partition = topic.partition(wanted.partition).cloned();
            partition.ok_or(ResponseError::UnknownTopicOrPartition)
        }
    }
}

/// Groups the answers by topic where they follow each other; their order is the one in which they were read.
fn by_topic(answers: Vec<(TopicKey, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(TopicKey, FetchableTopicResponse)> = Vec::new();
    for (key, answer) in answers {
        match topics.last_mut() {
            Some((last, topic)) if *last == key => topic.partitions.push(answer),
            _ => {
                let topic = FetchableTopicResponse::default().with_partitions(vec![answer]);
                let topic = match &key {
                    TopicKey::Name(name) => topic.with_topic(name.clone()),
                    TopicKey::Id(id) => topic.with_topic_id(*id),
                };
                topics.push((key, topic));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}
