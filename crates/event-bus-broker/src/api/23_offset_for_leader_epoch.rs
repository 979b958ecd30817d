//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where a leader epoch ended. The only epoch there is has not ended,
//! so that its end is the partition's.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ApiKey, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

use super::{Api, Call};
use crate::access::Operation;
use crate::node::LEADER_EPOCH;
use crate::partition::check_leader_epoch;

/// The epoch, and the end, of an epoch that never was.
const UNDEFINED: i32 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::OffsetForLeaderEpoch, 2..=4, handle)
}

async fn handle(
    call: Call,
    request: OffsetForLeaderEpochRequest,
) -> Option<OffsetForLeaderEpochResponse> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let response = EpochEndOffset::default().with_partition(asked.partition);
            match end_of(&call, &topic.topic, asked) {
                Ok((epoch, end)) => response.with_leader_epoch(epoch).with_end_offset(end),
                Err(error) => response
                    .with_error_code(error.code())
                    .with_leader_epoch(UNDEFINED)
                    .with_end_offset(i64::from(UNDEFINED)),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    Some(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

fn end_of(
    call: &Call,
    topic: &TopicName,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    call.check_topic(Operation::Describe, topic)?;
    let partition = call.node.topics.partition(topic, asked.partition)?;
    check_leader_epoch(asked.current_leader_epoch)?;
    Ok(match asked.leader_epoch {
        LEADER_EPOCH => (LEADER_EPOCH, partition.bounds().high_watermark),
        _ => (UNDEFINED, i64::from(UNDEFINED)),
    })
}
