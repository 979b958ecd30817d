//! DeleteTopics (key 20), versions 1 to 6: by name, from version 6 on also by id. The topics are gone, durably, when
//! the answer comes, and what groups committed for them with them; the time-out is not needed.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Api, Call, text};
use crate::access::{Kind, Operation};

pub(super) fn api() -> Api {
    Api::new(ApiKey::DeleteTopics, 1..=6, handle)
}

async fn handle(call: Call, request: DeleteTopicsRequest) -> Option<DeleteTopicsResponse> {
    let named = request.topic_names.into_iter();
    let wanted = request
        .topics
        .into_iter()
        .chain(named.map(|name| DeleteTopicState::default().with_name(Some(name))));
    let mut seen = BTreeSet::new();
    let mut answers = Vec::new();
    for wanted in wanted {
        let resolved = resolve(&call, &wanted).and_then(|id| check(&call, id));
        let answer = match resolved {
            Ok(id) if !seen.insert(id) => {
                Err((ResponseError::InvalidRequest, "Duplicate topic.".to_owned()))
            }
            Ok(id) => delete(&call, id).await,
            Err(refused) => Err(refused),
        };
        answers.push(told(wanted, answer));
    }
    Some(DeleteTopicsResponse::default().with_responses(answers))
}

type Refused = (ResponseError, String);

/// Whether who asks may delete it.
fn check(call: &Call, id: Uuid) -> Result<Uuid, Refused> {
    // What is not there, nobody needs to be kept from.
    let Some(topic) = call.node.topics.topic_by_id(id) else { return Ok(id) };
    match call.may(Operation::Delete, Kind::Topic, &topic.name) {
        true => Ok(id),
        false => Err(unauthorized()),
    }
}

fn unauthorized() -> Refused {
    (ResponseError::TopicAuthorizationFailed, "Topic authorization failed.".to_owned())
}

fn resolve(call: &Call, wanted: &DeleteTopicState) -> Result<Uuid, Refused> {
    let refused = |error, message: &str| Err((error, message.to_owned()));
    match &wanted.name {
        Some(_) if !wanted.topic_id.is_nil() => refused(
            ResponseError::InvalidRequest,
            "You may not specify both topic name and topic id.",
        ),
        // Nobody learns here what is there.
        Some(name) if !call.may(Operation::Describe, Kind::Topic, name) => Err(unauthorized()),
        Some(name) => call.node.topics.id_of(name).ok_or_else(|| {
            let message = "This server does not host this topic-partition.";
            (ResponseError::UnknownTopicOrPartition, message.to_owned())
        }),
        None if wanted.topic_id.is_nil() => {
            refused(ResponseError::InvalidRequest, "Neither topic name nor id were specified.")
        }
        None => Ok(wanted.topic_id),
    }
}

async fn delete(call: &Call, id: Uuid) -> Result<(String, Uuid), Refused> {
    let deleted = call.node.topics.delete(id).await;
    let topic = deleted.map_err(|error| (error.response_error(), error.to_string()))?;
    let name = topic.name.clone();
    if let Err(error) = call.node.groups.forget_topics(vec![name.clone()]).await {
        // The topic is gone all the same; the next start forgets them.
        tracing::warn!(topic = name, %error, "offsets committed for a deleted topic stay until the next start");
    }
    Ok((name, id))
}

fn told(wanted: DeleteTopicState, answer: Result<(String, Uuid), Refused>) -> DeletableTopicResult {
    match answer {
        Ok((name, id)) => DeletableTopicResult::default()
            .with_name(Some(TopicName(StrBytes::from_string(name))))
            .with_topic_id(id),
        Err((error, message)) => DeletableTopicResult::default()
            .with_name(wanted.name)
            .with_topic_id(wanted.topic_id)
            .with_error_code(error.code())
            .with_error_message(text(message)),
    }
}
