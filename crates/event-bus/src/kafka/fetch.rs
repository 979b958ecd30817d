//! One subscription's Kafka consumer, on a thread of its own for its whole life.
//!
//! The thread polls, and talks to the runtime through two channels. librdkafka runs the rebalance callback inside
//! `poll`, on this thread; a revoke waits there until the runtime has drained the partitions, commits what is settled
//! and only then gives them back, so the next owner starts behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{KafkaConfig, Record, context};
use crate::names::{GroupName, TopicName};

/// The longest wait inside one poll, and so the longest an order of the runtime waits.
const POLL: Duration = Duration::from_millis(50);
/// Records handed over at once; more wait for the next round, after the runtime's orders.
const HANDOVER: usize = 1_000;
/// How long one question to the broker may take while partitions are being assigned.
const ASK: Duration = Duration::from_secs(10);
/// How often an unanswered question is asked again before the consumer is built anew.
const ASK_TIMES: u32 = 6;

/// Where a partition starts, as found when it was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The group never committed: at the earliest record there is.
    Earliest,
    /// Behind the group's commit.
    Committed(i64),
    /// The group's commit lies below the start of the log: retention took the events between. Nothing is consumed.
    LostToRetention {
        /// The group's committed offset.
        committed: i64,
        /// The first offset that is still there.
        log_start: i64,
    },
    /// The group's commit lies behind the end of the log: the topic was made anew or truncated. Nothing is consumed.
    BeyondEnd {
        /// The group's committed offset.
        committed: i64,
        /// The end of the log.
        log_end: i64,
    },
}

