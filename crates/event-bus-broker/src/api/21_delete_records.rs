//! DeleteRecords (key 21), versions 0 to 2: moves a partition's start to an offset, or with -1 to its high watermark.

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse};

use super::{Api, Call};
use crate::access::Operation;

/// As an offset: the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// The start of a partition whose records could not be deleted.
const NO_OFFSET: i64 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DeleteRecords, 0..=2, handle)
}

async fn handle(call: Call, request: DeleteRecordsRequest) -> Option<DeleteRecordsResponse> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let before = (asked.offset != HIGH_WATERMARK).then_some(asked.offset);
            let start = call
                .check_topic(Operation::Delete, &topic.name)
                .and_then(|()| call.node.topics.partition(&topic.name, index))
                .and_then(|partition| partition.delete_records(before));
            let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
            match start {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_low_watermark(NO_OFFSET).with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    Some(DeleteRecordsResponse::default().with_topics(topics.collect()))
}
