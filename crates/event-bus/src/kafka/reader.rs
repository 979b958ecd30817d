//! Reading topics without a consumer group: nothing is committed and no service notices.
//!
//! The consumer lives on a thread of its own and hands batches over through a short channel, so a slow reader slows
//! the thread and not the process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Message as _, TopicPartitionList};
use tokio::sync::mpsc;

use super::admin::{Admin, AdminError, Cluster, Offsets, Position, TopicPartition};
use super::{KafkaConfig, READER_GROUP, Record, context};
use crate::names::TopicName;

/// The longest wait inside one poll, and so the longest until the thread sees that nobody reads any more.
const POLL: Duration = Duration::from_millis(100);
/// How long no record may come before what is still open is read topic by topic.
const QUIET: Duration = Duration::from_secs(1);
/// How long partitions may be without a leader, as they are for a moment after their topic was made.
const LEADERLESS: Duration = Duration::from_secs(30);
/// The wait before asking again after partitions without a leader.
const LEADERLESS_PAUSE: Duration = Duration::from_millis(100);
/// Records handed over at once.
const BATCH: usize = 500;
/// Batches under way before the thread waits.
const BATCHES: usize = 4;

/// So many bytes come in one answer, and so much memory a reader takes for them.
const FETCHED_BYTES: u64 = 2 << 20;
/// So many of one partition, where much of it is read. Where a few records are, no more than about these and,
const FETCHED_OF_PARTITION: u64 = 256 << 10;
/// as most records are smaller than this,
const RECORD_BYTES: u64 = 2 << 10;
/// what is no smaller than this. A larger record comes alone (KIP-74).
const PIECE_BYTES: u64 = 16 << 10;

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
    /// Starts reading all partitions that the topics have now, from the given position.
    ///
    /// # Errors
    /// When a topic does not exist, or Kafka does not tell its offsets.
    pub async fn start(
        config: &KafkaConfig,
        topics: &[TopicName],
        from: Position,
        until: Until,
    ) -> Result<Self, ReadError> {
        Self::start_with(&Admin::connect(config)?, topics, from, until).await
    }

    /// The same, asking with a client that there is already: to connect another one takes longer than a few records do.
    ///
    /// # Errors
    /// When a topic does not exist, or Kafka does not tell its offsets.
    pub async fn start_with(
        admin: &Admin,
        topics: &[TopicName],
        from: Position,
        until: Until,
    ) -> Result<Self, ReadError> {
        let spans = once_led(|| spans(admin, topics, from)).await?;
        Self::of(admin.config(), spans, until)
    }

    /// Starts reading these partitions from these offsets. Where retention took an offset, from the oldest that is there.
    ///
    /// # Errors
    /// When a topic does not exist, or Kafka does not tell its offsets.
    pub async fn start_at(
        config: &KafkaConfig,
        places: &BTreeMap<TopicPartition, i64>,
        until: Until,
    ) -> Result<Self, ReadError> {
        let admin = Admin::connect(config)?;
        let ends = once_led(|| ends(&admin, places.keys())).await?;
        let span = |(at, end)| {
            let start = *places.get(&at)?;
            Some((at, Span { start, end }))
        };
        Self::of(config, ends.into_iter().filter_map(span).collect(), until)
    }

    /// Starts reading what these partitions have between two offsets each, and nothing else. Where retention took the first of
    /// them, from the oldest record that is there; what lies beyond a partition's end is not waited for.
    ///
    /// # Errors
    /// When a topic does not exist, or Kafka does not tell its offsets.
    pub async fn between(
        admin: &Admin,
        ranges: &BTreeMap<TopicPartition, Range<i64>>,
    ) -> Result<Self, ReadError> {
        let ends = once_led(|| ends(admin, ranges.keys())).await?;
        let span = |(at, end)| {
            let range = ranges.get(&at)?;
            Some((at, Span { start: range.start, end: range.end.min(end) }))
        };
        let spans = ends.into_iter().filter_map(span).collect();
        Self::of(admin.config(), spans, Until::CaughtUp)
    }

    /// Starts reading what these partitions have between two offsets each, and nothing else.
    ///
    /// # Errors
    /// When the consumer can't be made.
    pub fn within(
        config: &KafkaConfig,
        ranges: BTreeMap<TopicPartition, Range<i64>>,
    ) -> Result<Self, ReadError> {
        let span = |(at, Range { start, end })| (at, Span { start, end });
        Self::of(config, ranges.into_iter().map(span).collect(), Until::CaughtUp)
    }

    fn of(
        config: &KafkaConfig,
        spans: Vec<(TopicPartition, Span)>,
        until: Until,
    ) -> Result<Self, ReadError> {
        let total = spans.iter().map(|(_, span)| span.len()).sum();
        let mut native = config.consumer(READER_GROUP);
        // Where retention overtakes the reader it goes on with the oldest record there is.
        native.set("auto.offset.reset", "earliest");
        // The end of a partition may be a transaction's marker, which is never handed out: only this tells.
        native.set("enable.partition.eof", "true");
        // With a full queue the client waits a second by default before it fetches again, however soon there is room.
        native.set("fetch.queue.backoff.ms", "10");
        native.set("fetch.max.bytes", FETCHED_BYTES.to_string());
        if until == Until::CaughtUp {
            fit(&mut native, &spans);
        }
        let consumer =
            BaseConsumer::from_config_and_context(&native, Reading).map_err(ReadError::Client)?;
        let (sender, batches) = mpsc::channel(BATCHES);
        let names = spans.iter().map(|(at, _)| (at.topic.to_string(), at.topic.clone())).collect();
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

/// Has a client ask for what is there, and for about so much.
fn fit(native: &mut ClientConfig, spans: &[(TopicPartition, Span)]) {
    // A partition whose queue is full for a moment is left out of a request. Where the others are at their ends already, the
    // broker would wait for them to grow, and the full one with them.
    native.set("fetch.wait.max.ms", "20");
    let longest = spans.iter().map(|(_, span)| span.len()).max().unwrap_or(0);
    let fitting = longest.saturating_mul(RECORD_BYTES).max(PIECE_BYTES);
    if fitting < FETCHED_OF_PARTITION {
        native.set("fetch.message.max.bytes", fitting.to_string());
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

/// Asks again while a partition is without a leader, for as long as one may be.
async fn once_led<T, F: Future<Output = Result<T, ReadError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ReadError> {
    let deadline = Instant::now() + LEADERLESS;
    loop {
        match ask().await {
            Err(ReadError::Admin(error)) if is_leaderless(&error) && Instant::now() < deadline => {
                tokio::time::sleep(LEADERLESS_PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Whether a partition has no leader, or one that does not know it yet.
fn is_leaderless(error: &AdminError) -> bool {
    let AdminError::Refused { code, .. } = error else { return false };
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

async fn spans(
    admin: &Admin,
    topics: &[TopicName],
    from: Position,
) -> Result<Vec<(TopicPartition, Span)>, ReadError> {
    let cluster = existing(admin, topics).await?;
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

/// The ends of those of these partitions that there are.
async fn ends(
    admin: &Admin,
    places: impl Iterator<Item = &TopicPartition>,
) -> Result<Vec<(TopicPartition, i64)>, ReadError> {
    let places: Vec<TopicPartition> = places.cloned().collect();
    let mut topics: Vec<TopicName> = places.iter().map(|at| at.topic.clone()).collect();
    topics.dedup();
    let cluster = existing(admin, &topics).await?;
    let is_there = |at: &TopicPartition| {
        cluster.topics.get(&at.topic).is_some_and(|state| at.partition < state.partitions)
    };
    let places: Vec<_> = places.into_iter().filter(is_there).collect();
    let ends = admin.offsets(Position::End, places).await?;
    ends.into_iter().map(|(at, end)| Ok((at, end?.unwrap_or(0)))).collect()
}

/// The cluster with these topics, all of which have to exist.
async fn existing(admin: &Admin, topics: &[TopicName]) -> Result<Cluster, ReadError> {
    let cluster = admin.cluster_with(topics).await?;
    match topics.iter().find(|topic| !cluster.topics.contains_key(*topic)) {
        Some(topic) => Err(ReadError::UnknownTopic { topic: topic.clone() }),
        None => Ok(cluster),
    }
}

/// Logs what the client says, but not that a partition's end is reached, which here is what is waited for.
struct Reading;

impl ClientContext for Reading {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(target: "event_bus::kafka", %error, reason, "kafka reader");
        }
    }
}

impl ConsumerContext for Reading {}

type Spans = BTreeMap<TopicPartition, Span>;

/// Takes those of the records that are asked for, and moves the spans on; a span that is read leaves.
fn taken(open: &mut Spans, mut records: Vec<Record>) -> Vec<Record> {
    records.retain(|record| {
        let at = TopicPartition { topic: record.topic.clone(), partition: record.partition };
        let Some(span) = open.get_mut(&at) else { return false };
        let is_asked = record.offset < span.end;
        span.start = record.offset + 1;
        if span.len() == 0 {
            open.remove(&at);
        }
        is_asked
    });
    records
}

fn is_of_several_topics(open: &Spans) -> bool {
    let first = open.first_key_value().map(|(at, _)| &at.topic);
    first != open.last_key_value().map(|(at, _)| &at.topic)
}

/// What one round of polling gave.
struct Polled {
    records: Vec<Record>,
    /// The numbers of partitions whose end was reached.
    ended: Vec<i32>,
}

/// Nobody reads any more.
struct Gone;

struct Session {
    /// Goes first: whoever reads learns that this was all, and does not wait until the client has ended.
    sender: mpsc::Sender<Result<Vec<Record>, ReadError>>,
    consumer: BaseConsumer<Reading>,
    names: BTreeMap<String, TopicName>,
}

impl Session {
    fn run(self, spans: Vec<(TopicPartition, Span)>, until: Until) {
        let outcome = match until {
            Until::Stopped => self.follow(spans),
            Until::CaughtUp => self.catch_up(spans),
        };
        if let Err(error) = outcome {
            // Where the channel is closed, the reader was dropped and wants no error.
            drop(self.sender.blocking_send(Err(error)));
        }
    }

    fn follow(&self, spans: Vec<(TopicPartition, Span)>) -> Result<(), ReadError> {
        self.assign(&spans.into_iter().collect())?;
        loop {
            let Ok(()) = self.hand_over(self.polled()?.records) else { return Ok(()) };
        }
    }

    /// Reads all partitions at once, each up to its end. Where the last offsets before the end are a transaction's
    /// markers, no record tells that the end is reached, but only the client; and that by the partition's number
    /// alone. What is still open once nothing more comes is therefore read again topic by topic, and so is what is of one
    /// topic from the start.
    fn catch_up(&self, spans: Vec<(TopicPartition, Span)>) -> Result<(), ReadError> {
        let mut open: Spans = spans.into_iter().filter(|(_, span)| span.len() > 0).collect();
        if is_of_several_topics(&open) {
            self.assign(&open)?;
        }
        let mut last = Instant::now();
        while is_of_several_topics(&open) && last.elapsed() < QUIET {
            let records = taken(&mut open, self.polled()?.records);
            if !records.is_empty() {
                last = Instant::now();
            }
            let Ok(()) = self.hand_over(records) else { return Ok(()) };
        }
        while let Some((at, _)) = open.first_key_value() {
            let topic = at.topic.clone();
            let (mut of_topic, others): (Spans, Spans) =
                open.into_iter().partition(|(at, _)| at.topic == topic);
            open = others;
            self.assign(&of_topic)?;
            while !of_topic.is_empty() {
                let Polled { records, ended } = self.polled()?;
                let records = taken(&mut of_topic, records);
                of_topic.retain(|at, _| !ended.contains(&at.partition));
                let Ok(()) = self.hand_over(records) else { return Ok(()) };
            }
        }
        Ok(())
    }

    fn assign(&self, spans: &Spans) -> Result<(), ReadError> {
        let mut list = TopicPartitionList::new();
        for (at, span) in spans {
            list.add_partition_offset(at.topic.as_str(), at.partition, Offset::Offset(span.start))
                .map_err(ReadError::Stopped)?;
        }
        self.consumer.assign(&list).map_err(ReadError::Stopped)
    }

    /// Polls once with a wait and then takes what is there already.
    fn polled(&self) -> Result<Polled, ReadError> {
        let (mut records, mut ended) = (Vec::new(), Vec::new());
        let mut wait = POLL;
        while records.len() < BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if let Some(topic) = self.names.get(message.topic()) {
                        records.push(Record::copied(topic.clone(), &message));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => ended.push(partition),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(ReadError::Stopped(error));
                }
                // No waiting helps: somebody has to allow it first.
                Some(Err(
                    error @ KafkaError::MessageConsumption(
                        RDKafkaErrorCode::TopicAuthorizationFailed,
                    ),
                )) => return Err(ReadError::Stopped(error)),
                // The client goes on by itself once the broker is back.
                Some(Err(error)) => tracing::warn!(%error, "reading"),
                None => break,
            }
            wait = Duration::ZERO;
        }
        Ok(Polled { records, ended })
    }

    fn hand_over(&self, records: Vec<Record>) -> Result<(), Gone> {
        if records.is_empty() {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.sender.blocking_send(Ok(records)).map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, partition: i32, offset: i64) -> Record {
        let topic = TopicName::new(topic).unwrap();
        Record {
            topic,
            partition,
            offset,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn at(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new(topic).unwrap(), partition }
    }

    #[test]
    fn what_came_after_the_end_is_not_taken_and_a_span_that_is_read_leaves() {
        let mut open = Spans::from([
            (at("a", 0), Span { start: 3, end: 5 }),
            (at("b", 0), Span { start: 0, end: 9 }),
        ]);
        let records = [("a", 3), ("b", 0), ("a", 4), ("a", 5)]
            .map(|(topic, offset)| record(topic, 0, offset));
        let taken: Vec<_> =
            taken(&mut open, records.into()).into_iter().map(|record| record.offset).collect();
        assert_eq!(taken, [3, 0, 4]);
        assert_eq!(open, Spans::from([(at("b", 0), Span { start: 1, end: 9 })]));
    }

    #[test]
    fn a_gap_before_the_end_is_passed() {
        let mut open = Spans::from([(at("a", 0), Span { start: 0, end: 5 })]);
        // Offsets 3 and 4 were markers; the next record lies beyond the end.
        assert!(taken(&mut open, vec![record("a", 0, 6)]).is_empty());
        assert!(open.is_empty());
    }
}
