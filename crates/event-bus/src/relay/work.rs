//! What a running relay does, a turn at a time: it renews, looks, reads, hands over, and removes what arrived.
//!
//! A look tells the ids of the rows that may be sent, in order and as of one moment, and what the first new ones say,
//! bounded by their bytes. What it only tells the ids of is read piece by piece, while earlier rows are on their way. Rows
//! that are on their way are passed over by the next look, so nothing waits for the end of a round. And since a look is of
//! one moment, a row is never handed over before an earlier one of its topic and key.
//!
//! After a trouble nothing is handed over until each row on its way has its report; what did not arrive is then found by
//! the next look.

mod removal;
mod reports;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::types::Uuid;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;

use removal::Removal;
use reports::Trouble;

use super::back_off::{BackOff, jittered};
use super::flight::{Flight, Flying};
use super::holdings::{Holdings, LEASE};
use super::look::Look;
use super::sender::{Handed, Place, Report, Sender};
use super::stuck::Watch;
use super::topics::Topics;
use super::{Relay, SOON};
use crate::dead_letter::error_chain;
use crate::kafka::producer::{ConnectError, Producer, SendError};
use crate::names::TopicName;
use crate::store::{Mark, RelayStore, Scan, Share, Waiting};

/// Rows of one look, beside those on their way.
const LOOK: usize = 600;
/// Rows that are read by one statement.
const READ_ROWS: usize = 500;
/// How many bytes of rows are read by one statement; of a statement that reads nothing else, at least one row.
const READ_BYTES: i64 = 320 * 1024;
/// The wait between looks while rows come, but from another process, for rows of this one nudge.
const BUSY: Duration = Duration::from_millis(6);
/// The longest wait between looks.
const IDLE: Duration = Duration::from_millis(200);
/// The wait before a row is offered again to a producer that has too much to do.
const FULL: Duration = Duration::from_millis(5);
/// How often it is found out which ids are decided.
const DECIDE: Duration = Duration::from_secs(1);
/// How long one statement of the relay may take, the wait for a connection included: far longer than a healthy database
/// needs, and an end to one whose connection died without a word.
const STATEMENT: Duration = Duration::from_secs(30);

