//! Sends the rows of a round, and never one behind a row of its topic and key that Kafka refused.
//!
//! Rows go out in a stream, so a refusal is known when later rows are on their way. Kafka itself holds those back: they
//! carry sequence numbers, and it takes none behind a gap. It knows of a gap only where it has numbers of this producer
//! already, so the first row of each partition goes alone. A refusal ends the producer; the rows of that topic which
//! were on their way go one by one afterwards, for Kafka refuses batches, and a batch may be too large where none of
//! its records is. A row that is refused alone is refused for good.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::envelope::OutgoingRecord;
use crate::kafka::producer::{Delivered, OnDelivery, Producer, SendError};
use crate::names::TopicName;
use crate::partition::partition_for;
use crate::store::PendingRow;
use crate::tracer::Tracer;

/// How long one question about a topic's partitions may take.
const ASK: Duration = Duration::from_secs(5);
/// How long a missing topic is taken for missing before Kafka is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The wait before a record is offered again to a client whose queue was full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(5);
/// How long rows that go one by one may take before they are settled, well below the lease's time.
const ROUND_TIME: Duration = Duration::from_secs(3);

/// What the relay has learnt about its topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Those that don't exist, and when Kafka was asked.
    missing: HashMap<TopicName, Instant>,
    /// Up to which row they are sent one by one.
    one_by_one: HashMap<TopicName, i64>,
}

/// How a round's rows fared.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) delivered: Vec<i64>,
    /// Rows that Kafka will never take.
    pub(super) refused: Vec<(i64, SendError)>,
    /// Whether the other rows should be sent again at once.
    pub(super) again: bool,
    /// Why the others were not sent.
    pub(super) failure: Option<SendError>,
}

/// The rows under one key of one topic.
type Lane = (TopicName, Option<Bytes>);

/// How a row's send ended.
struct Report {
    id: i64,
    topic: TopicName,
    result: Result<Delivered, SendError>,
}

/// A partition of a topic.
type Place = (TopicName, i32);

/// A producer and the partitions that it has delivered to.
pub(super) struct Sender {
    producer: Producer,
    tracer: Tracer,
    opened: HashSet<Place>,
}

/// What a round knows before its reports are in.
struct Round<'a> {
    topics: &'a mut Topics,
    sent: Sent,
    /// Lanes with a row that was refused in this round.
    halted: HashSet<Lane>,
    /// The last row of each topic that went in the stream.
    last_of: HashMap<TopicName, i64>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Topics {
    /// Those whose rows need not be looked at now.
    pub(super) fn missing(&self) -> Vec<TopicName> {
        self.missing.keys().filter(|topic| self.is_missing(topic)).cloned().collect()
    }

    fn is_missing(&self, topic: &TopicName) -> bool {
        self.missing.get(topic).is_some_and(|asked_at| asked_at.elapsed() < ASK_AGAIN)
    }

    fn note_missing(&mut self, topic: TopicName, error: &SendError) {
        // Told once, not every second.
        if self.missing.insert(topic, Instant::now()).is_none() {
            tracing::error!(%error, "events wait in the outbox");
        }
    }

    fn goes_one_by_one(&self, topic: &TopicName, id: i64) -> bool {
        self.one_by_one.get(topic).is_some_and(|last| id <= *last)
    }
}

impl Round<'_> {
    fn is_halted(&self, lane: &Lane) -> bool {
        self.halted.contains(lane) || self.topics.is_missing(&lane.0)
    }

    fn refuse(&mut self, id: i64, lane: Lane, error: SendError) {
        self.sent.refused.push((id, error));
        self.sent.again = true;
        self.halted.insert(lane);
    }

    fn miss(&mut self, topic: TopicName, error: &SendError) {
        self.topics.note_missing(topic, error);
        // Its rows may have filled the round; without them others have their turn.
        self.sent.again = true;
    }
}

impl Sender {
    pub(super) fn new(producer: Producer, tracer: Tracer) -> Self {
        Self { producer, tracer, opened: HashSet::new() }
    }

    /// Whether it sends nothing any more: another must take its place.
    pub(super) fn has_ended(&self) -> bool {
        self.producer.has_ended()
    }

    /// Sends the rows in their order and waits for all their reports.
    pub(super) async fn send(&mut self, rows: Vec<PendingRow>, topics: &mut Topics) -> Sent {
        let (reports, arriving) = mpsc::unbounded_channel();
        let (sent, halted, last_of) = (Sent::default(), HashSet::new(), HashMap::new());
        let mut round = Round { topics, sent, halted, last_of, reports };
        let started = Instant::now();
        for row in rows {
            if started.elapsed() > ROUND_TIME {
                round.sent.again = true;
                break;
            }
            if let Err(error) = self.send_row(row, &mut round).await {
                round.sent.failure = Some(error);
                break;
            }
        }
        self.collect(arriving, round).await
    }

