//! CreateTopics (key 19), versions 2 to 7. The topics are there, durably, when the answer comes; the time-out is not
//! needed.
//!
//! There is one node: a replication factor other than 1 (or -1, the default) and assignments to other nodes are
//! refused as a cluster of one refuses them.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{ApiKey, BrokerId, CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use super::metadata::may_be_made;
use super::{Api, Call, repeated, text};
use crate::metadata::config::{ConfigError, keys};
use crate::metadata::{CreateError, Mode, NewTopic, Topic};
use crate::node::NODE_ID;

/// Told of a setting that holds by default, and of one that was set on the topic.
const DEFAULT_CONFIG: i8 = 5;
const TOPIC_CONFIG: i8 = 1;

pub(super) fn api() -> Api {
    Api::new(ApiKey::CreateTopics, 2..=7, handle)
}

async fn handle(call: Call, request: CreateTopicsRequest) -> Option<CreateTopicsResponse> {
    let twice = repeated(request.topics.iter().map(|topic| topic.name.clone()));
    let mode = Mode::of(request.validate_only);
    let mut answers = Vec::with_capacity(request.topics.len());
    for name in &twice {
        let refused = Refused::from((ResponseError::InvalidRequest, "Duplicate topic name."));
        answers.push(refused.answer().with_name(name.clone()));
    }
    for topic in request.topics {
        if twice.contains(&topic.name) {
            continue;
        }
        let name = topic.name.clone();
        if !may_be_made(&call, &name) {
            let refused = (ResponseError::TopicAuthorizationFailed, "Authorization failed.");
            answers.push(Refused::from(refused).answer().with_name(name));
            continue;
        }
        let answer = match create(&call, topic, mode).await {
            Ok((topic, partitions)) => created(&topic, partitions),
            Err(refused) => refused.answer(),
        };
        answers.push(answer.with_name(name));
    }
    Some(CreateTopicsResponse::default().with_topics(answers))
}

/// Why a topic was not made.
struct Refused {
    error: ResponseError,
    message: String,
}

impl Refused {
    fn answer(self) -> CreatableTopicResult {
        // The list of settings is empty, not null: that is what Kafka answers.
        CreatableTopicResult::default()
            .with_error_code(self.error.code())
            .with_error_message(text(self.message))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(Some(Vec::new()))
    }
}

impl From<CreateError> for Refused {
    fn from(error: CreateError) -> Self {
        Self { error: error.response_error(), message: error.to_string() }
    }
}

impl From<(ResponseError, &str)> for Refused {
    fn from((error, message): (ResponseError, &str)) -> Self {
        Self { error, message: message.to_owned() }
    }
}

async fn create(call: &Call, topic: CreatableTopic, mode: Mode) -> Result<(Topic, i32), Refused> {
    // In Kafka's order: a name that is taken comes before wrong settings, and those before wrong numbers.
    call.node.topics.check_name(&topic.name)?;
    let mut configs = BTreeMap::new();
    for config in topic.configs {
        let name = config.name.to_string();
        let Some(value) = config.value else {
            return Err(CreateError::Config(ConfigError::Null(name)).into());
        };
        configs.insert(name, value.to_string());
    }
    let checked = NewTopic::new(&topic.name, 1, configs)?;
    let partitions = match topic.assignments.is_empty() {
        true => counted(topic.num_partitions, topic.replication_factor, call)?,
        false => {
            if topic.num_partitions != -1 {
                let message = "A manual partition assignment was specified, but numPartitions was not set to -1.";
                return Err((ResponseError::InvalidRequest, message).into());
            }
            if topic.replication_factor != -1 {
                let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
                return Err((ResponseError::InvalidRequest, message).into());
            }
            assigned(&topic.assignments)?
        }
    };
    let created = call.node.topics.create(NewTopic { partitions, ..checked }, mode).await?;
    Ok((created, partitions))
}

/// The number of partitions that was asked for.
fn counted(partitions: i32, replication: i16, call: &Call) -> Result<i32, Refused> {
    if replication < -1 || replication == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err((ResponseError::InvalidReplicationFactor, message).into());
    }
    if partitions < -1 || partitions == 0 {
        return Err(CreateError::NoPartitions.into());
    }
    if replication > 1 {
        let message = format!(
            "Unable to replicate the partition {replication} time(s): The target replication factor of {replication} \
             cannot be reached because only 1 broker(s) are registered."
        );
        return Err((ResponseError::InvalidReplicationFactor, message.as_str()).into());
    }
    Ok(if partitions == -1 { call.node.config.topics.partitions } else { partitions })
}

/// The number of partitions that were assigned by hand.
fn assigned(assignments: &[CreatableReplicaAssignment]) -> Result<i32, Refused> {
    let refused =
        |message: String| Refused { error: ResponseError::InvalidReplicaAssignment, message };
    let mut indexes = BTreeSet::new();
    for assignment in assignments {
        let index = assignment.partition_index;
        if !indexes.insert(index) {
            let message =
                format!("Found multiple manual partition assignments for partition {index}");
            return Err(refused(message));
        }
        check_replicas(&assignment.broker_ids).map_err(refused)?;
    }
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    if indexes.into_iter().eq(0..count) {
        Ok(count)
    } else {
        Err(refused("partitions should be a consecutive 0-based integer sequence".to_owned()))
    }
}

/// Whether these are replicas that a cluster of one can have, and otherwise what Kafka says about them.
pub(super) fn check_replicas(replicas: &[BrokerId]) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("The manual partition assignment includes an empty replica list.".to_owned());
    }
    if let Some(other) = replicas.iter().find(|replica| replica.0 != NODE_ID) {
        return Err(format!(
            "The manual partition assignment includes broker {}, but no such broker is registered.",
            other.0
        ));
    }
    if replicas.len() > 1 {
        return Err(format!(
            "The manual partition assignment includes the broker {NODE_ID} more than once."
        ));
    }
    Ok(())
}

fn created(topic: &Topic, partitions: i32) -> CreatableTopicResult {
    let configs = keys::KEYS.iter().map(|key| {
        let is_own = topic.configs.own(key.name).is_some();
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(key.name))
            .with_value(text(topic.configs.get(key)))
            .with_config_source(if is_own { TOPIC_CONFIG } else { DEFAULT_CONFIG })
    });
    CreatableTopicResult::default()
        .with_topic_id(topic.id)
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}
