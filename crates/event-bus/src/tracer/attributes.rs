//! Names of attributes: OpenTelemetry's for messaging on Kafka, and our own for what those don't cover.

/// The messaging system: `kafka`.
pub const SYSTEM: &str = "messaging.system";
/// What is done, the first word of the span's name.
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// The conventions' word for it: `create`, `send`, `process` or `settle`.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// The topic.
pub const DESTINATION: &str = "messaging.destination.name";
/// The partition, as a text.
pub const PARTITION: &str = "messaging.destination.partition.id";
/// The offset in the partition.
pub const OFFSET: &str = "messaging.kafka.offset";
/// The consumer group.
pub const GROUP: &str = "messaging.consumer.group.name";
/// The event's id.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// How many events a batch handler was called with.
pub const BATCH: &str = "messaging.batch.message_count";
/// The kind of error that the span ended with, one of few.
pub const ERROR_TYPE: &str = "error.type";

/// Which attempt it is, from 1.
pub const ATTEMPT: &str = "event_bus.attempt";
/// How an attempt ended: `done`, `failed`, `rejected`, or `rolled-back` where its transaction was for another reason.
pub const OUTCOME: &str = "event_bus.outcome";
/// Why an event is dead: a dead letter's `dlq.reason`.
pub const DLQ_REASON: &str = "event_bus.dlq.reason";
/// A dead letter's `dlq.id`.
pub const DLQ_ID: &str = "event_bus.dlq.id";