/// A commit that Kafka did not take.
#[derive(Debug, thiserror::Error)]
#[error("the offsets were not committed")]
pub(crate) struct CommitError(#[source] KafkaError);

/// What the thread tells the runtime.
pub(crate) enum Fetched {
    Assigned(Vec<(i32, Start)>),
    Records(Vec<Record>),
    /// The partitions go to another member once `settled` is answered with what may be committed.
    Revoked {
        partitions: Vec<i32>,
        settled: std_mpsc::SyncSender<Vec<(i32, i64)>>,
    },
    /// The partitions are somebody else's already: nothing may be committed.
    Lost(Vec<i32>),
    Committed {
        offsets: Vec<(i32, i64)>,
        result: Result<(), CommitError>,
    },
    /// The consumer can't go on and its thread ends; the runtime makes a new one.
    Failed(KafkaError),
}

/// What the runtime tells the thread.
enum Order {
    Pause(i32),
    Resume(i32),
    Commit(Vec<(i32, i64)>),
    Close(Vec<(i32, i64)>),
}

/// The runtime's end of a consumer thread.
pub(crate) struct Fetcher {
    orders: std_mpsc::Sender<Order>,
    fetched: UnboundedReceiver<Fetched>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Fetcher {
    /// Starts the thread and subscribes.
    ///
    /// # Errors
    /// When the client can't be made from this configuration.
    pub(crate) fn start(
        config: &KafkaConfig,
        group: &GroupName,
        topic: &TopicName,
    ) -> KafkaResult<Self> {
        let (orders, inbox) = std_mpsc::channel();
        let (outbox, fetched) = unbounded_channel();
        let context = Rebalancing {
            topic: topic.clone(),
            outbox: outbox.clone(),
            over: AtomicBool::new(false),
        };
        let consumer =
            BaseConsumer::from_config_and_context(&config.consumer(group.as_ref()), context)?;
        consumer.subscribe(&[topic.as_ref()])?;
        let session = Session { consumer, topic: topic.clone(), inbox, outbox };
        let thread = thread::Builder::new()
            .name(format!("fetch {topic}"))
            .spawn(move || session.run())
            .map_err(|error| {
                KafkaError::ClientCreation(format!("no thread for the consumer: {error}"))
            })?;
        Ok(Self { orders, fetched, thread: Some(thread) })
    }

    /// The next message of the thread; `None` once it has ended.
    pub(crate) async fn next(&mut self) -> Option<Fetched> {
        self.fetched.recv().await
    }

    /// Stops fetching a partition. Records already on their way still come.
    pub(crate) fn pause(&self, partition: i32) {
        self.order(Order::Pause(partition));
    }

    /// Fetches a paused partition again.
    pub(crate) fn resume(&self, partition: i32) {
        self.order(Order::Resume(partition));
    }

    /// Commits, answered by [`Fetched::Committed`].
    pub(crate) fn commit(&self, offsets: Vec<(i32, i64)>) {
        self.order(Order::Commit(offsets));
    }

    /// Commits, leaves the group and ends the thread.
    pub(crate) async fn close(mut self, offsets: Vec<(i32, i64)>) {
        // A revoke may have begun meanwhile. Its callback holds the thread until it is answered, and nobody else
        // reads the channel any more.
        self.fetched.close();
        while let Some(fetched) = self.fetched.recv().await {
            if let Fetched::Revoked { partitions, settled } = fetched {
                let theirs = offsets.iter().filter(|(partition, _)| partitions.contains(partition));
                drop(settled.send(theirs.copied().collect()));
            }
        }
        self.order(Order::Close(offsets));
        let Some(thread) = self.thread.take() else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a consumer thread ended with a panic");
        }
    }

    fn order(&self, order: Order) {
        // The thread may have ended by itself; then its last message, which says why, is on its way.
        drop(self.orders.send(order));
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.order(Order::Close(Vec::new()));
    }
}

struct Session {
    consumer: BaseConsumer<Rebalancing>,
    topic: TopicName,
    inbox: std_mpsc::Receiver<Order>,
    outbox: UnboundedSender<Fetched>,
}

impl Session {
    fn run(self) {
        loop {
            loop {
                match self.inbox.try_recv() {
                    Ok(Order::Pause(partition)) => {
                        self.logged(self.consumer.pause(&self.one(partition)), "pause")
                    }
                    Ok(Order::Resume(partition)) => {
                        self.logged(self.consumer.resume(&self.one(partition)), "resume")
                    }
                    Ok(Order::Commit(offsets)) => {
                        let result = self.commit(&offsets).map_err(CommitError);
                        self.tell(Fetched::Committed { offsets, result });
                    }
                    Ok(Order::Close(offsets)) => return self.close(&offsets),
                    Err(std_mpsc::TryRecvError::Empty) => break,
                    Err(std_mpsc::TryRecvError::Disconnected) => return self.close(&[]),
                }
            }
            if let Err(error) = self.fetch() {
                self.consumer.context().give_up();
                self.tell(Fetched::Failed(error));
                return;
            }
        }
    }

    /// Polls once with a wait and then takes what is there already.
    fn fetch(&self) -> KafkaResult<()> {
        let mut records = Vec::new();
        let mut wait = POLL;
        let mut ended = Ok(());
        while records.len() < HANDOVER {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => records.push(Record::copied(self.topic.clone(), &message)),
                Some(Err(error)) if must_start_anew(&error) => {
                    ended = Err(error);
                    break;
                }
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                ))) => {
                    tracing::warn!(topic = %self.topic, "the topic does not exist yet: `event-bus topics apply` creates it")
                }
                Some(Err(error)) => tracing::warn!(topic = %self.topic, %error, "consumer"),
                None => break,
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.tell(Fetched::Records(records));
        }
        if self.consumer.context().is_over() {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
        ended
    }

    fn commit(&self, offsets: &[(i32, i64)]) -> KafkaResult<()> {
        commit(&self.consumer, &self.topic, offsets)
    }

    /// Commits and leaves the group: dropping the consumer revokes, and the flag tells the callback to let go.
    fn close(self, offsets: &[(i32, i64)]) {
        self.consumer.context().give_up();
        if !offsets.is_empty()
            && let Err(error) = self.commit(offsets)
        {
            tracing::warn!(topic = %self.topic, %error, "the last commit failed: its events will be skipped as duplicates");
        }
        drop(self.consumer);
    }

    fn one(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(self.topic.as_ref(), partition);
        list
    }

    fn logged(&self, result: KafkaResult<()>, what: &str) {
        if let Err(error) = result {
            tracing::warn!(topic = %self.topic, %error, what, "consumer");
        }
    }

    fn tell(&self, fetched: Fetched) {
        // When the runtime is gone, so is the interest in this message; the Close order follows.
        drop(self.outbox.send(fetched));
    }
}

/// Errors after which librdkafka delivers nothing more from some partition unless it is assigned again.
fn must_start_anew(error: &KafkaError) -> bool {
    match error {
        KafkaError::MessageConsumptionFatal(_) => true,
        KafkaError::MessageConsumption(code) => {
            matches!(
                code,
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::PollExceeded
            )
        }
        _ => false,
    }
}

fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &TopicName,
    offsets: &[(i32, i64)],
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic.as_ref(), *partition, Offset::Offset(*offset))?;
    }
    match consumer.commit(&list, CommitMode::Sync) {
        // Nothing to commit is not a failure.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        other => other,
    }
}

/// Answers rebalances.
struct Rebalancing {
    topic: TopicName,
    outbox: UnboundedSender<Fetched>,
    /// Set at the close, and when an assignment failed: from then on partitions are let go at once.
    over: AtomicBool,
}

