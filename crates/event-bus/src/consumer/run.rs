//! One subscription's life: fetch, dispatch, commit, give partitions back, stop.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;

use super::execute::{Executor, Report};
use super::infrastructure::Trouble;
use super::lane::Width;
use super::outage::Outage;
use super::partition::{Flow, Partition};
use super::receive::Received;
use crate::catalogue::Execution;
use crate::dead_letter::error_chain;
use crate::kafka::fetch::{CommitError, Fetched, Fetcher, Start};
use crate::kafka::{KafkaConfig, Record};
use crate::limits::MAX_BATCH;
use crate::shutdown;

/// A commit follows at the latest this long after an event settled.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// A commit follows at the latest after so many settled events of a partition.
const COMMIT_EVENTS: usize = 1_000;
/// How long running handlers may go on when their partition is revoked or the service stops. Then they are rolled back.
const DRAIN: Duration = Duration::from_secs(10);
/// How long one question to a database that is down may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before a failed Kafka consumer is built anew.
const REBUILD_WAIT: Duration = Duration::from_secs(1);

/// One service's consumption of one topic.
pub(crate) struct Subscription {
    pub(crate) kafka: KafkaConfig,
    pub(crate) executor: Executor,
    pub(crate) execution: Execution,
    pub(crate) waits: Arc<[Duration]>,
}

impl Subscription {
    /// Consumes until `stop` turns true, then finishes what runs, commits and leaves the group.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let (group, topic) = (&self.executor.group, &self.executor.event.topic);
        while !shutdown::is_requested(&stop) {
            match Fetcher::start(&self.kafka, group, topic) {
                Ok(fetcher) => Session::new(&self, fetcher).run(&mut stop).await,
                Err(error) => tracing::error!(
                    %group, %topic, error = error_chain(&error),
                    "no Kafka consumer could be made, and nothing of this topic is consumed: correct the Kafka settings"
                ),
            }
            if !shutdown::is_requested(&stop) {
                tracing::warn!(%group, %topic, "the Kafka consumer is built anew");
                drop(tokio::time::timeout(REBUILD_WAIT, stop.changed()).await);
            }
        }
    }
}

/// What runs as one task.
struct Running {
    partition: i32,
    abort: AbortHandle,
}

/// A finished task's result.
struct Finished {
    partition: i32,
    assignment: u64,
    report: Report,
}

/// The time between two rebuilds of the Kafka consumer.
struct Session<'a> {
    subscription: &'a Subscription,
    fetcher: Option<Fetcher>,
    partitions: HashMap<i32, Assigned>,
    tasks: JoinSet<Finished>,
    running: HashMap<tokio::task::Id, Running>,
    /// Numbers assignments, so that a task of an earlier one is told from the present one's.
    assignments: u64,
    /// The partition that started a task last.
    last_turn: i32,
    outage: Outage,
    commit_in_flight: bool,
    commit_failing: bool,
    failed: bool,
}

struct Assigned {
    assignment: u64,
    state: Partition,
}

impl<'a> Session<'a> {
    fn new(subscription: &'a Subscription, fetcher: Fetcher) -> Self {
        Self {
            subscription,
            fetcher: Some(fetcher),
            partitions: HashMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            assignments: 0,
            last_turn: -1,
            outage: Outage::default(),
            commit_in_flight: false,
            commit_failing: false,
            failed: false,
        }
    }

