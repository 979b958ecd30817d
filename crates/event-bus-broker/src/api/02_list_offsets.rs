//! ListOffsets (key 2), versions 1 to 10: a partition's first and last offset, that of its latest time (from version 7
//! on), and the first one at or after a time.
//!
//! There is no tiered storage: the earliest local offset is the earliest, and the latest tiered one is none.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse};

use super::{Api, Call};
use crate::access::Operation;
use crate::node::LEADER_EPOCH;
use crate::partition::{Isolation, Partition, TimedOffset, check_leader_epoch};

/// The first version that tells leader epochs.
const LEADER_EPOCHS: i16 = 4;
/// Instead of a leader epoch.
const NO_EPOCH: i32 = -1;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// An offset or a time that is none.
const NONE: i64 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::ListOffsets, 1..=10, handle)
}

async fn handle(call: Call, request: ListOffsetsRequest) -> Option<ListOffsetsResponse> {
    let isolation = Isolation::from(request.isolation_level);
    let repeated = repeated(&request);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let found = match repeated.contains(&(topic.name.0.as_str(), index)) {
                true => Err(ResponseError::InvalidRequest),
                false => call
                    .check_topic(Operation::Describe, &topic.name)
                    .and_then(|()| call.node.topics.partition(&topic.name, index))
                    .and_then(|partition| find(&partition, asked, isolation, call.version)),
            };
            response(index, found, call.version)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    Some(ListOffsetsResponse::default().with_topics(topics.collect()))
}

/// Partitions that are asked for more than once, which is refused.
fn repeated(request: &ListOffsetsRequest) -> HashSet<(&str, i32)> {
    let mut seen = HashSet::new();
    let all = request.topics.iter().flat_map(|topic| {
        let name = topic.name.0.as_str();
        topic.partitions.iter().map(move |partition| (name, partition.partition_index))
    });
    all.filter(|partition| !seen.insert(*partition)).collect()
}

fn find(
    partition: &Partition,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
    version: i16,
) -> Result<Option<TimedOffset>, ResponseError> {
    check_leader_epoch(asked.current_leader_epoch)?;
    let at = |offset| Ok(Some(TimedOffset { offset, timestamp_ms: NONE }));
    let bounds = partition.bounds();
    match asked.timestamp {
        LATEST => at(bounds.end(isolation)),
        EARLIEST => at(bounds.log_start),
        MAX_TIMESTAMP if version >= 7 => {
            partition.latest_time(isolation).map_err(|error| error.response_error())
        }
        EARLIEST_LOCAL if version >= 8 => at(bounds.log_start),
        LATEST_TIERED if version >= 9 => Ok(None),
        time if time >= 0 => {
            partition.offset_for_time(time, isolation).map_err(|error| error.response_error())
        }
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

fn response(
    index: i32,
    found: Result<Option<TimedOffset>, ResponseError>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_timestamp(NONE)
        .with_offset(NONE)
        .with_leader_epoch(NO_EPOCH);
    match found {
        Ok(Some(TimedOffset { offset, timestamp_ms })) => response
            .with_timestamp(timestamp_ms)
            .with_offset(offset)
            .with_leader_epoch(if version >= LEADER_EPOCHS { LEADER_EPOCH } else { NO_EPOCH }),
        Ok(None) => response,
        Err(error) => response.with_error_code(error.code()),
    }
}
