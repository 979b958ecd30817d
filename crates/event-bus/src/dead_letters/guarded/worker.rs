//! Carries replays out as they stand in the ops store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{self, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::guard::Next;
use super::lanes::{Lanes, Ready};
use crate::audit::{Action, Deed, NotWritten};
use crate::dead_letter::error_chain;
use crate::dead_letters::Scope;
use crate::kafka::admin::TopicPartition;
use crate::kafka::producer::SendError;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::publisher::{Publisher, UnderWay};
use crate::replay::{Original, Replay};
use crate::shutdown;
use crate::store::ops::{Moved, OpsStore, ReplayRow, Stage, ToSend};

/// So many are on their way, or not noted as sent yet, at once: what may be sent twice by a process that is killed.
pub const WINDOW: usize = 2_000;
/// What has arrived meanwhile is noted whenever a multiple of so many is on its way.
const PORTION: usize = 250;
/// How long a replay is nobody else's after a sign of its process.
const LEASE: Duration = Duration::from_secs(15);
/// So many are read at once, while those before them are sent.
const PIECE: u64 = 20_000;
/// How often it is looked for replays and their outcomes.
const LOOK: Duration = Duration::from_millis(200);
/// How often a replay that sends asks whether it still should.
const ASK: Duration = Duration::from_millis(500);
/// The longest pause between two looks at a replay that waits: its service may be away for days.
const LONGEST_LOOK: Duration = Duration::from_secs(3);
/// The wait after a trouble.
const REST: Duration = Duration::from_secs(2);

