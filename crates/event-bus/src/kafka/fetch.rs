//! One subscription's Kafka consumer, on a thread of its own for its whole life.
//!
//! The thread polls, and talks to the runtime through two channels. librdkafka runs the rebalance callback inside
//! `poll`, on this thread; a revoke waits there until the runtime has drained the partitions, commits what is settled
//! and only then gives them back, so the next owner starts behind it.

mod rebalance;

use std::ops::ControlFlow;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{KafkaConfig, Record};
use crate::consumer::Position;
use crate::names::{GroupName, InstanceId, TopicName};
use rebalance::{Rebalancing, partitions_of};

pub(crate) use rebalance::Start;

/// The longest wait inside one poll, and so the longest an order of the runtime waits.
const POLL: Duration = Duration::from_millis(50);
/// Records handed over at once; more wait for the next round, after the runtime's orders.
const HANDOVER: usize = 1_000;
/// Handovers that the runtime has not taken in yet, beyond which a thread is held.
const UNTAKEN: usize = 2;
/// How long a thread that is held rests between two rounds: a rebalance stands behind the records that the client has.
const HOLD: Duration = Duration::from_millis(100);

/// A commit that Kafka did not take.
#[derive(Debug, thiserror::Error)]
#[error(
    "the offsets of {group} on {topic} were not committed; they are tried again, so check that the brokers can be \
     reached and that the group may commit"
)]
pub(crate) struct CommitError {
    group: GroupName,
    topic: TopicName,
    #[source]
    source: KafkaError,
}

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
    /// How far the client is in the partitions of its topic, and also in those that are not assigned.
    Positions(Vec<Position>),
    /// How an order to commit ended.
    Committed(Result<(), CommitError>),
    /// The consumer can't go on and its thread ends; the runtime makes a new one.
    Failed(KafkaError),
    /// Another process has joined the group under this consumer's instance id, and the thread ends.
    Fenced,
}

/// What the runtime tells the thread.
enum Order {
    Pause(i32),
    Resume(i32),
    /// The runtime has enough records, or has no longer.
    Hold(bool),
    /// The runtime took a handover in.
    Taken,
    Commit(Vec<(i32, i64)>),
    Rejoin,
    Close(Vec<(i32, i64)>),
}

/// Which consumer a thread has.
#[derive(Clone, Copy)]
pub(crate) struct Membership<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) topic: &'a TopicName,
    pub(crate) instance: Option<&'a InstanceId>,
    /// How often it tells its positions.
    pub(crate) positions_every: Duration,
}

/// The runtime's end of a consumer thread.
pub(crate) struct Fetcher {
    orders: std_mpsc::Sender<Order>,
    fetched: UnboundedReceiver<Fetched>,
    is_held: bool,
    thread: Option<thread::JoinHandle<()>>,
}

impl Fetcher {
    /// Starts the thread and subscribes. Under an instance id the consumer is a static member (KIP-345): it does not leave
    /// its group when it is closed, and is given the same partitions if it is there again within the session time-out.
    ///
    /// # Errors
    /// When the client can't be made from this configuration.
    pub(crate) fn start(config: &KafkaConfig, membership: Membership<'_>) -> KafkaResult<Self> {
        let Membership { group, topic, instance, positions_every } = membership;
        let mut native = config.consumer(group.as_ref());
        native.set("statistics.interval.ms", positions_every.as_millis().to_string());
        if let Some(instance) = instance {
            native.set("group.instance.id", instance.as_str());
        }
        let (orders, inbox) = std_mpsc::channel();
        let (outbox, fetched) = unbounded_channel();
        let context = Rebalancing::new(topic.clone(), outbox.clone());
        let consumer = BaseConsumer::from_config_and_context(&native, context)?;
        consumer.subscribe(&[topic.as_ref()])?;
        let (group, topic) = (group.clone(), topic.clone());
        let name = format!("fetch {topic}");
        let session = Session { consumer, group, topic, inbox, outbox, is_held: false, untaken: 0 };
        let thread =
            thread::Builder::new().name(name).spawn(move || session.run()).map_err(|error| {
                KafkaError::ClientCreation(format!("no thread for the consumer: {error}"))
            })?;
        Ok(Self { orders, fetched, is_held: false, thread: Some(thread) })
    }

    /// The next message of the thread; `None` once it has ended.
    pub(crate) async fn next(&mut self) -> Option<Fetched> {
        let fetched = self.fetched.recv().await;
        if matches!(fetched, Some(Fetched::Records(_))) {
            self.order(Order::Taken);
        }
        fetched
    }

    /// Stops fetching a partition. Records already on their way still come.
    pub(crate) fn pause(&self, partition: i32) {
        self.order(Order::Pause(partition));
    }

    /// Fetches a paused partition again.
    pub(crate) fn resume(&self, partition: i32) {
        self.order(Order::Resume(partition));
    }

    /// Fetches slowly while the runtime has enough records, of all partitions. This costs nothing, as a pause does, which
    /// makes the client drop what it has fetched.
    pub(crate) fn hold(&mut self, is_held: bool) {
        if self.is_held != is_held {
            self.is_held = is_held;
            self.order(Order::Hold(is_held));
        }
    }

    /// Commits, answered by [`Fetched::Committed`].
    pub(crate) fn commit(&self, offsets: Vec<(i32, i64)>) {
        self.order(Order::Commit(offsets));
    }

    /// Leaves the group, also a static member does, and joins it again.
    pub(crate) fn rejoin(&self) {
        self.order(Order::Rejoin);
    }

