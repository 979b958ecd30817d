//! The idempotent producer: every send ends in exactly one delivery report.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{Producer as _, ProducerContext, PurgeConfig};

use tokio::sync::oneshot;

use super::produce_native::{CalledBack, NativeProducer, Sent};
use super::{KafkaConfig, context};
use crate::envelope::Outgoing;
use crate::names::TopicName;

/// How long a topic's partition count is trusted. Counts only grow, so an old one is never wrong for long.
const PARTITION_COUNT_AGE: Duration = Duration::from_secs(30);
/// How long a relay's reports may wait for each other: it looks at them a little later anyway.
const REPORTS_REST: Duration = Duration::from_millis(10);
/// How often a client that has ended is asked for the records that it will not send any more.
const LET_GO_EVERY: Duration = Duration::from_millis(100);

/// Where an acknowledged record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// A record that all replicas did not acknowledge.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The client's queue is full; the record was not taken. Wait and send it again.
    #[error("the producer's queue is full: Kafka takes records more slowly than they come")]
    QueueFull,
    /// The record itself can never be taken by this topic.
    #[error("topic {topic} refuses this record for good: {code}")]
    Refused {
        /// The record's topic.
        topic: TopicName,
        /// Kafka's error.
        code: RDKafkaErrorCode,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist: create it with `event-bus topics apply`")]
    UnknownTopic {
        /// The missing topic.
        topic: TopicName,
    },
    /// The producer ended before Kafka acknowledged the record, which may have been delivered nevertheless.
    #[error("the producer can't go on ({code}): send the record again, by a new one")]
    Fatal {
        /// Kafka's error.
        code: RDKafkaErrorCode,
    },
    /// The producer has ended, and no new one could be made. The record was not taken.
    #[error(transparent)]
    NoProducer(#[from] ConnectError),
    /// The client ended before the report came. The record may have been delivered.
    #[error("the producer ended before Kafka acknowledged the record")]
    Gone,
    /// Anything else: it may succeed when tried again.
    #[error("topic {topic} did not acknowledge the record: {source}")]
    NotAcknowledged {
        /// The record's topic.
        topic: TopicName,
        /// Kafka's error.
        #[source]
        source: KafkaError,
    },
}

impl SendError {
    /// Which kind of error it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::QueueFull => "QueueFull",
            Self::Refused { .. } => "Refused",
            Self::UnknownTopic { .. } => "UnknownTopic",
            Self::Fatal { .. } => "Fatal",
            Self::Gone => "Gone",
            Self::NoProducer(_) => "NoProducer",
            Self::NotAcknowledged { .. } => "NotAcknowledged",
        }
    }
}

/// A producer that could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no Kafka producer could be made for {bootstrap}: check the client properties")]
pub struct ConnectError {
    bootstrap: String,
    #[source]
    source: KafkaError,
}

/// What a record's delivery report goes to. It travels with the record through librdkafka.
pub enum OnDelivery {
    /// Whoever waits for it; a receiver that is gone does not mind.
    Tell(oneshot::Sender<Result<Delivered, SendError>>),
    /// Whatever is to be done, on the client's thread.
    Run(Box<dyn FnOnce(Result<Delivered, SendError>) + Send + Sync>),
}

impl OnDelivery {
    /// Passes the report on.
    pub fn report(self, report: Result<Delivered, SendError>) {
        match self {
            Self::Tell(waiting) => drop(waiting.send(report)),
            Self::Run(run) => run(report),
        }
    }
}

/// Passes each delivery report to what waits for it.
#[derive(Default)]
pub(super) struct Reports {
    /// Whose reports these are.
    client: OnceLock<(Weak<NativeProducer>, CalledBack)>,
    lets_go: AtomicBool,
}

impl Reports {
    /// Has a client that has ended report what it will not send any more. By itself it does so once; requests that come
    /// back later put their records into its queue again, where they would stay.
    fn let_go_if_ended(&self) {
        let Some((ended, client)) = self.client.get() else { return };
        if !client.has_ended() || self.lets_go.swap(true, Ordering::Relaxed) {
            return;
        }
        let ended = ended.clone();
        let let_go = move || {
            while let Some(client) = ended.upgrade() {
                client.client().purge(PurgeConfig::default().queue());
                drop(client);
                thread::sleep(LET_GO_EVERY);
            }
        };
        if let Err(error) = thread::Builder::new().name("let go".to_owned()).spawn(let_go) {
            tracing::error!(%error, "no thread for a producer that has ended: some records may get no report");
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "event_bus::kafka", %error, reason, "kafka producer");
        self.let_go_if_ended();
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let (Ok(message) | Err((_, message))) = result;
        sent.take_headers_back(message);
        let report = match result {
            Ok(message) => {
                Ok(Delivered { partition: message.partition(), offset: message.offset() })
            }
            Err((error, message)) => Err(match message.topic().parse() {
                Ok(topic) => send_error(&topic, error),
                // A topic that is none was never taken by Kafka.
                Err(_) => SendError::Gone,
            }),
        };
        sent.on_delivery.report(report);
    }
}

