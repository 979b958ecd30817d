//! Answers in which each thing that was asked about has the error.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, BrokerId, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

/// `None` for a producer that wants no acknowledgement.
pub(super) fn produce(request: ProduceRequest, error: ResponseError) -> Option<ProduceResponse> {
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| {
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(error.code())
                .with_base_offset(-1)
        });
        let partitions = partitions.collect();
        TopicProduceResponse::default()
            .with_partition_responses(partitions)
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    let answer = ProduceResponse::default().with_responses(topics.collect());
    (request.acks != 0).then_some(answer)
}

/// A request that goes on with a session names no partitions: the session has the error then.
pub(super) fn fetch(request: FetchRequest, error: ResponseError) -> FetchResponse {
    if request.topics.is_empty() {
        return FetchResponse::default().with_error_code(error.code());
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_error_code(error.code())
                .with_high_watermark(-1)
        });
        let partitions = partitions.collect();
        FetchableTopicResponse::default()
            .with_partitions(partitions)
            .with_topic(topic.topic)
            .with_topic_id(topic.topic_id)
    });
    FetchResponse::default().with_responses(topics.collect())
}

pub(super) fn list_offsets(
    request: ListOffsetsRequest,
    error: ResponseError,
) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
                .with_offset(-1)
                .with_timestamp(-1)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_partitions(partitions).with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

pub(super) fn offset_commit(
    request: OffsetCommitRequest,
    error: ResponseError,
) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions)
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// From version 8 on each group has the error, before that the request, and in version 1 each partition.
pub(super) fn offset_fetch(
    request: OffsetFetchRequest,
    version: i16,
    error: ResponseError,
) -> OffsetFetchResponse {
    if version >= 8 {
        let groups = request.groups.into_iter().map(|group| {
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_error_code(error.code())
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    if version >= 2 {
        return OffsetFetchResponse::default().with_error_code(error.code());
    }
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_error_code(error.code())
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopic::default().with_partitions(partitions).with_name(topic.name)
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// From version 4 on each key has the error.
pub(super) fn find_coordinator(
    request: FindCoordinatorRequest,
    version: i16,
    error: ResponseError,
) -> FindCoordinatorResponse {
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(error.code())
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

pub(super) fn create_topics(
    request: CreateTopicsRequest,
    error: ResponseError,
) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        CreatableTopicResult::default().with_name(topic.name).with_error_code(error.code())
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

pub(super) fn create_partitions(
    request: CreatePartitionsRequest,
    error: ResponseError,
) -> CreatePartitionsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(error.code())
    });
    CreatePartitionsResponse::default().with_results(topics.collect())
}

pub(super) fn delete_topics(
    request: DeleteTopicsRequest,
    error: ResponseError,
) -> DeleteTopicsResponse {
    let answer = DeletableTopicResult::default().with_error_code(error.code());
    let named = request.topic_names.into_iter().map(|name| answer.clone().with_name(Some(name)));
    let topics = request
        .topics
        .into_iter()
        .map(|topic| answer.clone().with_name(topic.name).with_topic_id(topic.topic_id));
    DeleteTopicsResponse::default().with_responses(named.chain(topics).collect())
}

/// From version 4 on transactions are told apart.
pub(super) fn add_partitions(
    request: AddPartitionsToTxnRequest,
    version: i16,
    error: ResponseError,
) -> AddPartitionsToTxnResponse {
    let results = |topics: Vec<AddPartitionsToTxnTopic>| {
        let results = topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|index| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*index)
                    .with_partition_error_code(error.code())
            });
            AddPartitionsToTxnTopicResult::default()
                .with_results_by_partition(partitions.collect())
                .with_name(topic.name)
        });
        results.collect()
    };
    if version < 4 {
        let results = results(request.v3_and_below_topics);
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results);
    }
    let transactions = request.transactions.into_iter().map(|transaction| {
        AddPartitionsToTxnResult::default()
            .with_topic_results(results(transaction.topics))
            .with_transactional_id(transaction.transactional_id)
    });
    AddPartitionsToTxnResponse::default().with_results_by_transaction(transactions.collect())
}

pub(super) fn txn_offset_commit(
    request: TxnOffsetCommitRequest,
    error: ResponseError,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_partitions(partitions).with_name(topic.name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
