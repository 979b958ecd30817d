//! One subscription's life: it brings the core what happens, and carries out what the core decides.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;

use super::command::{Assignment, Command, Input, Notice, Offer, Outcome, Release, TaskId, Turn};
use super::gauges::Gauges;
use super::job::Report;
use super::moment::Moment;
use super::receive::Received;
use super::runner::Runner;
use super::session::Session;
use super::settings::Settings;
use super::trouble::Trouble;
use super::unowned;
use crate::control::listener::Hold;
use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::{Admin, Position, TopicPartition};
use crate::kafka::fetch::{Fetched, Fetcher, Membership, Start};
use crate::metrics::SubscriptionMetrics;
use crate::names::{GroupName, InstanceId};
use crate::shutdown;
use crate::store::Holding;

/// How long one question to a database that is down may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the tasks of a session that is over may take to end.
const TASKS_END: Duration = Duration::from_secs(2);
/// So often a consumer that fetches nothing is looked at before it counts as stuck.
const POSITIONS: u32 = 8;
/// The wait before a failed Kafka consumer is built anew.
const REBUILD_WAIT: Duration = Duration::from_secs(1);

type Event = Arc<Received>;

/// One service's consumption of one topic.
pub(crate) struct Subscription {
    pub(crate) kafka: KafkaConfig,
    pub(crate) runner: Arc<Runner>,
    pub(crate) settings: Arc<Settings>,
    /// Under which id it is a static member of its group.
    pub(crate) instance: Option<InstanceId>,
    /// Asks where logs end, by a connection of its own.
    pub(crate) admin: Admin,
    /// Until when it is out of its group, as an operator asked.
    pub(crate) hold: Hold,
}

/// Another process joined the group under the same instance id.
#[derive(Debug)]
pub(crate) struct Fenced {
    pub(crate) group: GroupName,
    pub(crate) instance: InstanceId,
}

impl Subscription {
    /// Consumes until `stop` turns true, then finishes what runs, commits and leaves the group. A static member stays in
    /// it.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), Fenced> {
        let (group, topic) = (self.runner.group(), &self.runner.event().topic);
        let mut held = self.hold.subscribe();
        while !shutdown::is_requested(&stop) {
            let holds = *held.borrow_and_update();
            if let Some(until) = holds {
                tracing::info!(%group, %topic, "out of the group, as an operator asked");
                tokio::select! {
                    () = shutdown::requested(&mut stop) => {}
                    () = sleep_until(until) => {
                        self.hold.send_if_modified(|hold| hold.take_if(|hold| *hold == until).is_some());
                    }
                    _ = held.changed() => {}
                }
                continue;
            }
            let membership = Membership {
                group,
                topic,
                instance: self.instance.as_ref(),
                positions_every: self.settings.stuck_after / POSITIONS,
            };
            match Fetcher::start(&self.kafka, membership) {
                // Built anew it would fence the other, and that one in turn this one.
                Ok(fetcher) => {
                    // It ends when the service stops, and when the group is to be left for a while.
                    let (end, mut ending) = watch::channel(false);
                    let session = Shell::new(&self, fetcher).run(&mut ending);
                    let ends = async {
                        tokio::select! {
                            () = shutdown::requested(&mut stop) => {}
                            _ = held.wait_for(Option::is_some) => {}
                        }
                        end.send_replace(true);
                        pending::<()>().await;
                    };
                    tokio::select! {
                        ended = session => ended?,
                        () = ends => {}
                    }
                    if held.borrow().is_some() {
                        continue;
                    }
                }
                Err(error) => tracing::error!(
                    %group, %topic, error = error_chain(&error),
                    "no Kafka consumer could be made, and nothing of this topic is consumed: correct the Kafka settings"
                ),
            }
            if !shutdown::is_requested(&stop) {
                tracing::warn!(%group, %topic, "the Kafka consumer is built anew");
                self.runner.metrics().rebuilt();
                drop(tokio::time::timeout(REBUILD_WAIT, stop.changed()).await);
            }
        }
        Ok(())
    }

    /// Completes when partitions have had no owner for long, as can be after a static member came back.
    async fn unowned(&self) -> Vec<i32> {
        if self.instance.is_some() {
            let (group, topic) = (self.runner.group(), &self.runner.event().topic);
            let unowned = unowned::find(&self.admin, group, topic).await;
            if !unowned.is_empty() {
                return unowned;
            }
        }
        pending().await
    }
}

