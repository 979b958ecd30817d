//! Reading topics without a consumer group: nothing is committed and no service notices.
//!
//! The consumer lives on a thread of its own and hands batches over through a short channel, so a slow reader slows
//! the thread and not the process.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use rdkafka::{Message as _, TopicPartitionList};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use super::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use super::context::Logged;
use super::{KafkaConfig, Record};
use crate::names::TopicName;

/// What librdkafka wants as a group id although nothing is committed and no group is joined.
const GROUP: &str = "event-bus-reader";
/// The longest wait inside one poll, and so the longest until the thread sees that nobody reads any more.
const POLL: Duration = Duration::from_millis(100);
/// Records handed over at once.
const BATCH: usize = 500;
/// Batches under way before the thread waits.
const BATCHES: usize = 4;

/// When a reader stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Once it has read what was there when it started.
    CaughtUp,
    /// Never.
    Stopped,
}

/// Topics that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Finding the partitions and where to start failed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A topic does not exist.
    #[error("topic {topic} does not exist: create it with `event-bus topics apply`")]
    UnknownTopic {
        /// The missing topic.
        topic: TopicName,
    },
    /// The consumer could not be made.
    #[error("no consumer could be made")]
    Client(#[source] KafkaError),
    /// The consumer can't go on.
    #[error("reading stopped")]
    Stopped(#[source] KafkaError),
    /// The thread could not be started.
    #[error("no thread for the reader")]
    Thread(#[source] std::io::Error),
}

/// Records of some topics, in the order of the log within each partition. Dropping it ends its thread.
#[derive(Debug)]
pub struct Reader {
    batches: mpsc::Receiver<Result<Vec<Record>, ReadError>>,
    total: u64,
}

impl Reader {
    /// Starts reading all partitions that the topics have now, from the given position. With [`Until::CaughtUp`] one
    /// topic follows the other.
    ///
    /// # Errors
    /// When a topic does not exist, or Kafka does not tell its offsets.
    pub async fn start(
        config: &KafkaConfig,
        topics: &[TopicName],
        from: Position,
        until: Until,
    ) -> Result<Self, ReadError> {
        let admin = Admin::connect(config)?;
        let spans = spans(&admin, topics, from).await?;
        let total = spans.iter().map(|(_, span)| span.len()).sum();
        let mut native = config.consumer(GROUP);
        // Where retention overtakes the reader it goes on with the oldest record there is.
        native.set("auto.offset.reset", "earliest");
        // The end of a partition may be a transaction's marker, which is never handed out: only this tells.
        native.set("enable.partition.eof", "true");
        let consumer = BaseConsumer::from_config_and_context(&native, Logged).map_err(ReadError::Client)?;
        let (sender, batches) = mpsc::channel(BATCHES);
        let names = topics.iter().map(|topic| (topic.to_string(), topic.clone())).collect();
        let session = Session { consumer, names, sender };
        thread::Builder::new()
            .name("event-bus reader".to_owned())
            .spawn(move || session.run(spans, until))
            .map_err(ReadError::Thread)?;
        Ok(Self { batches, total })
    }

    /// How many records there were to read at the start, as counted by offsets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The next records, never none; `None` when all that was asked for is read.
    ///
    /// # Errors
    /// When the consumer can't go on; nothing follows.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        self.batches.recv().await.transpose()
    }
}

/// What of a partition is to be read: from `start` up to `end`, which was the end when reading began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: i64,
    end: i64,
}

