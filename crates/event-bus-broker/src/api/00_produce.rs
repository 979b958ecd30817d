//! Produce (key 0), versions 3 to 13: appends one batch per partition. From version 13 on, topics are named by id.
//!
//! All partitions of a request are appended before any is waited for, so that they are flushed together. `acks` of 1
//! and of all both wait until the records are durable: there is one replica. With `acks=0` there is no answer; a batch
//! that is not taken ends the connection then.
//! A transactional batch is only taken if its partition is part of the transaction; from version 12 on, producing adds
//! it (KIP-890).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Api, Call, CallError};
use crate::access::{Kind, Operation};
use crate::clock;
use crate::log::BatchHeader;
use crate::partition::{
    AppendError, Appended, Membership, Partition, PayloadError, Refusal, StorageError,
};
use crate::transactions::{Identity, Protocol};

/// The first version in which topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The first version in which a produce adds its partition to the transaction.
const ADDS_PARTITION_FROM: i16 = 12;
/// The first version whose clients understand `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 11;

pub(super) fn api() -> Api {
    Api::refusing(ApiKey::Produce, 3..=13, handle).overlapping()
}

/// What a partition without records sends.
static NOTHING: Bytes = Bytes::new();

/// Why a partition's batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ProduceError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What the topics, or the transaction coordinator, say.
    #[error("{0}")]
    Refused(ResponseError),
}

impl ProduceError {
    fn response_error(&self) -> ResponseError {
        match self {
            Self::Payload(error) => error.response_error(),
            Self::Append(error) => error.response_error(),
            Self::Storage(error) => error.response_error(),
            Self::Refused(error) => *error,
        }
    }
}

/// What became of a partition's batch so far.
type Progress = Result<(Arc<Partition>, Appended), ProduceError>;

enum Next {
    Done(Progress),
    /// The coordinator has to be asked, which may take a while.
    Ask(Unverified),
}

/// A transactional batch whose partition may not be part of the transaction.
struct Unverified {
    partition: Arc<Partition>,
    header: BatchHeader,
    batch: Bytes,
}

async fn handle(call: Call, request: ProduceRequest) -> Result<Option<ProduceResponse>, CallError> {
    let refused = refusal(&call, &request);
    let ProduceRequest { acks, transactional_id, topic_data: topics, .. } = request;
    let produce = Produce {
        call: &call,
        transactional_id: transactional_id.map(|id| id.0),
        now_ms: clock::now_ms(),
    };
    if call.node.faults.slows_produce() {
        produce.wait_for_slow_partitions(&topics).await;
    }
    let mut begun = Vec::new();
    for topic in &topics {
        for data in &topic.partition_data {
            begun.push(match refused {
                Some(error) => Next::Done(Err(ProduceError::Refused(error))),
                None => produce.begin(topic, data),
            });
        }
    }
    // Nothing up to here waits: what follows on this connection is appended after this request.
    let mut done = Vec::with_capacity(begun.len());
    for next in begun {
        done.push(match next {
            Next::Done(progress) => progress,
            Next::Ask(unverified) => produce.ask(unverified).await,
        });
    }
    // What is in the log is not held in memory as well while it becomes durable.
    drop(produce);
    let topics = without_records(topics);
    let answers = join_all(done.into_iter().map(settle)).await;
    if acks != 0 {
        return Ok(Some(response(topics, answers)));
    }
    match answers.iter().find_map(|answer| answer.as_ref().err()) {
        None => Ok(None),
        Some(error) => {
            Err(CallError::Unacknowledged { api: ApiKey::Produce, refusal: error.response_error() })
        }
    }
}

/// What the answer repeats of a topic.
struct Named {
    name: TopicName,
    topic_id: Uuid,
    partitions: Vec<i32>,
}

/// Gives the request's bytes back, of which a name is a part, too.
fn without_records(topics: Vec<TopicProduceData>) -> Vec<Named> {
    let named = topics.into_iter().map(|topic| Named {
        name: TopicName(StrBytes::from_string(topic.name.to_string())),
        topic_id: topic.topic_id,
        partitions: topic.partition_data.iter().map(|data| data.index).collect(),
    });
    named.collect()
}

/// An error that concerns the whole request.
fn refusal(call: &Call, request: &ProduceRequest) -> Option<ResponseError> {
    if !matches!(request.acks, -1..=1) {
        return Some(ResponseError::InvalidRequiredAcks);
    }
    let mut batches = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let is_transactional = batches.any(|data| {
        let header = data.records.as_ref().map(|records| BatchHeader::parse(records));
        matches!(header, Some(Ok(header)) if header.is_transactional())
    });
    let may_write = request.transactional_id.as_ref().is_some_and(|id| {
        !id.0.is_empty() && call.may(Operation::Write, Kind::TransactionalId, &id.0)
    });
    (is_transactional && !may_write).then_some(ResponseError::TransactionalIdAuthorizationFailed)
}

struct Produce<'a> {
    call: &'a Call,
    transactional_id: Option<StrBytes>,
    now_ms: i64,
}