/// What runs beside the shell.
enum Done {
    Task(TaskId, Report),
    Probe(Outcome),
    TakeOver(Assignment, Result<Holding, Trouble>),
    Release(TaskId),
    Ends(BTreeMap<i32, i64>),
}

/// Around one [`Session`]: its consumer thread and its tasks.
struct Shell<'a> {
    subscription: &'a Subscription,
    session: Session<Event>,
    fetcher: Fetcher,
    tasks: JoinSet<Done>,
    running: HashMap<TaskId, AbortHandle>,
    /// Where the consumer thread waits for what it may commit of revoked partitions.
    revoked: Option<SyncSender<Vec<(i32, i64)>>>,
    is_fenced: bool,
    /// Asks for the ends of logs.
    asking: Option<AbortHandle>,
}

/// How a shell ends.
enum End {
    Close(Vec<(i32, i64)>),
    Abandon,
}

impl<'a> Shell<'a> {
    fn new(subscription: &'a Subscription, fetcher: Fetcher) -> Self {
        Self {
            subscription,
            session: Session::new(Arc::clone(&subscription.settings)),
            fetcher,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            revoked: None,
            is_fenced: false,
            asking: None,
        }
    }

    async fn run(mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Fenced> {
        let mut stopping = false;
        let (mut unowned, mut has_rejoined) = (pin!(self.subscription.unowned()), false);
        let end = loop {
            let wake = self.session.next_wake();
            let input = tokio::select! {
                biased;
                () = shutdown::requested(stop), if !stopping => {
                    stopping = true;
                    Input::Stop
                }
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.input_of_done(done)
                }
                fetched = self.fetcher.next() => match fetched {
                    Some(fetched) => self.input_of(fetched),
                    None => Input::Failed,
                },
                () = until(wake) => Input::Woken,
                partitions = &mut unowned, if !has_rejoined => {
                    has_rejoined = true;
                    self.rejoin(&partitions);
                    continue;
                }
            };
            let now = Moment { instant: Instant::now(), time: Timestamp::now() };
            let commands = self.session.on(input, now);
            self.metrics().note(self.session.gauges());
            self.fetcher.hold(self.session.is_sated());
            if let Some(end) = commands.into_iter().find_map(|command| self.carry_out(command)) {
                break end;
            }
        };
        self.end_tasks().await;
        self.metrics().note(Gauges::default());
        if let End::Close(offsets) = end {
            self.fetcher.close(offsets).await;
        }
        match &self.subscription.instance {
            Some(instance) if self.is_fenced => {
                let group = self.subscription.runner.group().clone();
                Err(Fenced { group, instance: instance.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Ends handlers at once, and lets the database hear what it is being told.
    async fn end_tasks(&mut self) {
        self.running.values().chain(&self.asking).for_each(AbortHandle::abort);
        let runner = &self.subscription.runner;
        let told = async {
            while let Some(done) = self.tasks.join_next().await {
                if let Ok(Done::TakeOver(assignment, Ok(holding))) = done
                    && !holding.is_dirty
                {
                    let clean = vec![(assignment.partition, holding.token)];
                    runner.release(&Release { clean, ..Release::default() }).await;
                }
            }
        };
        if tokio::time::timeout(TASKS_END, told).await.is_err() {
            self.tasks.abort_all();
        }
    }

    /// Does what the core wants done, or says how the session ends.
    fn carry_out(&mut self, command: Command<Event>) -> Option<End> {
        match command {
            Command::TakeOver(assignment, from) => self.take_over(assignment, from),
            Command::Release(task, release) => self.release(task, release),
            Command::Run(task, turn) => self.start(task, turn),
            Command::Abort(task) => {
                if let Some(running) = self.running.get(&task) {
                    running.abort();
                }
            }
            Command::Pause(partition) => self.fetcher.pause(partition),
            Command::Resume(partition) => self.fetcher.resume(partition),
            Command::Commit(offsets) => self.fetcher.commit(offsets),
            Command::GiveBack(offsets) => {
                if let Some(revoked) = self.revoked.take() {
                    // The thread waits for this answer, or has ended.
                    drop(revoked.send(offsets));
                }
            }
            Command::Probe => self.probe(),
            Command::AskEnds(partitions) => self.ask_ends(partitions),
            Command::Close(offsets) => return Some(End::Close(offsets)),
            Command::Abandon => return Some(End::Abandon),
            Command::Tell(notice) => self.tell(notice),
        }
        None
    }

    fn start(&mut self, task: TaskId, turn: Turn<Event>) {
        let runner = Arc::clone(&self.subscription.runner);
        let abort = self.tasks.spawn(async move { Done::Task(task, runner.run(&turn).await) });
        self.running.insert(task, abort);
    }

    fn take_over(&mut self, assignment: Assignment, from: Option<i64>) {
        let runner = Arc::clone(&self.subscription.runner);
        self.tasks.spawn(async move {
            Done::TakeOver(assignment, runner.take_over(assignment.partition, from).await)
        });
    }

    fn release(&mut self, task: TaskId, release: Release) {
        let runner = Arc::clone(&self.subscription.runner);
        self.tasks.spawn(async move {
            runner.release(&release).await;
            Done::Release(task)
        });
    }

    fn probe(&mut self) {
        let runner = Arc::clone(&self.subscription.runner);
        self.tasks.spawn(async move {
            let answer = tokio::time::timeout(PROBE_TIMEOUT, runner.probe()).await;
            Done::Probe(answer.unwrap_or(Outcome::Failed))
        });
    }

    fn ask_ends(&mut self, partitions: Vec<i32>) {
        let admin = self.subscription.admin.clone();
        let topic = &self.subscription.runner.event().topic;
        let asked = partitions
            .into_iter()
            .map(|partition| TopicPartition { topic: topic.clone(), partition });
        let asked = asked.collect();
        self.asking = Some(self.tasks.spawn(async move {
            // Without an answer the brokers are to blame, and not the consumer.
            let ends = admin.offsets(Position::End, asked).await.unwrap_or_default();
            let known = ends.into_iter().filter_map(|(of, end)| Some((of.partition, end.ok()??)));
            Done::Ends(known.collect())
        }));
    }

    fn rejoin(&self, partitions: &[i32]) {
        let (group, topic) =
            (self.subscription.runner.group(), &self.subscription.runner.event().topic);
        tracing::warn!(
            %group, %topic, ?partitions,
            "no member of the group has these partitions, as when a static member died while it gave them up: this one \
             joins anew, so that they are given out"
        );
        self.fetcher.rejoin();
    }

    fn tell(&self, notice: Notice) {
        let (group, topic) =
            (self.subscription.runner.group(), &self.subscription.runner.event().topic);
        match notice {
            Notice::DatabaseDown => {
                tracing::error!(%group, "the database is down or refuses: waiting for it");
            }
            Notice::DatabaseAnswers => tracing::info!(%group, "the database answers"),
            Notice::Outlasted => {
                tracing::warn!(%group, "handlers outlasted the deadline and are rolled back");
            }
            Notice::Stuck(partitions) => tracing::warn!(
                %group, %topic, ?partitions,
                "the Kafka consumer fetches nothing, though events wait for it and brokers answer: it reads again from \
                 the last commit; if this repeats, look at the brokers' connections and quotas"
            ),
        }
    }

    fn input_of_done(&mut self, done: Result<(tokio::task::Id, Done), JoinError>) -> Input<Event> {
        let error = match done {
            Ok((_, Done::Task(task, report))) => {
                self.running.remove(&task);
                return Input::Finished(task, report);
            }
            Ok((_, Done::Probe(outcome))) => return Input::Probed(outcome),
            Ok((_, Done::TakeOver(assignment, holding))) => {
                return Input::TakenOver(assignment, holding);
            }
            Ok((_, Done::Release(task))) => return Input::Released(task),
            Ok((_, Done::Ends(ends))) => return Input::Ends(ends),
            Err(error) => error,
        };
        let ended = self.running.iter().find(|(_, abort)| abort.id() == error.id());
        match ended.map(|(task, _)| *task) {
            Some(task) => {
                self.running.remove(&task);
                // A panic of a handler has a report.
                if error.is_panic() { Input::Broke } else { Input::Aborted(task) }
            }
            None => Input::Probed(Outcome::Failed),
        }
    }

    fn metrics(&self) -> &SubscriptionMetrics {
        self.subscription.runner.metrics()
    }

    fn input_of(&mut self, fetched: Fetched) -> Input<Event> {
        let group = self.subscription.runner.group();
        let event = self.subscription.runner.event();
        match fetched {
            Fetched::Assigned(starts) => {
                self.metrics().rebalanced();
                Input::Assigned(starts.into_iter().filter_map(|start| self.began(start)).collect())
            }
            Fetched::Records(records) => {
                let events = records.into_iter().map(|record| Received::read(record, event, group));
                Input::Fetched(events.collect())
            }
            Fetched::Revoked { partitions, settled } => {
                self.metrics().rebalanced();
                tracing::info!(%group, ?partitions, "revoked");
                self.revoked = Some(settled);
                Input::Revoked(partitions)
            }
            Fetched::Lost(partitions) => {
                self.metrics().rebalanced();
                tracing::warn!(%group, ?partitions, "partitions were lost");
                Input::Lost(partitions)
            }
            Fetched::Positions(positions) => Input::Positions(positions),
            Fetched::Committed(Ok(())) => Input::Committed(Outcome::Done),
            Fetched::Committed(Err(error)) => {
                tracing::warn!(
                    %group, error = error_chain(&error),
                    "a commit failed: no further event starts until one succeeds"
                );
                Input::Committed(Outcome::Failed)
            }
            Fetched::Failed(error) => {
                tracing::error!(
                    %group, topic = %event.topic, error = error_chain(&error),
                    "the Kafka consumer failed and reads again from the last commit; if this repeats, look for records \
                     there that the brokers or this client can't read"
                );
                Input::Failed
            }
            Fetched::Fenced => {
                self.is_fenced = true;
                Input::Failed
            }
        }
    }

    /// Tells where a partition starts. A halted one has no state, so nothing of it is ever handled or committed.
    fn began(&self, (partition, start): (i32, Start)) -> Option<Offer> {
        let group = self.subscription.runner.group();
        let topic = &self.subscription.runner.event().topic;
        tracing::info!(%group, partition, ?start, "assigned");
        match start {
            Start::LostToRetention { committed, log_start } => {
                let lost = log_start - committed;
                tracing::error!(
                    %group, %topic, partition, committed, log_start,
                    "retention took {lost} events before this group handled them; the partition is halted. Restore \
                     them, or accept the loss: stop the service and reset the group's offset to {log_start}"
                );
                None
            }
            Start::BeyondEnd { committed, log_end } => {
                tracing::error!(
                    %group, %topic, partition, committed, log_end,
                    "the group's offset lies behind the end of the log, as after the topic was made anew; the partition \
                     is halted. Stop the service and reset the group's offset to the earliest"
                );
                None
            }
            Start::Earliest { bounds } => {
                let (start, log_end) = bounds.unzip();
                Some(Offer { partition, start, log_end })
            }
            Start::Committed { offset, log_end } => {
                Some(Offer { partition, start: Some(offset), log_end })
            }
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake.into()).await,
        None => pending().await,
    }
}