/// What keeps a replay from going on. It goes on by itself once that is over.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The ops store.
    #[error("the ops store did not answer")]
    Store(#[from] sqlx::Error),
    /// The topic of audit.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// The dead letter topics.
    #[error("the dead letters could not be read")]
    Read(#[from] ReadError),
    /// The original topics.
    #[error("a replay could not be sent")]
    Send(#[from] SendError),
    /// Another process holds the replay.
    #[error("another ops process has taken the replay over")]
    TakenOver,
}

/// How a step ended.
enum Step {
    /// There may be more to do at once.
    Done,
    /// Outcomes are waited for.
    Waits,
    /// Nothing more is to be done here.
    Over,
}

/// What carries replays out. Several processes may have one on a store: each replay is one's.
#[derive(Clone)]
pub struct Worker {
    store: Arc<OpsStore>,
    kafka: KafkaConfig,
    publisher: Arc<Publisher>,
    holder: Uuid,
}

impl Worker {
    /// A worker on this store. Its publisher writes the topic of audit and the replays.
    #[must_use]
    pub fn new(store: Arc<OpsStore>, kafka: KafkaConfig, publisher: Arc<Publisher>) -> Self {
        Self { store, kafka, publisher, holder: Uuid::now_v7() }
    }

    /// Works until `stop` turns true. What it is in the midst of then goes on at the next start.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut under_way: HashMap<task::Id, Uuid> = HashMap::new();
        loop {
            while let Some(ended) = tasks.try_join_next_with_id() {
                let (task, panic) = match ended {
                    Ok((task, ())) => (task, None),
                    Err(error) => (error.id(), Some(error)),
                };
                if let (Some(id), Some(error)) = (under_way.remove(&task), panic) {
                    tracing::error!(%id, error = error_chain(&error), "a replay is begun anew");
                }
            }
            match self.store.replays_to_work_on().await {
                Ok(found) => {
                    for id in found {
                        if !under_way.values().any(|other| *other == id) {
                            let worker = self.clone();
                            let task = tasks.spawn(async move { worker.work_on(id).await });
                            under_way.insert(task.id(), id);
                        }
                    }
                }
                Err(error) => tracing::warn!(error = error_chain(&error), "replays"),
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                () = self.store.asked() => {}
                () = sleep(LOOK) => {}
            }
        }
        // What was sent and is not noted is sent once more, which no consumer minds.
        tasks.shutdown().await;
    }

    /// Carries a replay out until it is over, or another process's.
    async fn work_on(&self, id: Uuid) {
        let (mut pause, mut is_audited) = (LOOK, false);
        loop {
            match self.step(id, &mut is_audited).await {
                Ok(Step::Over) | Err(WorkError::TakenOver) => return,
                Ok(Step::Done) => pause = LOOK,
                Ok(Step::Waits) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_LOOK);
                }
                Err(error) => {
                    tracing::warn!(%id, error = error_chain(&error), "a replay goes on once it can");
                    sleep(REST).await;
                }
            }
        }
    }

    /// Does what is next.
    async fn step(&self, id: Uuid, is_audited: &mut bool) -> Result<Step, WorkError> {
        if !self.store.hold_replay(id, self.holder, LEASE).await? {
            return Ok(Step::Over);
        }
        let Some(replay) = self.store.replay(&Scope::default(), id).await? else {
            return Ok(Step::Over);
        };
        match replay.stage {
            Stage::Running => match replay.guard.next(&replay.progress) {
                Next::Send(most) => {
                    let deed = async {
                        if replay.progress.sent == 0 && !*is_audited {
                            self.write_deed(&replay).await?;
                            *is_audited = true;
                        }
                        Ok::<_, WorkError>(())
                    };
                    let first = self.open(id, BTreeMap::new(), most);
                    // A deed that is under way is not given up, or it would be written once more.
                    let (deed, first) = tokio::join!(deed, first);
                    deed?;
                    self.send(&replay, first?, most).await?;
                }
                Next::Wait => return Ok(Step::Waits),
                Next::Stop(why) => {
                    self.store.move_replay(id, Stage::Running, Stage::Stopping, Some(&why)).await?;
                }
                Next::Finish => self.open_the_rest(&replay, Stage::Finished).await?,
            },
            Stage::Cancelling => self.open_the_rest(&replay, Stage::Cancelled).await?,
            Stage::Stopping => self.open_the_rest(&replay, Stage::Stopped).await?,
            Stage::Finished | Stage::Cancelled | Stage::Stopped => return Ok(Step::Over),
        }
        Ok(Step::Done)
    }

    /// What was not sent is open again.
    async fn open_the_rest(&self, replay: &ReplayRow, end: Stage) -> Result<(), WorkError> {
        let unsent = self.store.letters_of_replay(replay.id, true).await?;
        if !unsent.is_empty() {
            let why = match (end, &replay.why_stopped) {
                (Stage::Finished, _) => format!("replay {} could not send it", replay.id),
                (_, Some(why)) => format!("replay {} stopped: {why}", replay.id),
                (_, None) => format!("replay {} was cancelled", replay.id),
            };
            let by = replay.ended_by.as_ref().unwrap_or(&replay.by);
            let deed = Deed::about_letters(Action::Restore, unsent, by, Some(&why));
            deed.write(&self.publisher).await?;
        }
        self.store.move_replay(replay.id, replay.stage, end, None).await?;
        Ok(())
    }

    /// Reads what is next, from these places on, and begins to read its records.
    async fn open(
        &self,
        id: Uuid,
        behind: BTreeMap<TopicPartition, i64>,
        most: u64,
    ) -> Result<Option<Piece>, WorkError> {
        let lanes = match most.min(PIECE) {
            0 => return Ok(None),
            most => Lanes::new(self.store.to_send(id, &behind, most).await?),
        };
        if lanes.is_empty() {
            return Ok(None);
        }
        let reader = Reader::start_at(&self.kafka, &lanes.starts(), Until::CaughtUp).await?;
        let mut ends = behind;
        ends.extend(lanes.ends());
        Ok(Some(Piece { lanes, reader, ends }))
    }

    /// Sends the next ones, so many of them unless it is to stop before.
    async fn send(
        &self,
        replay: &ReplayRow,
        first: Option<Piece>,
        most: u64,
    ) -> Result<(), WorkError> {
        let (mut flight, mut next, mut left) = (Flight::new(self, replay), first, most);
        while let Some(piece) = next {
            left = left.saturating_sub(piece.lanes.len() as u64);
            let behind = self.open(replay.id, piece.ends.clone(), left);
            let (goes_on, opened) = tokio::join!(flight.send_all(piece), behind);
            if !goes_on? {
                break;
            }
            next = match opened {
                Ok(next) => next,
                Err(error) => {
                    // What was sent is noted also where no more can be read.
                    flight.land().await?;
                    return Err(error);
                }
            };
        }
        flight.land().await
    }

    /// Before anything is sent it stands on the topic of audit; after a crash perhaps twice.
    async fn write_deed(&self, replay: &ReplayRow) -> Result<(), WorkError> {
        let letters = self.store.letters_of_replay(replay.id, false).await?;
        let reason = replay.reason.as_deref();
        let deed = Deed::about_letters(Action::Replay, letters, &replay.by, reason);
        Ok(Deed { id: replay.id, ..deed }.write(&self.publisher).await?)
    }
}

