//! CreatePartitions (key 37), versions 0 to 3. The partitions are there, durably, when the answer comes; the time-out
//! is not needed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{ApiKey, CreatePartitionsRequest, CreatePartitionsResponse};

use super::create_topics::check_replicas;
use super::{Api, Call, repeated, text};
use crate::access::Operation;
use crate::metadata::Mode;

pub(super) fn api() -> Api {
    Api::new(ApiKey::CreatePartitions, 0..=3, handle)
}

async fn handle(call: Call, request: CreatePartitionsRequest) -> Option<CreatePartitionsResponse> {
    let twice = repeated(request.topics.iter().map(|topic| topic.name.clone()));
    let mode = Mode::of(request.validate_only);
    let mut answers = Vec::with_capacity(request.topics.len());
    for name in &twice {
        let refused = (ResponseError::InvalidRequest, "Duplicate topic name.".to_owned());
        answers.push(told(Err(refused)).with_name(name.clone()));
    }
    for topic in request.topics {
        if !twice.contains(&topic.name) {
            let name = topic.name.clone();
            answers.push(told(grow(&call, topic, mode).await).with_name(name));
        }
    }
    Some(CreatePartitionsResponse::default().with_results(answers))
}

type Refused = (ResponseError, String);

async fn grow(call: &Call, topic: CreatePartitionsTopic, mode: Mode) -> Result<(), Refused> {
    call.check_topic(Operation::Alter, &topic.name)
        .map_err(|error| (error, "The topic authorization is failed.".to_owned()))?;
    let topics = &call.node.topics;
    if let Some(assignments) = &topic.assignments {
        let current = topics.topic(&topic.name).map_or(0, |topic| topic.partition_count());
        let added = i64::from(topic.count) - i64::from(current);
        let assigned = i64::try_from(assignments.len()).unwrap_or(i64::MAX);
        // Where no partition would be added, that is what is wrong.
        if current > 0 && added > 0 && assigned != added {
            let message = format!(
                "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
            );
            return Err((ResponseError::InvalidReplicaAssignment, message));
        }
        if current > 0 && added > 0 {
            for assignment in assignments {
                check_replicas(&assignment.broker_ids)
                    .map_err(|message| (ResponseError::InvalidReplicaAssignment, message))?;
            }
        }
    }
    let grown = topics.grow(&topic.name, topic.count, mode).await;
    grown.map_err(|error| (error.response_error(), error.to_string()))
}

fn told(answer: Result<(), Refused>) -> CreatePartitionsTopicResult {
    match answer {
        Ok(()) => CreatePartitionsTopicResult::default(),
        Err((error, message)) => CreatePartitionsTopicResult::default()
            .with_error_code(error.code())
            .with_error_message(text(message)),
    }
}
