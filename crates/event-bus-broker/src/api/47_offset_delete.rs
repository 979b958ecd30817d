//! OffsetDelete (key 47), version 0: a group's positions in some partitions are forgotten, durably. Topics that its
//! members use are refused (`GROUP_SUBSCRIBED_TO_TOPIC`).

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{ApiKey, OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Api, Call};
use crate::access::Operation;
use crate::group::PartitionName;

pub(super) fn api() -> Api {
    Api::new(ApiKey::OffsetDelete, 0..=0, handle)
}

async fn handle(call: Call, request: OffsetDeleteRequest) -> Option<OffsetDeleteResponse> {
    let response = OffsetDeleteResponse::default();
    if let Err(error) = call.check_group(Operation::Delete, &request.group_id) {
        return Some(response.with_error_code(error.code()));
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    // Partitions that exist, and where their answers stand.
    let (mut names, mut open) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let known = call.check_topic(Operation::Read, &topic.name);
            let unknown = known.and_then(|()| call.node.topics.partition(&topic.name, index)).err();
            if unknown.is_none() {
                open.push((topics.len(), partitions.len()));
                names.push(PartitionName { topic: topic.name.to_string(), partition: index });
            }
            let answer = OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(unknown.map_or(0, |error| error.code()));
            partitions.push(answer);
        }
        let answer = OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions);
        topics.push(answer);
    }
    if names.is_empty() {
        return Some(response.with_topics(topics));
    }
    match call.node.groups.delete_offsets(&request.group_id, names).await {
        Err(error) => Some(response.with_error_code(error.code())),
        Ok(outcomes) => {
            for ((topic, partition), error) in open.into_iter().zip(outcomes) {
                let answer: &mut OffsetDeleteResponseTopic = &mut topics[topic];
                answer.partitions[partition].error_code = error.map_or(0, |error| error.code());
            }
            Some(response.with_topics(topics))
        }
    }
}