    async fn run(mut self, stop: &mut watch::Receiver<bool>) {
        let mut commit_tick = tokio::time::interval(COMMIT_EVERY);
        while !self.failed {
            self.dispatch();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = shutdown::requested(stop) => return self.close().await,
                Some(finished) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.finish(finished),
                fetched = next_of(&mut self.fetcher) => match fetched {
                    Some(fetched) => if !self.take_in(fetched).await { break },
                    None => break,
                },
                () = until(wake) => self.probe_if_due().await,
                _ = commit_tick.tick() => self.commit(),
            }
        }
        // The consumer is gone, or its state can't be trusted: nothing may be committed.
        self.tasks.abort_all();
    }

    /// Starts what may run now.
    fn dispatch(&mut self) {
        if self.outage.next_probe().is_some() || self.commit_failing {
            return;
        }
        let now = Instant::now();
        let mut numbers: Vec<i32> = self.partitions.keys().copied().collect();
        // The one behind the last that had a turn comes first, and each gives way after one task: where all share the
        // room, a busy partition must not keep the others from theirs.
        numbers.sort_unstable_by_key(|number| (*number <= self.last_turn, *number));
        while !numbers.is_empty() {
            numbers.retain(|number| self.start_one(*number, now));
        }
    }

    /// Starts one task of a partition, if one may start.
    fn start_one(&mut self, number: i32, now: Instant) -> bool {
        let Some(most) = self.room(number) else { return false };
        let Some(assigned) = self.partitions.get_mut(&number) else { return false };
        let jobs = assigned.state.take(most, now);
        if jobs.is_empty() {
            return false;
        }
        let executor = self.subscription.executor.clone();
        let assignment = assigned.assignment;
        let abort = self.tasks.spawn(async move {
            let report = executor.run(number, &jobs).await;
            Finished { partition: number, assignment, report }
        });
        self.running.insert(abort.id(), Running { partition: number, abort });
        self.last_turn = number;
        true
    }

    /// How many events of a partition may start as one task now; `None` when none may.
    fn room(&self, number: i32) -> Option<usize> {
        match self.subscription.execution {
            Execution::Batched => {
                (self.partitions.get(&number)?.state.running() == 0).then_some(MAX_BATCH)
            }
            Execution::Concurrent(most) => {
                (self.tasks.len() < usize::from(most.get())).then_some(1)
            }
        }
    }

    fn finish(&mut self, finished: Result<(tokio::task::Id, Finished), JoinError>) {
        let finished = match finished {
            Ok((id, finished)) => {
                self.running.remove(&id);
                finished
            }
            Err(error) => {
                // An aborted task's partition is gone already. A panic outside of a handler leaves events that
                // nobody runs: the session starts anew behind the last commit.
                self.running.remove(&error.id());
                self.failed |= error.is_panic();
                return;
            }
        };
        if finished.report.trouble == Some(Trouble::Down) {
            if self.outage.begin(Instant::now()) {
                tracing::error!(group = %self.subscription.executor.group, "the database is down or refuses: waiting for it");
            }
        } else if finished.report.has_committed() {
            self.outage.over();
        }
        let Some(assigned) = self.partitions.get_mut(&finished.partition) else { return };
        if assigned.assignment != finished.assignment {
            return;
        }
        assigned.state.apply(finished.report.verdicts, Instant::now(), Timestamp::now());
        let many_settled = assigned.state.settled_since_commit() >= COMMIT_EVENTS;
        self.regulate(finished.partition);
        if many_settled {
            self.commit();
        }
    }

    /// Takes in a message of the consumer thread. `false` ends the session.
    async fn take_in(&mut self, fetched: Fetched) -> bool {
        match fetched {
            Fetched::Assigned(starts) => self.assign(starts),
            Fetched::Records(records) => self.receive(records),
            Fetched::Revoked { partitions, settled } => {
                let offsets = self.give_back(&partitions).await;
                // The thread waits for this answer, or has ended.
                drop(settled.send(offsets));
            }
            Fetched::Lost(partitions) => {
                tracing::warn!(group = %self.subscription.executor.group, ?partitions, "partitions were lost");
                self.drop_partitions(&partitions);
            }
            Fetched::Committed { offsets, result } => self.committed(&offsets, result),
            Fetched::Failed(error) => {
                tracing::error!(
                    group = %self.subscription.executor.group, topic = %self.subscription.executor.event.topic,
                    error = error_chain(&error),
                    "the Kafka consumer failed and reads again from the last commit; if this repeats, look for records \
                     there that the brokers or this client can't read"
                );
                return false;
            }
        }
        true
    }

    fn assign(&mut self, starts: Vec<(i32, Start)>) {
        let group = &self.subscription.executor.group;
        let topic = &self.subscription.executor.event.topic;
        let width = match self.subscription.execution {
            Execution::Batched => Width::Queue,
            Execution::Concurrent(_) => Width::Head,
        };
        self.commit_failing = false;
        for (number, start) in starts {
            tracing::info!(%group, partition = number, ?start, "assigned");
            match start {
                // A halted partition has no state, so nothing of it is ever handled or committed.
                Start::LostToRetention { committed, log_start } => {
                    let lost = log_start - committed;
                    tracing::error!(
                        %group, %topic, partition = number, committed, log_start,
                        "retention took {lost} events before this group handled them; the partition is halted. Restore \
                         them, or accept the loss: stop the service and reset the group's offset to {log_start}"
                    );
                }
                Start::BeyondEnd { committed, log_end } => tracing::error!(
                    %group, %topic, partition = number, committed, log_end,
                    "the group's offset lies behind the end of the log, as after the topic was made anew; the partition \
                     is halted. Stop the service and reset the group's offset to the earliest"
                ),
                Start::Earliest | Start::Committed(_) => {
                    self.assignments += 1;
                    let state = Partition::new(width, Arc::clone(&self.subscription.waits));
                    let assigned = Assigned { assignment: self.assignments, state };
                    self.partitions.insert(number, assigned);
                    // A pause may have been ordered for an earlier assignment that was lost meanwhile.
                    if let Some(fetcher) = &self.fetcher {
                        fetcher.resume(number);
                    }
                }
            }
        }
    }

    fn receive(&mut self, records: Vec<Record>) {
        let at = Timestamp::now();
        for record in records {
            let number = record.partition;
            let Some(assigned) = self.partitions.get_mut(&number) else { continue };
            let received = Received::read(record, &self.subscription.executor.event);
            assigned.state.receive(received, at);
        }
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        for number in numbers {
            self.regulate(number);
        }
    }

    /// Stops fetching a partition whose window is full, and fetches it again once there is room.
    fn regulate(&mut self, number: i32) {
        let (Some(assigned), Some(fetcher)) = (self.partitions.get_mut(&number), &self.fetcher)
        else {
            return;
        };
        match assigned.state.flow() {
            Some(Flow::Pause) => fetcher.pause(number),
            Some(Flow::Resume) => fetcher.resume(number),
            None => {}
        }
    }

    fn commit(&mut self) {
        if self.commit_in_flight {
            return;
        }
        let offsets = self.watermarks();
        let Some(fetcher) = &self.fetcher else { return };
        if offsets.is_empty() {
            // The partitions whose commit failed are somebody else's now, who starts where they were committed.
            self.commit_failing = false;
        } else {
            self.commit_in_flight = true;
            fetcher.commit(offsets);
        }
    }

    fn watermarks(&self) -> Vec<(i32, i64)> {
        self.partitions
            .iter()
            .filter_map(|(number, assigned)| Some((*number, assigned.state.to_commit()?)))
            .collect()
    }

    fn committed(&mut self, offsets: &[(i32, i64)], result: Result<(), CommitError>) {
        self.commit_in_flight = false;
        self.commit_failing = result.is_err();
        match result {
            Ok(()) => {
                for (number, offset) in offsets {
                    if let Some(assigned) = self.partitions.get_mut(number) {
                        assigned.state.committed(*offset);
                    }
                }
            }
            Err(error) => tracing::warn!(
                group = %self.subscription.executor.group, error = error_chain(&error),
                "a commit failed: no further event starts until one succeeds"
            ),
        }
    }

    /// Finishes or rolls back what runs in the partitions, forgets them and says what may be committed.
    async fn give_back(&mut self, numbers: &[i32]) -> Vec<(i32, i64)> {
        tracing::info!(group = %self.subscription.executor.group, partitions = ?numbers, "revoked");
        self.drain(numbers).await;
        let offsets =
            self.watermarks().into_iter().filter(|(number, _)| numbers.contains(number)).collect();
        self.drop_partitions(numbers);
        offsets
    }

    /// Waits for the partitions' running tasks, up to the deadline.
    async fn drain(&mut self, numbers: &[i32]) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while self.running.values().any(|running| numbers.contains(&running.partition)) {
            tokio::select! {
                Some(finished) = self.tasks.join_next_with_id() => self.finish(finished),
                () = sleep_until(deadline) => {
                    tracing::warn!(group = %self.subscription.executor.group, "handlers outlasted the deadline and are rolled back");
                    return;
                }
            }
        }
    }

    fn drop_partitions(&mut self, numbers: &[i32]) {
        for number in numbers {
            self.partitions.remove(number);
        }
        for running in self.running.values().filter(|running| numbers.contains(&running.partition))
        {
            running.abort.abort();
        }
    }

    async fn close(mut self) {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        self.drain(&numbers).await;
        let offsets = self.watermarks();
        self.drop_partitions(&numbers);
        if let Some(fetcher) = self.fetcher.take() {
            fetcher.close(offsets).await;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        match self.outage.next_probe() {
            Some(probe) => Some(probe),
            None if self.commit_failing => None,
            // A partition that can start nothing wakes up when its running events end.
            None => {
                let startable =
                    self.partitions.iter().filter(|(number, _)| self.room(**number).is_some());
                startable.filter_map(|(_, assigned)| assigned.state.next_wake()).min()
            }
        }
    }

    async fn probe_if_due(&mut self) {
        if self.outage.next_probe().is_none_or(|probe| probe > Instant::now()) {
            return;
        }
        let store = self.subscription.executor.outbox.store();
        if matches!(tokio::time::timeout(PROBE_TIMEOUT, store.probe()).await, Ok(Ok(()))) {
            tracing::info!(group = %self.subscription.executor.group, "the database answers");
            self.outage.answered();
        } else {
            self.outage.unanswered(Instant::now());
        }
    }
}

async fn next_of(fetcher: &mut Option<Fetcher>) -> Option<Fetched> {
    match fetcher {
        Some(fetcher) => fetcher.next().await,
        None => None,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake.into()).await,
        None => pending().await,
    }
}