impl Produce<'_> {
    /// Appends a partition's batch, unless the coordinator has to be asked first.
    fn begin(&self, topic: &TopicProduceData, data: &PartitionProduceData) -> Next {
        let records = data.records.as_ref().unwrap_or(&NOTHING);
        let partition = match self.partition(topic, data.index) {
            Ok(partition) => partition,
            Err(error) => return Next::Done(Err(ProduceError::Refused(error))),
        };
        let (header, batch) = match partition.check(records, self.call.version, self.now_ms) {
            Ok(checked) => checked,
            Err(error) => return Next::Done(Err(error.into())),
        };
        match partition.append(&header, batch, Membership::Unknown, self.now_ms) {
            Ok(appended) => Next::Done(Ok((partition, appended))),
            Err(AppendError::Refused(Refusal::Unverified { .. })) => {
                Next::Ask(Unverified { partition, batch: records.slice_ref(batch), header })
            }
            Err(error) => Next::Done(Err(error.into())),
        }
    }

    /// For scripted faults, under which requests don't overlap.
    async fn wait_for_slow_partitions(&self, topics: &[TopicProduceData]) {
        let indexes = topics
            .iter()
            .flat_map(|topic| topic.partition_data.iter().map(move |data| (topic, data.index)));
        let found: Vec<_> =
            indexes.filter_map(|(topic, index)| self.partition(topic, index).ok()).collect();
        let partitions = found.iter().map(|found| (found.topic(), found.index()));
        self.call.node.faults.slow_produce(partitions).await;
    }

    fn partition(
        &self,
        topic: &TopicProduceData,
        index: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        let topics = &self.call.node.topics;
        if self.call.version < TOPIC_IDS_FROM {
            self.call.check_topic(Operation::Write, &topic.name.0)?;
            return topics.partition(&topic.name.0, index);
        }
        let topic = topics.topic_by_id(topic.topic_id).ok_or(ResponseError::UnknownTopicId)?;
        self.call.check_topic(Operation::Write, &topic.name)?;
        topic.partition(index).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Appends a transactional batch if the coordinator lets it.
    async fn ask(&self, unverified: Unverified) -> Progress {
        let Unverified { partition, header, batch } = unverified;
        let protocol = match self.call.version < ADDS_PARTITION_FROM {
            true => Protocol::Classic,
            false => Protocol::EpochPerTransaction,
        };
        let producer = Identity { producer_id: header.producer_id, epoch: header.producer_epoch };
        let place = (partition.topic(), partition.index());
        let id = self.transactional_id.as_deref().unwrap_or_default();
        let admitted =
            self.call.node.transactions.admit(id, producer, place, protocol, self.now_ms).await;
        let admission =
            admitted.map_err(|error| ProduceError::Refused(self.as_clients_know_it(error)))?;
        // The admission is held until the batch is in the log, so that the transaction can't end in between.
        let appended = partition.append(&header, &batch, admission.membership, self.now_ms)?;
        Ok((partition, appended))
    }

    /// The coordinator's error, as it is told to producers of this version.
    fn as_clients_know_it(&self, error: ResponseError) -> ResponseError {
        let version = self.call.version;
        match error {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            ResponseError::TransactionAbortable if version < ABORTABLE_FROM => {
                ResponseError::InvalidTxnState
            }
            // Older clients would give up; this error makes them try again without asking for new metadata.
            ResponseError::ConcurrentTransactions if version < ADDS_PARTITION_FROM => {
                ResponseError::NotEnoughReplicas
            }
            ResponseError::CoordinatorNotAvailable => ResponseError::NotEnoughReplicas,
            error => error,
        }
    }
}

/// Waits until the batch is durable.
async fn settle(progress: Progress) -> Result<Appended, ProduceError> {
    let (partition, appended) = progress?;
    partition.settle(&appended.ticket).await?;
    Ok(appended)
}

fn response(topics: Vec<Named>, answers: Vec<Result<Appended, ProduceError>>) -> ProduceResponse {
    let mut answers = answers.into_iter();
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().zip(answers.by_ref());
        TopicProduceResponse::default()
            .with_partition_responses(
                partitions.map(|(index, answer)| partition_response(index, answer)).collect(),
            )
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn partition_response(
    index: i32,
    answer: Result<Appended, ProduceError>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    let error = match answer {
        Ok(appended) => {
            return response
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(appended.log_append_time_ms)
                .with_log_start_offset(appended.log_start_offset);
        }
        Err(error) => error,
    };
    let text = StrBytes::from_string(error.to_string());
    response
        .with_error_code(error.response_error().code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_record_errors(record_errors(&error))
        .with_error_message(Some(text))
}

fn record_errors(error: &ProduceError) -> Vec<BatchIndexAndErrorMessage> {
    let ProduceError::Payload(PayloadError::Keyless { indexes }) = error else { return Vec::new() };
    let errors = indexes.iter().map(|index| {
        let text = StrBytes::from_static_str("compacted topics take no records without key");
        BatchIndexAndErrorMessage::default()
            .with_batch_index(*index)
            .with_batch_index_error_message(Some(text))
    });
    errors.collect()
}
