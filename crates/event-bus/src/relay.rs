//! Sends what the outbox holds, in order per topic and key.
//!
//! One relay at a time holds the lease of a database. It works by row status and not behind a cursor, for ids commit
//! out of order; per key they don't, see `store`. A row is removed once its own delivery report came. The lease
//! fences removals, not sends: a relay that lost it unknowingly repeats a prefix in order, and the inbox of each
//! consumer skips what it has seen.

mod sender;

use std::sync::Arc;
use std::time::Duration;

use sqlx::types::Uuid;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::kafka::producer::{ConnectError, Producer, SendError};
use crate::outbox::Outbox;
use crate::shutdown;
use crate::store::{Lease, Store};
use crate::tracer::Tracer;
use sender::{Sender, Sent, Topics};

/// How long a lease lasts without being renewed: how long a dead relay's rows wait for another.
const LEASE: Duration = Duration::from_secs(10);
/// Rows sent in one round.
const ROUND: i64 = 1_000;
/// The longest wait for rows of another process; rows of this one nudge.
const IDLE: Duration = Duration::from_millis(200);
/// The wait after a round that failed.
const BACK_OFF: Duration = Duration::from_millis(500);
/// The wait before the lease is asked for again while another relay has it.
const LEASE_TAKEN: Duration = Duration::from_secs(1);
/// How long one statement of the relay may take, the wait for a connection included: far longer than a healthy database
/// needs, and an end to one whose connection died without a word.
const STATEMENT: Duration = Duration::from_secs(30);
/// How long the release of the lease may take. It expires by itself soon after.
const RELEASE: Duration = Duration::from_secs(2);
/// How long a relay that is to stop goes on sending what is committed.
const LAST_ROUNDS: Duration = Duration::from_secs(10);

/// A relay of one database. A [`Service`](crate::Service) has one; others may run beside it, in this process or in
/// another: one of them sends, and the others take over when it ends.
///
/// ```no_run
/// # async fn run(kafka: event_bus::KafkaConfig) -> Result<(), Box<dyn std::error::Error>> {
/// use event_bus::relay::Relay;
/// use event_bus::store::Store;
///
/// let store = Store::open_existing("postgres://localhost/shop").await?;
/// let (stop, stopping) = tokio::sync::watch::channel(false);
/// let relay = tokio::spawn(Relay::new(store, kafka, "shop").run(stopping));
/// // …
/// stop.send(true)?;
/// relay.await?;
/// # Ok(())
/// # }
/// ```
pub struct Relay {
    store: Store,
    kafka: KafkaConfig,
    /// Whose outbox it is, for those who read the log.
    service: String,
    nudge: Arc<Notify>,
    tracer: Tracer,
    holder: Uuid,
    sender: Option<Sender>,
    topics: Topics,
    lease: Option<Lease>,
}

/// A round that did not end well.
#[derive(Debug, thiserror::Error)]
enum RoundError {
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

/// What a round did.
enum Round {
    /// Rows were sent: there may be more.
    Sent,
    /// Nothing can be sent now.
    Idle,
}

impl Relay {
    /// A relay of what `store` holds. `service` is whose outbox that is; logs tell it.
    #[must_use]
    pub fn new(store: Store, kafka: KafkaConfig, service: impl Into<String>) -> Self {
        Self {
            store,
            kafka,
            service: service.into(),
            nudge: Arc::default(),
            tracer: Tracer::none(),
            holder: Uuid::now_v7(),
            sender: None,
            topics: Topics::default(),
            lease: None,
        }
    }

    /// The relay of a service: it is woken at each commit of its outbox, and traces what that traces.
    pub(crate) fn of(outbox: &Outbox, kafka: KafkaConfig) -> Self {
        let relay = Self::new(outbox.store().clone(), kafka, outbox.service().as_ref());
        Self { nudge: Arc::clone(outbox.nudge()), tracer: outbox.tracer().clone(), ..relay }
    }

    /// Relays until `stop` turns true (or nobody is left who could turn it) and what is committed by then is sent, or can't be sent in time.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (nudge, service) = (Arc::clone(&self.nudge), self.service.clone());
        let mut deadline = None;
        loop {
            let stopping = shutdown::is_requested(&stop);
            let round = tokio::select! {
                round = self.round() => round,
                () = overdue(&mut stop, &mut deadline) => {
                    tracing::warn!(service, "the relay stops with events in the outbox: the next one sends them");
                    break;
                }
            };
            let wait = match round {
                Ok(Round::Sent) => continue,
                Ok(Round::Idle) if self.lease.is_none() => LEASE_TAKEN,
                Ok(Round::Idle) => IDLE,
                Err(error) => {
                    tracing::warn!(service, error = error_chain(&error), "relay");
                    BACK_OFF
                }
            };
            if stopping {
                break;
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => {}
                () = nudge.notified() => {}
                () = tokio::time::sleep(jittered(wait)) => {}
            }
        }
        self.leave().await;
    }

    async fn round(&mut self) -> Result<Round, RoundError> {
        self.lease = in_time(self.store.hold_relay_lease(self.holder, LEASE)).await?;
        let Some(lease) = self.lease else { return Ok(Round::Idle) };
        let missing = self.topics.missing();
        let rows = in_time(self.store.pending_outgoing(ROUND, &missing)).await?;
        if rows.is_empty() {
            return Ok(Round::Idle);
        }
        if self.sender.as_ref().is_some_and(Sender::has_ended) {
            self.drop_sender().await;
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none
                .insert(Sender::new(Producer::connect_gapless(&self.kafka)?, self.tracer.clone())),
        };
        let sent = sender.send(rows, &mut self.topics).await;
        self.settle(lease, sent).await
    }

    /// Removes what was delivered, sets aside what never can be, and tells of a failure.
    async fn settle(&self, lease: Lease, sent: Sent) -> Result<Round, RoundError> {
        for (id, error) in sent.refused {
            tracing::error!(service = self.service, row = id, %error, "an outbox row is quarantined and halts its key");
            in_time(self.store.quarantine_outgoing(lease, id, &error.to_string())).await?;
        }
        if !sent.delivered.is_empty() {
            in_time(self.store.remove_sent(lease, &sent.delivered)).await?;
        }
        match sent.failure {
            _ if sent.again => Ok(Round::Sent),
            Some(error) => Err(error.into()),
            None if sent.delivered.is_empty() => Ok(Round::Idle),
            None => Ok(Round::Sent),
        }
    }

    /// Lets another relay take over at once.
    async fn leave(mut self) {
        self.drop_sender().await;
        let Some(lease) = self.lease else { return };
        let released = tokio::time::timeout(RELEASE, self.store.release_relay_lease(lease)).await;
        let error = match released {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::warn!(
            service = self.service,
            error,
            "the relay's lease was not released: another waits until it expires"
        );
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
) -> Result<T, RoundError> {
    match tokio::time::timeout(STATEMENT, statement).await {
        Ok(answer) => Ok(answer?),
        Err(elapsed) => Err(RoundError::NoAnswer(elapsed)),
    }
}

/// Completes when the relay was to stop and has had its time for the rest.
async fn overdue(stop: &mut watch::Receiver<bool>, deadline: &mut Option<Instant>) {
    shutdown::requested(stop).await;
    tokio::time::sleep_until(*deadline.get_or_insert_with(|| Instant::now() + LAST_ROUNDS)).await;
}

/// Up to a quarter less, so that the relays of many services don't ask in step.
fn jittered(wait: Duration) -> Duration {
    wait - wait.mul_f64(rand::random::<f64>() / 4.0)
}