    /// Commits, leaves the group unless it is a static member, and ends the thread.
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
    group: GroupName,
    topic: TopicName,
    inbox: std_mpsc::Receiver<Order>,
    outbox: UnboundedSender<Fetched>,
    is_held: bool,
    untaken: usize,
}

impl Session {
    fn run(mut self) {
        loop {
            if let ControlFlow::Break(offsets) = self.obey_orders() {
                return self.close(&offsets);
            }
            if let Err(error) = self.fetch() {
                self.consumer.context().give_up();
                let fenced = Some(RDKafkaErrorCode::FencedInstanceId);
                let fatal = self.consumer.client().fatal_error().map(|(code, _)| code);
                self.tell(if fatal == fenced { Fetched::Fenced } else { Fetched::Failed(error) });
                return;
            }
        }
    }

    /// Carries out what was ordered until it is time to fetch. A break is the order to close, with what to commit.
    fn obey_orders(&mut self) -> ControlFlow<Vec<(i32, i64)>> {
        let rested = Instant::now() + HOLD;
        loop {
            let rest = match self.is_held || self.untaken >= UNTAKEN {
                true => rested.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match self.inbox.recv_timeout(rest) {
                Ok(order) => self.obey(order)?,
                Err(std_mpsc::RecvTimeoutError::Timeout) => return ControlFlow::Continue(()),
                Err(std_mpsc::RecvTimeoutError::Disconnected) => {
                    return ControlFlow::Break(Vec::new());
                }
            }
        }
    }

    fn obey(&mut self, order: Order) -> ControlFlow<Vec<(i32, i64)>> {
        match order {
            Order::Hold(is_held) => self.is_held = is_held,
            Order::Taken => self.untaken -= 1,
            Order::Pause(partition) => {
                let done = self.held(partition).and_then(|list| self.consumer.pause(&list));
                self.logged(done, "pause");
            }
            Order::Resume(partition) => {
                let done = self.held(partition).and_then(|list| self.consumer.resume(&list));
                self.logged(done, "resume");
            }
            Order::Commit(offsets) => {
                let result = self.commit(&offsets).map_err(|source| CommitError {
                    group: self.group.clone(),
                    topic: self.topic.clone(),
                    source,
                });
                self.tell(Fetched::Committed(result));
            }
            Order::Rejoin => {
                self.consumer.unsubscribe();
                // The client does it once what it had is given back, in its next polls.
                let done = self.consumer.subscribe(&[self.topic.as_ref()]);
                self.logged(done, "rejoin");
            }
            Order::Close(offsets) => return ControlFlow::Break(offsets),
        }
        ControlFlow::Continue(())
    }

    /// Polls once with a wait and then takes what is there already.
    fn fetch(&mut self) -> KafkaResult<()> {
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
                    tracing::warn!(topic = %self.topic, "the topic does not exist yet: `event-bus topics apply` creates it");
                }
                Some(Err(error)) => tracing::warn!(topic = %self.topic, %error, "consumer"),
                None => break,
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.untaken += 1;
            self.tell(Fetched::Records(records));
        }
        if self.consumer.context().is_over() {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
        ended
    }

    /// Commits the offsets of the partitions that are still assigned. An order may have been given before a revoke,
    /// and what the next owner has committed since must not be set back.
    fn commit(&self, offsets: &[(i32, i64)]) -> KafkaResult<()> {
        let assigned = self.assigned()?;
        let held = held_offsets(offsets, &assigned);
        if held.is_empty() { Ok(()) } else { commit(&self.consumer, &self.topic, &held) }
    }

    fn assigned(&self) -> KafkaResult<Vec<i32>> {
        Ok(partitions_of(&self.consumer.assignment()?))
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

    /// The partition, or nothing when it is not assigned any more: librdkafka would remember the pause for the time
    /// that it is assigned again.
    fn held(&self, partition: i32) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        if self.assigned()?.contains(&partition) {
            list.add_partition(self.topic.as_ref(), partition);
        }
        Ok(list)
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

fn held_offsets(offsets: &[(i32, i64)], assigned: &[i32]) -> Vec<(i32, i64)> {
    offsets.iter().filter(|(partition, _)| assigned.contains(partition)).copied().collect()
}

/// Errors after which librdkafka delivers nothing more from some partition unless it is assigned again, or goes on
/// behind records that it could not read: a broken checksum, an unknown format, a compression it can't undo. Those
/// would be lost without a trace, so they are read again from the commit.
fn must_start_anew(error: &KafkaError) -> bool {
    match error {
        KafkaError::MessageConsumptionFatal(_) => true,
        KafkaError::MessageConsumption(code) => {
            matches!(
                code,
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::PollExceeded
                    | RDKafkaErrorCode::BadMessage
                    | RDKafkaErrorCode::BadCompression
                    | RDKafkaErrorCode::NotImplemented
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_cannot_be_read_are_not_passed_over() {
        for code in [
            RDKafkaErrorCode::BadMessage,
            RDKafkaErrorCode::BadCompression,
            RDKafkaErrorCode::NotImplemented,
        ] {
            assert!(must_start_anew(&KafkaError::MessageConsumption(code)), "{code}");
        }
        let passing = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
        assert!(!must_start_anew(&passing));
    }

    #[test]
    fn only_offsets_of_assigned_partitions_are_committed() {
        assert_eq!(held_offsets(&[(0, 5), (1, 7), (2, 9)], &[2, 0]), [(0, 5), (2, 9)]);
    }
}