impl Rebalancing {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn give_up(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        if self.is_over() {
            // A consumer that is being closed learns nothing more from its coordinator.
            return self.decline(consumer);
        }
        let partitions = partitions_of(list);
        let starts = match self.starts(consumer, list) {
            Ok(starts) => starts,
            Err(error) => {
                // Without the committed offsets any start would be a guess. The consumer is built anew.
                tracing::error!(topic = %self.topic, %error, "the broker did not tell the committed offsets");
                self.give_up();
                return self.decline(consumer);
            }
        };
        let mut assigned = TopicPartitionList::new();
        let mut halted = TopicPartitionList::new();
        for (partition, start) in &starts {
            let offset = match start {
                Start::Earliest => Offset::Beginning,
                Start::Committed(offset) => Offset::Offset(*offset),
                Start::LostToRetention { .. } | Start::BeyondEnd { .. } => {
                    halted.add_partition(self.topic.as_ref(), *partition);
                    Offset::End
                }
            };
            if let Err(error) =
                assigned.add_partition_offset(self.topic.as_ref(), *partition, offset)
            {
                tracing::error!(topic = %self.topic, partition, %error, "the start position was refused");
            }
        }
        let result = answer_assign(consumer, &assigned);
        if let Err(error) = result.and_then(|()| consumer.pause(&halted)) {
            tracing::error!(topic = %self.topic, ?partitions, %error, "the assignment was refused");
            self.give_up();
            return self.decline(consumer);
        }
        drop(self.outbox.send(Fetched::Assigned(starts)));
    }

    /// Takes none of the offered partitions. librdkafka waits for an answer, and a consumer that owes one never closes.
    fn decline(&self, consumer: &BaseConsumer<Self>) {
        if let Err(error) = answer_assign(consumer, &TopicPartitionList::new()) {
            tracing::warn!(topic = %self.topic, %error, "declining partitions");
        }
    }

    fn starts(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> KafkaResult<Vec<(i32, Start)>> {
        let committed = asked_again(|| consumer.committed_offsets(list.clone(), ASK))?;
        let mut starts = Vec::new();
        for element in committed.elements() {
            let partition = element.partition();
            let start = match element.offset() {
                Offset::Offset(committed) => {
                    let (log_start, log_end) = asked_again(|| {
                        consumer.fetch_watermarks(self.topic.as_ref(), partition, ASK)
                    })?;
                    start_of(committed, log_start, log_end)
                }
                _ => Start::Earliest,
            };
            starts.push((partition, start));
        }
        Ok(starts)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        if !self.is_over() {
            if consumer.assignment_lost() {
                drop(self.outbox.send(Fetched::Lost(partitions)));
            } else {
                self.drain_and_commit(consumer, partitions);
            }
        }
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = result {
            tracing::warn!(topic = %self.topic, %error, "giving partitions back");
        }
    }

    fn drain_and_commit(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>) {
        let (settled, answer) = std_mpsc::sync_channel(1);
        if self.outbox.send(Fetched::Revoked { partitions, settled }).is_err() {
            return;
        }
        // The runtime answers within its drain deadline, or drops its end when it is gone.
        let Ok(offsets) = answer.recv() else { return };
        if !offsets.is_empty()
            && let Err(error) = commit(consumer, &self.topic, &offsets)
        {
            tracing::warn!(topic = %self.topic, %error, "the commit at a revoke failed: the next owner skips duplicates");
        }
    }
}

fn answer_assign(
    consumer: &BaseConsumer<Rebalancing>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(TopicPartitionListElem::partition).collect()
}

/// Where a group with a commit starts, given what the log still holds.
fn start_of(committed: i64, log_start: i64, log_end: i64) -> Start {
    if committed < log_start {
        Start::LostToRetention { committed, log_start }
    } else if committed > log_end {
        Start::BeyondEnd { committed, log_end }
    } else {
        Start::Committed(committed)
    }
}

fn asked_again<T>(mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut asked = 1;
    loop {
        let started = Instant::now();
        match ask() {
            Err(error) if asked < ASK_TIMES => {
                tracing::warn!(%error, asked, "the broker did not answer while partitions were assigned");
                // An error that came at once would come at once again.
                thread::sleep(Duration::from_millis(200).saturating_sub(started.elapsed()));
                asked += 1;
            }
            answer => return answer,
        }
    }
}

impl ClientContext for Rebalancing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "event_bus::kafka", topic = %self.topic, %error, reason, "kafka consumer");
    }
}

impl ConsumerContext for Rebalancing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_inside_the_log_is_the_start() {
        assert_eq!(start_of(5, 0, 10), Start::Committed(5));
        assert_eq!(start_of(10, 10, 10), Start::Committed(10));
    }

    #[test]
    fn a_commit_below_the_log_halts() {
        assert_eq!(start_of(5, 7, 10), Start::LostToRetention { committed: 5, log_start: 7 });
    }

    #[test]
    fn a_commit_behind_the_log_halts() {
        assert_eq!(start_of(11, 0, 10), Start::BeyondEnd { committed: 11, log_end: 10 });
    }
}