/// A producer that waits for all replicas, never reorders and never doubles. Clones share one client.
#[derive(Clone)]
pub struct Producer {
    native: Arc<NativeProducer>,
    partition_counts: Arc<Mutex<HashMap<TopicName, (i32, Instant)>>>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer with its own connection pool and report thread.
    ///
    /// # Errors
    /// When librdkafka can't start a client with this configuration.
    pub fn connect(config: &KafkaConfig) -> Result<Self, ConnectError> {
        Self::from_native(config, &config.producer(), Duration::ZERO)
    }

    /// A producer that ends at the first record which Kafka refuses for good: else the records behind it would go out
    /// as if it had never been there. A partition must have taken one record of this producer before that holds.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_gapless(config: &KafkaConfig) -> Result<Self, ConnectError> {
        Self::from_native(config, &config.gapless_producer(), REPORTS_REST)
    }

    fn from_native(
        config: &KafkaConfig,
        native: &ClientConfig,
        rest: Duration,
    ) -> Result<Self, ConnectError> {
        let native = NativeProducer::new(native, Reports::default(), rest)
            .map_err(|source| ConnectError { bootstrap: config.bootstrap().to_owned(), source })?;
        let native = Arc::new(native);
        // It is unset: the context is new.
        let called_back = CalledBack::of(native.client());
        let _ = native.client().context().client.set((Arc::downgrade(&native), called_back));
        Ok(Self { native, partition_counts: Arc::default() })
    }

    /// Whether the client sends nothing any more: a new one is needed. Each record that it has still gets its report.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.native.client().client().fatal_error().is_some()
    }

    /// Asks Kafka again for a topic's partitions at the next question.
    pub fn forget_partition_count(&self, topic: &TopicName) {
        self.counts().remove(topic);
    }

    /// Hands a record to the client; `on_delivery` runs once, on the client's thread, when its report comes.
    ///
    /// # Errors
    /// When the client did not take the record; then `on_delivery` has not run and never will, and comes back.
    pub fn send(
        &self,
        record: &impl Outgoing,
        on_delivery: OnDelivery,
    ) -> Result<(), (SendError, OnDelivery)> {
        self.native
            .produce(record, on_delivery)
            .map_err(|(error, back)| (send_error(record.topic(), &error), back))
    }

    /// How many partitions a topic has, if that was asked lately.
    #[must_use]
    pub fn known_partition_count(&self, topic: &TopicName) -> Option<i32> {
        self.counts()
            .get(topic)
            .filter(|(_, known_at)| known_at.elapsed() < PARTITION_COUNT_AGE)
            .map(|(count, _)| *count)
    }

    /// How many partitions a topic has, asking Kafka when that isn't known. Blocks up to `timeout`.
    ///
    /// # Errors
    /// [`SendError::UnknownTopic`] when it has none, [`SendError::NotAcknowledged`] when Kafka did not answer.
    pub fn partition_count(&self, topic: &TopicName, timeout: Duration) -> Result<i32, SendError> {
        if let Some(count) = self.known_partition_count(topic) {
            return Ok(count);
        }
        let metadata = self
            .native
            .client()
            .client()
            .fetch_metadata(Some(topic.as_ref()), timeout)
            .map_err(|source| SendError::NotAcknowledged { topic: topic.clone(), source })?;
        let count = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic.as_ref() && found.error().is_none())
            .map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(SendError::UnknownTopic { topic: topic.clone() });
        }
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.counts().insert(topic.clone(), (count, Instant::now()));
        Ok(count)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<TopicName, (i32, Instant)>> {
        // A panic elsewhere can't leave the map half written: each change is one insert.
        self.partition_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the client as an error does that it can't recover from.
    #[cfg(test)]
    pub(super) fn end(&self) {
        self.native.end();
    }

    /// Waits until every record handed over has its report, at most `timeout`. Blocks.
    ///
    /// # Errors
    /// When some reports did not come in time; their records may still be delivered.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.native.client().flush(timeout)
    }
}

fn send_error(topic: &TopicName, error: &KafkaError) -> SendError {
    let topic = topic.clone();
    let Some(code) = error.rdkafka_error_code() else {
        return SendError::NotAcknowledged { topic, source: error.clone() };
    };
    match code {
        RDKafkaErrorCode::QueueFull => SendError::QueueFull,
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownPartition => SendError::UnknownTopic { topic },
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::InvalidRecord
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::InvalidTimestamp => SendError::Refused { topic, code },
        RDKafkaErrorCode::Fatal
        | RDKafkaErrorCode::PurgeQueue
        | RDKafkaErrorCode::PurgeInflight => SendError::Fatal { code },
        _ => SendError::NotAcknowledged { topic, source: error.clone() },
    }
}
