//! What a consumer answers when its group hands out partitions or takes them back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc::UnboundedSender;

use super::super::context;
use super::{Fetched, commit};
use crate::consumer::Position;
use crate::names::TopicName;

/// How long one question to the broker may take while partitions are being assigned.
const ASK: Duration = Duration::from_secs(10);
/// How often an unanswered question is asked again before the consumer is built anew.
const ASK_TIMES: u32 = 6;
/// The shortest time between two questions.
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// How long the questions for the bounds of all offered partitions may take together: the group waits meanwhile.
const WATERMARKS: Duration = Duration::from_secs(10);
/// How long each partition is asked for its bounds at least, when others have used up the time.
const ASK_ONCE: Duration = Duration::from_secs(1);

/// Where a partition starts, as found when it was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The group never committed: at the earliest record there is.
    Earliest {
        /// The bounds of the log, if a broker told.
        bounds: Option<(i64, i64)>,
    },
    /// Behind the group's commit.
    Committed {
        /// The group's committed offset.
        offset: i64,
        /// The end of the log, if a broker told.
        log_end: Option<i64>,
    },
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

/// Answers rebalances.
pub(super) struct Rebalancing {
    topic: TopicName,
    outbox: UnboundedSender<Fetched>,
    /// Set at the close, and when an assignment failed: from then on partitions are let go at once.
    over: AtomicBool,
}

impl Rebalancing {
    pub(super) fn new(topic: TopicName, outbox: UnboundedSender<Fetched>) -> Self {
        Self { topic, outbox, over: AtomicBool::new(false) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn give_up(&self) {
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
                Start::Earliest { .. } => Offset::Beginning,
                Start::Committed { offset, .. } => Offset::Offset(*offset),
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
        // librdkafka keeps a partition's pause over a revoke, and the runtime starts from one that is fetched.
        let result = consumer
            .resume(list)
            .and_then(|()| answer_assign(consumer, &assigned))
            .and_then(|()| consumer.pause(&halted));
        if let Err(error) = result {
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
        let committed = asked_again(|| {
            let committed = consumer.committed_offsets(list.clone(), ASK)?;
            for element in committed.elements() {
                element.error()?;
            }
            Ok(committed)
        })?;
        let deadline = Instant::now() + WATERMARKS;
        let mut starts = Vec::new();
        for element in committed.elements() {
            let partition = element.partition();
            let start = match element.offset() {
                Offset::Offset(committed) => {
                    match self.watermarks(consumer, partition, deadline) {
                        Ok((log_start, log_end)) => start_of(committed, log_start, log_end),
                        Err(error) => {
                            // A partition without a leader must not keep the others from being consumed. A commit
                            // outside of the log is still noticed, when it is fetched.
                            tracing::warn!(
                                topic = %self.topic, partition, committed, %error,
                                "the bounds of the log are unknown: the partition starts at its commit unchecked"
                            );
                            Start::Committed { offset: committed, log_end: None }
                        }
                    }
                }
                // Where the log ends tells whether a record may have been seen before.
                _ => {
                    let bounds = self.watermarks(consumer, partition, deadline);
                    if let Err(error) = &bounds {
                        tracing::warn!(
                            topic = %self.topic, partition, %error,
                            "the bounds of the log are unknown: an owner that has to be careful is so for longer"
                        );
                    }
                    Start::Earliest { bounds: bounds.ok() }
                }
            };
            starts.push((partition, start));
        }
        Ok(starts)
    }

    /// Asks for the bounds of a partition's log until the deadline, and at least once.
    fn watermarks(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: i32,
        deadline: Instant,
    ) -> KafkaResult<(i64, i64)> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(ASK_ONCE);
            match consumer.fetch_watermarks(self.topic.as_ref(), partition, left) {
                Err(_) if Instant::now() < deadline => thread::sleep(ASK_PAUSE),
                answer => return answer,
            }
        }
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

pub(super) fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(TopicPartitionListElem::partition).collect()
}

/// Where a group with a commit starts, given what the log still holds.
fn start_of(committed: i64, log_start: i64, log_end: i64) -> Start {
    if committed < log_start {
        Start::LostToRetention { committed, log_start }
    } else if committed > log_end {
        Start::BeyondEnd { committed, log_end }
    } else {
        Start::Committed { offset: committed, log_end: Some(log_end) }
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
                thread::sleep(ASK_PAUSE.saturating_sub(started.elapsed()));
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

    fn stats(&self, statistics: Statistics) {
        let topics = statistics.topics.into_values();
        let partitions = topics.flat_map(|topic| topic.partitions.into_values());
        let positions = partitions.map(|partition| Position {
            partition: partition.partition,
            next: partition.next_offset,
            queued: partition.fetchq_cnt,
        });
        drop(self.outbox.send(Fetched::Positions(positions.collect())));
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
        let committed = |offset| Start::Committed { offset, log_end: Some(10) };
        assert_eq!(start_of(5, 0, 10), committed(5));
        assert_eq!(start_of(10, 10, 10), committed(10));
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