impl Span {
    fn len(self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

async fn spans(
    admin: &Admin,
    topics: &[TopicName],
    from: Position,
) -> Result<Vec<(TopicPartition, Span)>, ReadError> {
    let cluster = admin.cluster().await?;
    if let Some(topic) = topics.iter().find(|topic| !cluster.topics.contains_key(*topic)) {
        return Err(ReadError::UnknownTopic { topic: topic.clone() });
    }
    let partitions: Vec<_> = topics.iter().flat_map(|topic| cluster.partitions(topic)).collect();
    let mut ends = admin.offsets(Position::End, partitions.clone()).await?;
    let mut starts = match from {
        Position::End => Offsets::new(),
        position => admin.offsets(position, partitions.clone()).await?,
    };
    partitions
        .into_iter()
        .map(|partition| {
            let end = ends.remove(&partition).transpose()?.flatten().unwrap_or(0);
            let start = starts.remove(&partition).transpose()?.flatten().unwrap_or(end);
            Ok((partition, Span { start, end }))
        })
        .collect()
}

impl ConsumerContext for Logged {}

/// Nobody reads any more.
struct Gone;

struct Session<C: ConsumerContext> {
    consumer: BaseConsumer<C>,
    names: BTreeMap<String, TopicName>,
    sender: mpsc::Sender<Result<Vec<Record>, ReadError>>,
}

impl<C: ConsumerContext> Session<C> {
    fn run(self, spans: Vec<(TopicPartition, Span)>, until: Until) {
        let outcome = match until {
            Until::Stopped => self.follow(&spans),
            Until::CaughtUp => self.catch_up(spans),
        };
        if let Err(error) = outcome {
            // Where the channel is closed, the reader was dropped and wants no error.
            drop(self.sender.blocking_send(Err(error)));
        }
    }

    fn follow(&self, spans: &[(TopicPartition, Span)]) -> Result<(), ReadError> {
        self.assign(spans)?;
        loop {
            let Ok(()) = self.hand_over(self.polled(|_| {})?) else { return Ok(()) };
        }
    }

    /// Reads topic by topic, because the client tells of a partition's end by the partition's number alone.
    fn catch_up(&self, spans: Vec<(TopicPartition, Span)>) -> Result<(), ReadError> {
        let mut by_topic: BTreeMap<TopicName, Vec<(TopicPartition, Span)>> = BTreeMap::new();
        for (partition, span) in spans.into_iter().filter(|(_, span)| span.len() > 0) {
            by_topic.entry(partition.topic.clone()).or_default().push((partition, span));
        }
        for (topic, spans) in by_topic {
            self.assign(&spans)?;
            let ends: BTreeMap<i32, i64> = spans.iter().map(|(at, span)| (at.partition, span.end)).collect();
            let mut open: BTreeSet<i32> = ends.keys().copied().collect();
            while !open.is_empty() {
                let mut records = self.polled(|partition| {
                    open.remove(&partition);
                })?;
                // What came after the start is not asked for.
                let is_asked = |record: &Record| ends.get(&record.partition).is_some_and(|end| record.offset < *end);
                records.retain(|record| record.topic == topic && is_asked(record));
                for record in &records {
                    if ends.get(&record.partition).is_some_and(|end| record.offset + 1 >= *end) {
                        open.remove(&record.partition);
                    }
                }
                let Ok(()) = self.hand_over(records) else { return Ok(()) };
            }
        }
        Ok(())
    }

    fn assign(&self, spans: &[(TopicPartition, Span)]) -> Result<(), ReadError> {
        let mut list = TopicPartitionList::new();
        for (at, span) in spans {
            list.add_partition_offset(at.topic.as_str(), at.partition, Offset::Offset(span.start))
                .map_err(ReadError::Stopped)?;
        }
        self.consumer.assign(&list).map_err(ReadError::Stopped)
    }

    /// Polls once with a wait and then takes what is there already.
    fn polled(&self, mut ended: impl FnMut(i32)) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        let mut wait = POLL;
        while records.len() < BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if let Some(topic) = self.names.get(message.topic()) {
                        records.push(Record::copied(topic.clone(), &message));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => ended(partition),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(ReadError::Stopped(error)),
                // The client goes on by itself once the broker is back.
                Some(Err(error)) => tracing::warn!(%error, "reading"),
                None => break,
            }
            wait = Duration::ZERO;
        }
        Ok(records)
    }

    fn hand_over(&self, records: Vec<Record>) -> Result<(), Gone> {
        if records.is_empty() {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.sender.blocking_send(Ok(records)).map_err(|_| Gone)
    }
}
