//! OffsetCommit (key 8), versions 2 to 9: a group's positions, answered once they are durable.
//!
//! A group that doesn't exist is `GROUP_ID_NOT_FOUND` to a member from version 9, `ILLEGAL_GENERATION` before.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};

use super::{Api, Call};
use crate::access::Operation;
use crate::group::{Committer, NewOffset};

/// The first version in which a group that doesn't exist has an error of its own.
const GROUP_NOT_FOUND: i16 = 9;

pub(super) fn api() -> Api {
    Api::new(ApiKey::OffsetCommit, 2..=9, handle).overlapping()
}

async fn handle(call: Call, request: OffsetCommitRequest) -> Option<OffsetCommitResponse> {
    let committer = Committer {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
        in_transaction: false,
    };
    let retention_ms = Some(request.retention_time_ms).filter(|ms| *ms >= 0);
    let refused = call.check_group(Operation::Read, &request.group_id).err();
    let mut answers = Answers { refused, ..Answers::default() };
    let mut offsets = Vec::new();
    for topic in &request.topics {
        offsets.extend(answers.begin(&call, topic, retention_ms));
    }
    if !offsets.is_empty() {
        let missing = match call.version {
            GROUP_NOT_FOUND.. => ResponseError::GroupIdNotFound,
            _ => ResponseError::IllegalGeneration,
        };
        let outcome =
            call.node.groups.commit(&request.group_id, &committer, offsets, missing).await;
        answers.finish(outcome);
    }
    Some(OffsetCommitResponse::default().with_topics(answers.topics))
}

/// The answers in the order of the request, and where those stand that only the group can give.
#[derive(Default)]
struct Answers {
    topics: Vec<OffsetCommitResponseTopic>,
    open: Vec<(usize, usize)>,
    /// What is said of all.
    refused: Option<ResponseError>,
}

impl Answers {
    /// The offsets of a topic that can be committed; partitions that don't exist are answered.
    fn begin(
        &mut self,
        call: &Call,
        topic: &OffsetCommitRequestTopic,
        retention_ms: Option<i64>,
    ) -> Vec<NewOffset> {
        let mut offsets = Vec::new();
        let mut partitions = Vec::new();
        let refused = self.refused.or(call.check_topic(Operation::Read, &topic.name).err());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let unknown = refused.or_else(|| call.node.topics.partition(&topic.name, index).err());
            if unknown.is_none() {
                self.open.push((self.topics.len(), partitions.len()));
                let metadata = partition.committed_metadata.as_ref().map(ToString::to_string);
                offsets.push(NewOffset {
                    topic: topic.name.to_string(),
                    partition: index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: metadata.unwrap_or_default(),
                    retention_ms,
                });
            }
            let answer = OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(unknown.map_or(0, |error| error.code()));
            partitions.push(answer);
        }
        let answer = OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions);
        self.topics.push(answer);
        offsets
    }

    fn finish(&mut self, outcome: Result<Vec<Option<ResponseError>>, ResponseError>) {
        let outcomes = match outcome {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Some(error); self.open.len()],
        };
        for ((topic, partition), error) in self.open.iter().zip(outcomes) {
            let answer = &mut self.topics[*topic].partitions[*partition];
            answer.error_code = error.map_or(0, |error| error.code());
        }
    }
}