/// A turn that did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnError {
    #[error("the outbox could not be read or written")]
    Store(#[from] sqlx::Error),
    #[error(
        "the database did not answer the relay within {STATEMENT:?}: check that it can be reached"
    )]
    NoAnswer(#[source] Elapsed),
    #[error("the rows could not be sent")]
    Send(#[from] SendError),
    #[error("no producer")]
    Connect(#[from] ConnectError),
}

/// What is left after a turn.
pub(super) enum Turn {
    /// There may be more to do at once.
    More,
    /// Nothing before this moment, or a delivery report.
    Until(Instant),
}

/// A relay that runs.
pub(super) struct Work<'a> {
    relay: &'a Relay,
    holder: Uuid,
    holdings: Holdings,
    share: Share,
    look: Look,
    store: Arc<RelayStore>,
    mark: Option<Mark>,
    decide_at: Instant,
    topics: Topics,
    /// What was found and is not on its way yet.
    waiting: VecDeque<Waiting>,
    /// The greatest id that was ever found.
    last_found: i64,
    flight: Flight,
    removal: Option<Removal>,
    /// The row that went alone and has no report yet.
    alone: Option<(i64, Option<Place>)>,
    trouble: Option<Trouble>,
    sender: Option<Sender>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    /// When the next look is due, how long the last wait was, and when the last one ended.
    look_at: Instant,
    pause: Duration,
    looked_at: Option<Instant>,
    back_off: BackOff,
    /// Nothing is sent before, after a trouble.
    not_before: Instant,
    /// The database is not asked before, after a trouble with it.
    resting_until: Instant,
    watch: Watch,
}

impl<'a> Work<'a> {
    pub(super) fn new(relay: &'a Relay, now: Instant) -> Self {
        Self {
            relay,
            holder: relay.id,
            holdings: Holdings::new(now),
            share: Share::Fair,
            look: Look::new(now),
            store: Arc::new(relay.store.for_relay()),
            mark: None,
            decide_at: now,
            topics: Topics::default(),
            waiting: VecDeque::new(),
            last_found: 0,
            flight: Flight::default(),
            removal: None,
            alone: None,
            trouble: None,
            sender: None,
            reports: mpsc::unbounded_channel(),
            look_at: now,
            pause: IDLE,
            looked_at: None,
            back_off: BackOff::default(),
            not_before: now,
            resting_until: now,
            watch: Watch::new(relay.kafka.stuck_after(), now),
        }
    }

    /// Somebody committed rows.
    pub(super) fn nudge(&mut self, now: Instant) {
        self.look_at = now;
    }

    /// The relay is to stop. What is free, another's who left, it sends as well: there may be none who does it later.
    pub(super) fn stop(&mut self, now: Instant) {
        self.share = Share::Everything;
        self.holdings.renew_now(now);
        self.look_at = now;
    }

    /// Gives up for a while, longer each time.
    pub(super) fn back_off(&mut self, error: &TurnError, now: Instant) {
        self.start_over();
        self.not_before = now + self.back_off.next(rand::random());
        if matches!(error, TurnError::Store(_) | TurnError::NoAnswer(_)) {
            self.resting_until = self.not_before;
            // It may be another server that answers next.
            (self.look, self.mark, self.decide_at) = (Look::new(now), None, now);
        }
    }

    /// Whether all that was committed when the relay was to stop, at `since`, is sent, or can't be.
    pub(super) fn is_done(&self, since: Instant) -> bool {
        let has_renewed = self.holdings.renew_at() > since;
        let has_looked = self.looked_at.is_some_and(|at| at > since);
        let is_sent = has_looked && self.waiting.is_empty() && self.flight.unreported() == 0;
        has_renewed && (is_sent || self.holdings.leases().is_empty())
    }

    /// Waits for a delivery report or the end of a removal. Giving the wait up loses none.
    pub(super) async fn moves(&mut self) {
        let report = tokio::select! {
            // The other end lives in this value too.
            report = self.reports.1.recv() => report,
            () = removal::ends(&mut self.removal) => None,
        };
        if let Some(report) = report {
            self.note(report);
        }
    }

    /// Does what is to be done now.
    pub(super) async fn turn(&mut self) -> Result<Turn, TurnError> {
        if Instant::now() < self.resting_until {
            return Ok(Turn::Until(self.resting_until));
        }
        self.renew().await?;
        while let Ok(report) = self.reports.1.try_recv() {
            self.note(report);
        }
        if self.trouble.is_some() && self.flight.unreported() == 0 {
            self.end_trouble().await?;
            return Ok(Turn::More);
        }
        self.watch_the_producer().await;
        self.remove_if_due().await?;
        self.give_back().await?;
        if let Some(wait) = self.waits_until() {
            return Ok(self.until(wait));
        }
        match self.waiting.front() {
            None => {
                self.decide().await?;
                self.look_around().await?;
            }
            Some(next) if next.row.is_none() => self.read().await?,
            Some(_) => self.hand_over().await?,
        }
        Ok(Turn::More)
    }

    /// Until when nothing is to be handed over or looked for.
    fn waits_until(&self) -> Option<Instant> {
        let now = Instant::now();
        let renew_at = self.holdings.renew_at();
        let waits_for_reports =
            self.trouble.is_some() || self.alone.is_some() || !self.flight.has_room();
        if waits_for_reports || self.holdings.working().is_empty() {
            Some(renew_at)
        } else if now < self.not_before {
            Some(self.not_before)
        } else {
            (self.waiting.is_empty() && now < self.look_at).then_some(self.look_at)
        }
    }

    fn until(&self, wait: Instant) -> Turn {
        let wait = wait.min(self.holdings.renew_at());
        // One wake is enough for a removal and for what comes soon after it.
        let remove_at = self.flight.remove_at().filter(|at| *at + SOON < wait);
        Turn::Until(remove_at.filter(|_| self.removal.is_none()).unwrap_or(wait))
    }

    async fn renew(&mut self) -> Result<(), TurnError> {
        if Instant::now() < self.holdings.renew_at() {
            return Ok(());
        }
        let held = in_time(self.relay.store.hold_leases(self.holder, LEASE, self.share)).await?;
        self.relay.metrics.holds(held.leases.len());
        if self.holdings.note(held, Instant::now()) {
            self.start_over();
            self.look_at = Instant::now();
        }
        Ok(())
    }

    /// Gives back what others wait for, once nothing of it is on its way.
    async fn give_back(&mut self) -> Result<(), TurnError> {
        let leaving = self.holdings.leaving();
        if leaving.is_empty() || self.flight.has_any_of(&leaving) {
            return Ok(());
        }
        let leases = self.holdings.give_back();
        in_time(self.relay.store.release_leases(&leases)).await
    }

    /// Forgets what was found and not handed over: the next look finds it, and whatever came back.
    fn start_over(&mut self) {
        self.waiting.clear();
        self.look.forget();
    }

    /// Finds out which ids are decided, every now and then.
    async fn decide(&mut self) -> Result<(), TurnError> {
        let now = Instant::now();
        if now < self.decide_at {
            return Ok(());
        }
        self.decide_at = now + DECIDE;
        if let Some(mark) = &self.mark {
            if !in_time(self.relay.store.is_decided(mark)).await? {
                return Ok(());
            }
            self.look.decide(mark.last_drawn());
        }
        let mark = in_time(self.relay.store.mark()).await?;
        if mark.is_free() {
            self.look.decide(mark.last_drawn());
        }
        self.mark = Some(mark);
        Ok(())
    }

    async fn look_around(&mut self) -> Result<(), TurnError> {
        let (now, shards) = (Instant::now(), self.holdings.working());
        let left_out = self.topics.look(now);
        let from = self.look.begin(&left_out, now);
        let (known, most) = self.flight.known_from(from, LOOK);
        let scan = Scan {
            most: i64::try_from(most).unwrap_or(i64::MAX),
            from,
            shards: &shards,
            left_out: &left_out,
            known: &known,
            whole_from: self.last_found + 1,
            whole_bytes: READ_BYTES,
        };
        let found = in_time(self.store.waiting(&scan)).await?;
        let (is_full, last) = (found.len() >= most, found.last().map(|row| row.id));
        // What is removed meanwhile is not to be sent once more.
        self.waiting.extend(found.into_iter().filter(|row| !self.flight.has(row.id)));
        self.look.end(last, is_full);
        self.last_found = self.last_found.max(last.unwrap_or(0));
        self.pause = match (is_full, self.waiting.is_empty()) {
            (true, _) => Duration::ZERO,
            (false, false) => BUSY,
            (false, true) => (self.pause * 2).clamp(BUSY, IDLE),
        };
        if self.waiting.is_empty() && self.flight.len() == 0 {
            self.back_off.reset();
        }
        let now = Instant::now();
        (self.looked_at, self.look_at) = (Some(now), now + jittered(self.pause, rand::random()));
        Ok(())
    }

    /// Reads what the next rows say that only their ids are known of.
    async fn read(&mut self) -> Result<(), TurnError> {
        let ids = self.next_to_read();
        let rows = in_time(self.relay.store.outgoing(&ids)).await?;
        let told: Vec<Waiting> = self.waiting.drain(..ids.len()).collect();
        let mut told = told.into_iter();
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let id = match &row {
                Ok(row) => row.id,
                Err(unreadable) => unreadable.id,
            };
            // Both are in the order of ids; a row that is missing was removed meanwhile.
            let Some(waiting) = told.find(|told| told.id == id) else { break };
            read.push(Waiting { row: Some(row), ..waiting });
        }
        for waiting in read.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        Ok(())
    }

    /// The ids of as many of the rows that wait as are read by one statement.
    fn next_to_read(&self) -> Vec<i64> {
        let (mut ids, mut bytes) = (Vec::new(), 0);
        for next in self.waiting.iter().take_while(|next| next.row.is_none()) {
            if ids.len() >= READ_ROWS || (bytes + next.bytes > READ_BYTES && !ids.is_empty()) {
                break;
            }
            bytes += next.bytes;
            ids.push(next.id);
        }
        ids
    }

    async fn hand_over(&mut self) -> Result<(), TurnError> {
        while let Some(Waiting { id, shard, bytes, row }) = self.waiting.pop_front() {
            let row = match row {
                Some(Ok(row)) => row,
                Some(Err(unreadable)) => {
                    // Those behind it may be of its topic and key: the next look knows.
                    self.start_over();
                    self.quarantine(id, shard, error_chain(&unreadable)).await?;
                    break;
                }
                None => {
                    self.waiting.push_front(Waiting { id, shard, bytes, row });
                    break;
                }
            };
            let topic = row.record.topic.clone();
            if self.topics.is_passed_over(&topic) {
                continue;
            }
            let goes_alone = self.topics.goes_one_by_one(&topic, id);
            let sender = self.sender().await?;
            match sender.hand_over(row, goes_alone).await {
                Ok(Handed::Full(row)) => {
                    self.waiting.push_front(Waiting { id, shard, bytes, row: Some(Ok(row)) });
                    self.not_before = Instant::now() + FULL;
                    break;
                }
                Ok(Handed::Streamed) => {
                    self.topics.streamed(&topic, id);
                    self.flight.takes_off(id, Flying { shard, bytes, topic }, Instant::now());
                }
                Ok(Handed::Alone(place)) => {
                    self.topics.found(&topic);
                    self.flight.takes_off(id, Flying { shard, bytes, topic }, Instant::now());
                    self.alone = Some((id, place));
                    break;
                }
                Err(error) => {
                    self.not_handed_over(id, shard, &topic, error).await?;
                }
            }
            let renews = Instant::now() >= self.holdings.renew_at();
            if renews || !self.flight.has_room() || self.trouble.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// The producer did not take a row.
    async fn not_handed_over(
        &mut self,
        id: i64,
        shard: i32,
        topic: &TopicName,
        error: SendError,
    ) -> Result<(), TurnError> {
        match error {
            // The client refuses what is larger than it may be by itself: alone as well as in company.
            error @ SendError::Refused { .. } => {
                self.start_over();
                self.look_at = Instant::now();
                self.quarantine(id, shard, error_chain(&error)).await?;
            }
            error @ SendError::UnknownTopic { .. } => self.miss(topic, &error),
            error => self.trouble.get_or_insert_default().failure = Some(error),
        }
        Ok(())
    }

    fn miss(&mut self, topic: &TopicName, error: &SendError) {
        if let Some(sender) = &self.sender {
            sender.forget_partition_count(topic);
        }
        self.topics.miss(topic.clone(), error, Instant::now());
        self.look.forget();
        // Its rows may have filled the look; without them others have their turn.
        self.look_at = Instant::now();
    }

    /// The producer, made if there is none.
    async fn sender(&mut self) -> Result<&Sender, TurnError> {
        if self.sender.as_ref().is_some_and(Sender::has_ended) && self.flight.unreported() == 0 {
            self.drop_sender().await;
        }
        Ok(match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(Sender::new(
                Producer::connect_gapless(&self.relay.kafka)?,
                self.relay.tracer.clone(),
                self.reports.0.clone(),
            )),
        })
    }

    /// Removes what arrived and lets other relays take over at once.
    pub(super) async fn leave(&mut self) -> Result<(), TurnError> {
        while let Ok(report) = self.reports.1.try_recv() {
            self.note(report);
        }
        self.drop_sender().await;
        self.remove_all().await?;
        in_time(self.relay.store.relay_leaves(self.holder, self.holdings.leases())).await
    }

    /// A client's end waits for its threads, which must not hold up those that tasks run on.
    async fn drop_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            // A panic within a destructor has been reported, and nothing is left to be done.
            drop(tokio::task::spawn_blocking(move || drop(sender)).await);
        }
    }
}

/// Awaits a statement of the relay, for no longer than one may take.
async fn in_time<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, TurnError> {
    match tokio::time::timeout(STATEMENT, statement).await {
        Ok(answer) => Ok(answer?),
        Err(elapsed) => Err(TurnError::NoAnswer(elapsed)),
    }
}