    /// Lets a row go in the stream, or sends it alone where it must. An error ends the round.
    async fn send_row(&mut self, row: PendingRow, round: &mut Round<'_>) -> Result<(), SendError> {
        let PendingRow { id, record, since } = row;
        let lane = (record.topic.clone(), record.key.clone());
        if round.is_halted(&lane) {
            return Ok(());
        }
        let (record, place) = match self.addressed(record).await {
            Err(error @ SendError::UnknownTopic { .. }) => {
                round.miss(lane.0, &error);
                return Ok(());
            }
            addressed => addressed?,
        };
        round.topics.missing.remove(&lane.0);
        let sending = self.tracer.relaying(&record, since);
        let is_opened = place.as_ref().is_none_or(|place| self.opened.contains(place));
        let outcome = if is_opened && !round.topics.goes_one_by_one(&lane.0, id) {
            round.last_of.insert(lane.0.clone(), id);
            let (reports, topic) = (round.reports.clone(), lane.0.clone());
            // The receiver lives until every sender is gone, unless the round was given up.
            self.hand_over(
                &record,
                OnDelivery::Run(Box::new(move |result| {
                    if let (Some(sending), Ok(_)) = (sending, &result) {
                        sending.ended(&result);
                    }
                    drop(reports.send(Report { id, topic, result }));
                })),
            )
            .await
        } else {
            let result = self.send_alone(&record).await;
            // Whatever else it is that ended badly, the row waits on.
            if let (Some(sending), Ok(_) | Err(SendError::Refused { .. })) = (sending, &result) {
                sending.ended(&result);
            }
            result.map(|_| {
                round.sent.delivered.push(id);
                self.opened.extend(place);
            })
        };
        match outcome {
            // The client refuses what is larger than it may be by itself: alone as well as in company.
            Err(error @ SendError::Refused { .. }) => round.refuse(id, lane, error),
            Err(error @ SendError::UnknownTopic { .. }) => {
                self.producer.forget_partition_count(&lane.0);
                round.miss(lane.0, &error);
            }
            outcome => outcome?,
        }
        Ok(())
    }

    /// Adds the reports of the rows that went in the stream.
    async fn collect(
        &self,
        mut arriving: mpsc::UnboundedReceiver<Report>,
        round: Round<'_>,
    ) -> Sent {
        let Round { topics, mut sent, last_of, reports, .. } = round;
        // The channel ends with its last report.
        drop(reports);
        while let Some(Report { id, topic, result }) = arriving.recv().await {
            match result {
                Ok(_) => sent.delivered.push(id),
                Err(error @ SendError::Refused { .. }) => {
                    tracing::warn!(row = id, %error, "Kafka refused a row in company: its topic's rows go one by one");
                    topics.one_by_one.extend(last_of.get(&topic).map(|last| (topic, *last)));
                    sent.again = true;
                }
                Err(error @ SendError::UnknownTopic { .. }) => {
                    self.producer.forget_partition_count(&topic);
                    topics.note_missing(topic, &error);
                }
                Err(error) => sent.failure = Some(error),
            }
        }
        sent
    }

    /// The record with its partition folded into those that there are, and where it goes, if that is known.
    async fn addressed(
        &self,
        mut record: OutgoingRecord,
    ) -> Result<(OutgoingRecord, Option<Place>), SendError> {
        let count = match self.producer.known_partition_count(&record.topic) {
            Some(count) => count,
            None => {
                let (producer, topic) = (self.producer.clone(), record.topic.clone());
                let asked =
                    tokio::task::spawn_blocking(move || producer.partition_count(&topic, ASK))
                        .await;
                asked.unwrap_or(Err(SendError::Gone))?
            }
        };
        record.partition = record.partition.map(|partition| partition % count);
        let place = record.partition.or_else(|| Some(partition_for(record.key.as_deref()?, count)));
        let place = place.map(|partition| (record.topic.clone(), partition));
        Ok((record, place))
    }

    async fn send_alone(&self, record: &OutgoingRecord) -> Result<Delivered, SendError> {
        let (report, delivered) = oneshot::channel();
        self.hand_over(record, OnDelivery::Tell(report)).await?;
        delivered.await.unwrap_or(Err(SendError::Gone))
    }

    async fn hand_over(
        &self,
        record: &OutgoingRecord,
        mut on_delivery: OnDelivery,
    ) -> Result<(), SendError> {
        loop {
            match self.producer.send(record, on_delivery) {
                Ok(()) => return Ok(()),
                Err((SendError::QueueFull, back)) => {
                    on_delivery = back;
                    tokio::time::sleep(QUEUE_FULL_WAIT).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}