/// What is sent next.
struct Piece {
    lanes: Lanes,
    reader: Reader,
    /// Of each lane that was read so far, the place after the last one that was.
    ends: BTreeMap<TopicPartition, i64>,
}

/// What becomes of one whose turn came.
enum Fate {
    Flying(UnderWay),
    Gone,
    Refused,
}

impl Fate {
    fn is_known(&self) -> bool {
        match self {
            Self::Flying(begun) => begun.has_report(),
            Self::Gone | Self::Refused => true,
        }
    }
}

/// What is on its way, in the order in which it was sent.
struct Flight<'a> {
    worker: &'a Worker,
    replay: &'a ReplayRow,
    under_way: VecDeque<(ToSend, Fate)>,
    moved: Moved,
    /// How many are being noted as sent.
    noting: Option<(usize, JoinHandle<Result<bool, sqlx::Error>>)>,
    begun: u64,
    began_at: Instant,
    ask_at: Instant,
}

impl<'a> Flight<'a> {
    fn new(worker: &'a Worker, replay: &'a ReplayRow) -> Self {
        let now = Instant::now();
        Self {
            worker,
            replay,
            under_way: VecDeque::with_capacity(WINDOW),
            moved: Moved::default(),
            noting: None,
            begun: 0,
            began_at: now,
            ask_at: now + ASK,
        }
    }

    /// Sends what it can, in its order. Says whether more is to be sent.
    async fn send_all(&mut self, piece: Piece) -> Result<bool, WorkError> {
        let Piece { mut lanes, mut reader, .. } = piece;
        while !lanes.is_empty() {
            let records = loop {
                tokio::select! {
                    records = reader.next() => break records?,
                    () = sleep_until(self.ask_at) => {
                        if !self.may_go_on().await? {
                            return Ok(false);
                        }
                    }
                }
            };
            let ready: Vec<Ready> = match records {
                Some(records) => {
                    records.into_iter().flat_map(|record| lanes.take(record)).collect()
                }
                None => lanes.end(),
            };
            for ready in ready {
                if !self.goes_on().await? {
                    return Ok(false);
                }
                match ready {
                    Ready::Send(one, record) => self.send(one, record).await?,
                    Ready::Gone(one) => self.under_way.push_back((one, Fate::Gone)),
                }
            }
        }
        Ok(true)
    }

    /// Whether the next one is to be sent. Waits for its turn where only so many go in a second.
    async fn goes_on(&mut self) -> Result<bool, WorkError> {
        if let Some(per_second) = self.replay.guard.per_second {
            let due = Duration::from_secs_f64(self.begun as f64 / f64::from(per_second.max(1)));
            if !self.wait_until(self.began_at + due).await? {
                return Ok(false);
            }
        }
        self.make_room().await?;
        if Instant::now() < self.ask_at {
            return Ok(true);
        }
        self.may_go_on().await
    }

    /// Has what arrived be noted while more is sent, and waits only where the window is full.
    async fn make_room(&mut self) -> Result<(), WorkError> {
        let noting = self.noting.as_ref();
        let being_noted = noting.map_or(0, |(count, _)| *count);
        let is_full = self.under_way.len() + being_noted >= WINDOW;
        let is_idle = noting.is_none_or(|(_, noting)| noting.is_finished());
        let is_due = is_idle && self.under_way.len().is_multiple_of(PORTION);
        if !is_full && !is_due {
            return Ok(());
        }
        self.noted().await?;
        let least = if self.under_way.len() >= WINDOW { PORTION } else { 0 };
        self.settle(self.under_way.len() - self.arrived().max(least)).await
    }

