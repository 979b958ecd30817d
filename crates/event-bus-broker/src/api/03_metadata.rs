//! Metadata (key 3), versions 0 to 13: the one node, and the topics with their partitions, all of which it leads.
//!
//! Topics can be asked for by name, from version 12 on also by id. A topic that does not exist is made when both the
//! client and the broker allow it; unlike in Kafka it is there when the answer comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Api, Call, operations};
use crate::access::{CLUSTER, Kind, Operation};
use crate::metadata::{self, CreateError, Mode, NewTopic, Topic};
use crate::node::{LEADER_EPOCH, NODE_ID};

pub(super) fn api() -> Api {
    Api::new(ApiKey::Metadata, 0..=13, handle)
}

async fn handle(call: Call, request: MetadataRequest) -> Option<MetadataResponse> {
    // Version 0 has no null, its empty list asks for all topics.
    let wanted = request.topics.filter(|wanted| call.version > 0 || !wanted.is_empty());
    // Before version 4 the client had no say.
    let may_create = request.allow_auto_topic_creation && call.node.config.topics.auto_create;
    let found = match wanted {
        None => {
            // Those that may not be seen are not told of.
            let all = call.node.topics.all().into_iter();
            let seen = all.filter(|topic| call.may(Operation::Describe, Kind::Topic, &topic.name));
            seen.map(Found::Topic).collect()
        }
        Some(wanted) => {
            let mut found = Vec::with_capacity(wanted.len());
            for wanted in wanted {
                found.push(find(&call, wanted, may_create).await);
            }
            found
        }
    };
    let asked = request.include_topic_authorized_operations;
    let topics = found.iter().map(|found| found.answer(&call, asked)).collect();
    let cluster = &call.node.cluster;
    let node = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(cluster.host.clone()))
        .with_port(i32::from(cluster.port));
    let asked = request.include_cluster_authorized_operations;
    let answer = MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(StrBytes::from_string(cluster.id.clone())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics)
        .with_cluster_authorized_operations(operations::on_cluster(&call, asked));
    Some(answer)
}

/// What there is of a topic that was asked for.
enum Found {
    Topic(Arc<Topic>),
    NoName(TopicName, ResponseError),
    NoId(Uuid, ResponseError),
}

async fn find(call: &Call, wanted: MetadataRequestTopic, may_create: bool) -> Found {
    let topics = &call.node.topics;
    let Some(name) = wanted.name else {
        return match topics.topic_by_id(wanted.topic_id) {
            Some(topic) if call.may(Operation::Describe, Kind::Topic, &topic.name) => {
                Found::Topic(topic)
            }
            _ => Found::NoId(wanted.topic_id, ResponseError::UnknownTopicId),
        };
    };
    if let Err(error) = call.check_topic(Operation::Describe, &name) {
        return Found::NoName(name, error);
    }
    match topics.topic(&name) {
        Some(topic) => Found::Topic(topic),
        None if metadata::TopicName::new(&name).is_err() => {
            Found::NoName(name, ResponseError::InvalidTopicException)
        }
        None if may_create && !may_be_made(call, &name) => {
            Found::NoName(name, ResponseError::TopicAuthorizationFailed)
        }
        None if may_create => match create(call, &name).await {
            Ok(topic) => Found::Topic(topic),
            Err(error) => Found::NoName(name, error.response_error()),
        },
        None => Found::NoName(name, ResponseError::UnknownTopicOrPartition),
    }
}

/// Whether who asks may make topics, or this one.
pub(super) fn may_be_made(call: &Call, name: &str) -> bool {
    call.may(Operation::Create, Kind::Cluster, CLUSTER)
        || call.may(Operation::Create, Kind::Topic, name)
}

async fn create(call: &Call, name: &str) -> Result<Arc<Topic>, CreateError> {
    let partitions = call.node.config.topics.partitions;
    let new = NewTopic::new(name, partitions, BTreeMap::new())?;
    match call.node.topics.create(new, Mode::Apply).await {
        // Somebody else asked for it at the same time.
        Err(CreateError::Exists(name)) => {
            call.node.topics.topic(&name).ok_or(CreateError::Exists(name))
        }
        created => created.map(Arc::new),
    }
}

impl Found {
    fn answer(&self, call: &Call, asked: bool) -> MetadataResponseTopic {
        let name = match self {
            Self::Topic(topic) => &topic.name,
            Self::NoName(name, _) => name.as_str(),
            Self::NoId(..) => "",
        };
        let operations = operations::on_topic(call, asked, name);
        let answer = MetadataResponseTopic::default().with_topic_authorized_operations(operations);
        match self {
            Self::Topic(topic) => answer
                .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
                .with_topic_id(topic.id)
                .with_partitions((0..topic.partition_count()).map(partition).collect()),
            Self::NoName(name, error) => {
                answer.with_name(Some(name.clone())).with_error_code(error.code())
            }
            Self::NoId(id, error) => {
                // Names may be missing from version 12 on.
                let name = (call.version < 12).then(TopicName::default);
                answer.with_name(name).with_topic_id(*id).with_error_code(error.code())
            }
        }
    }
}

fn partition(index: i32) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(NODE_ID))
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(vec![BrokerId(NODE_ID)])
        .with_isr_nodes(vec![BrokerId(NODE_ID)])
}
