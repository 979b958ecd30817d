//! DescribeProducers (key 61), version 0: what partitions know of their producers, and which transactions are open.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, ProducerId,
};

use super::{Api, Call};
use crate::access::Operation;
use crate::partition::ActiveProducer;

/// The first offset of a transaction that is not open.
const NO_OFFSET: i64 = -1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeProducers, 0..=0, handle)
}

async fn handle(
    call: Call,
    request: DescribeProducersRequest,
) -> Option<DescribeProducersResponse> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let known = call.check_topic(Operation::Read, &topic.name);
            let partition = known.and_then(|()| call.node.topics.partition(&topic.name, *index));
            response(*index, partition.map(|partition| partition.producers()))
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    Some(DescribeProducersResponse::default().with_topics(topics.collect()))
}

fn response(
    index: i32,
    producers: Result<Vec<ActiveProducer>, ResponseError>,
) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index);
    match producers {
        Ok(producers) => {
            response.with_active_producers(producers.into_iter().map(producer).collect())
        }
        Err(error) => response.with_error_code(error.code()),
    }
}

fn producer(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp_ms)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.open_since.unwrap_or(NO_OFFSET))
}