    /// How many of those that were sent first have their report.
    fn arrived(&self) -> usize {
        self.under_way.iter().take_while(|(_, fate)| fate.is_known()).count()
    }

    /// Waits for the turn of the next one, unless it is to stop before.
    async fn wait_until(&mut self, due: Instant) -> Result<bool, WorkError> {
        while self.ask_at < due {
            sleep_until(self.ask_at).await;
            if !self.may_go_on().await? {
                return Ok(false);
            }
        }
        sleep_until(due).await;
        Ok(true)
    }

    /// Shows what was sent, and asks whether more is to be.
    async fn may_go_on(&mut self) -> Result<bool, WorkError> {
        self.settle(self.under_way.len() - self.arrived()).await?;
        self.ask_at = Instant::now() + ASK;
        let worker = self.worker;
        if !worker.store.hold_replay(self.replay.id, worker.holder, LEASE).await? {
            return Err(WorkError::TakenOver);
        }
        let replay = worker.store.replay(&Scope::default(), self.replay.id).await?;
        Ok(replay.is_some_and(|replay| {
            replay.stage == Stage::Running
                && !matches!(replay.guard.next(&replay.progress), Next::Stop(_))
        }))
    }

    async fn send(&mut self, one: ToSend, record: Record) -> Result<(), WorkError> {
        let replay = Replay {
            id: self.replay.id,
            of: one.letter,
            group: one.group.clone(),
            event_id: one.event_id,
            chain_seq: one.chain_seq,
        };
        let replayed = replay.record(Original {
            topic: one.topic.clone(),
            partition: one.partition,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        self.begun += 1;
        match self.worker.publisher.begin_sealed(&replayed).await {
            Ok(begun) => self.under_way.push_back((one, Fate::Flying(begun))),
            Err(SendError::Refused { .. }) => self.under_way.push_back((one, Fate::Refused)),
            Err(error) => {
                // What Kafka has is noted before the rest is tried again.
                self.land().await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Waits until none is on its way, and all are noted as sent.
    async fn land(&mut self) -> Result<(), WorkError> {
        self.settle(0).await?;
        self.noted().await
    }

    /// Waits until only so many are on their way, and has the others noted as sent: meanwhile more may be.
    async fn settle(&mut self, rest: usize) -> Result<(), WorkError> {
        let (mut failed, before) = (None, self.under_way.len());
        while self.under_way.len() > rest
            && let Some((one, fate)) = self.under_way.pop_front()
        {
            let fate = match fate {
                Fate::Flying(begun) => begun.delivered().await.map(|_| None),
                Fate::Gone => Ok(Some(&mut self.moved.gone)),
                Fate::Refused => Ok(Some(&mut self.moved.refused)),
            };
            match fate {
                Ok(unsent) => unsent.into_iter().for_each(|unsent| unsent.push(one.letter)),
                Err(SendError::Refused { .. }) => self.moved.refused.push(one.letter),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            self.moved.sent.insert(one.lane, one.place + 1);
        }
        self.noted().await?;
        let (moved, settled) = (std::mem::take(&mut self.moved), before - self.under_way.len());
        if settled > 0 {
            let (store, id, holder) =
                (Arc::clone(&self.worker.store), self.replay.id, self.worker.holder);
            let noting = tokio::spawn(async move { store.note_sent(id, holder, &moved).await });
            self.noting = Some((settled, noting));
        }
        match failed {
            None => Ok(()),
            Some(error) => {
                self.noted().await?;
                Err(error.into())
            }
        }
    }

    /// Waits until what was settled is noted.
    async fn noted(&mut self) -> Result<(), WorkError> {
        match self.noting.take() {
            None => Ok(()),
            Some((_, noting)) => match noting.await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err(WorkError::TakenOver),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
            },
        }
    }
}
