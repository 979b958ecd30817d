//! Sends what the outbox holds, in order per topic and key.
//!
//! One relay at a time holds the lease of a database. It works by row status and not behind a cursor, for ids commit
//! out of order; per key they don't, see `store`. A row is removed once its own delivery report came. The lease
//! fences removals, not sends: a relay that lost it unknowingly repeats a prefix in order, and the inbox of each
//! consumer skips what it has seen.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::types::Uuid;
use tokio::sync::{mpsc, watch};

use crate::envelope::OutgoingRecord;
use crate::kafka::KafkaConfig;
use crate::kafka::producer::{Delivered, Producer, SendError};
use crate::names::TopicName;
use crate::outbox::Outbox;
use crate::shutdown;
use crate::store::{Lease, PendingRow, Store};

/// How long a lease lasts without being renewed: how long a dead relay's rows wait for another.
const LEASE: Duration = Duration::from_secs(10);
/// Rows sent in one round.
const ROUND: i64 = 1_000;
/// The longest wait for rows of another process; rows of this one nudge.
const IDLE: Duration = Duration::from_millis(200);
/// The wait after a round that failed.
const BACK_OFF: Duration = Duration::from_millis(500);
/// How long one question about a topic's partitions may take.
const ASK: Duration = Duration::from_secs(5);
/// The wait before a record is offered again to a client whose queue was full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(5);
/// The wait before the lease is asked for again while another relay has it.
const LEASE_TAKEN: Duration = Duration::from_secs(1);

/// The relay of one database.
pub(crate) struct Relay {
    outbox: Outbox,
    kafka: KafkaConfig,
    holder: Uuid,
}

/// A round that did not end well.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the outbox could not be read or written")]
    Store(#[from] sqlx::Error),
    #[error("the rows could not be sent")]
    Send(#[from] SendError),
    #[error("no producer")]
    Connect(#[from] crate::kafka::producer::ConnectError),
}

/// What a round did.
enum Round {
    /// Rows were sent: there may be more.
    Sent,
    /// Nothing can be sent now.
    Idle,
}

/// How a row's send ended.
struct Report {
    id: i64,
    result: Result<Delivered, SendError>,
}

impl Relay {
    pub(crate) fn new(outbox: Outbox, kafka: KafkaConfig) -> Self {
        Self { outbox, kafka, holder: Uuid::now_v7() }
    }

    /// Relays until `stop` turns true and what is committed by then is sent.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut producer = None;
        let mut lease = None;
        loop {
            let stopping = *stop.borrow();
            let wait = match self.round(&mut producer, &mut lease).await {
                Ok(Round::Sent) => continue,
                Ok(Round::Idle) if lease.is_none() => LEASE_TAKEN,
                Ok(Round::Idle) => IDLE,
                Err(error) => {
                    tracing::warn!(service = %self.outbox.service(), error = crate::dead_letter::error_chain(&error), "relay");
                    if matches!(&error, RoundError::Send(SendError::Fatal { .. } | SendError::Gone)) {
                        producer = None;
                    }
                    BACK_OFF
                }
            };
            if stopping {
                break;
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => {}
                () = self.outbox.nudge().notified() => {}
                () = tokio::time::sleep(jittered(wait)) => {}
            }
        }
        if let Some(lease) = lease
            && let Err(error) = self.store().release_relay_lease(lease).await
        {
            tracing::warn!(%error, "the relay's lease was not released: another waits until it expires");
        }
    }

    fn store(&self) -> &Store {
        self.outbox.store()
    }

    async fn round(&self, producer: &mut Option<Producer>, lease: &mut Option<Lease>) -> Result<Round, RoundError> {
        *lease = self.store().hold_relay_lease(self.holder, LEASE).await?;
        let Some(lease) = *lease else { return Ok(Round::Idle) };
        let rows = self.store().pending_outgoing(ROUND).await?;
        if rows.is_empty() {
            return Ok(Round::Idle);
        }
        let producer = match producer {
            Some(producer) => producer.clone(),
            None => producer.insert(Producer::connect(&self.kafka)?).clone(),
        };
        let sent = self.send(&producer, rows).await?;
        self.settle(lease, sent).await
    }

    /// Sends the rows in order and waits for all their reports.
    async fn send(&self, producer: &Producer, rows: Vec<PendingRow>) -> Result<Vec<Report>, SendError> {
        let (reports, mut arriving) = mpsc::unbounded_channel();
        let mut missing = HashSet::new();
        let mut sent = 0;
        for PendingRow { id, record } in rows {
            // Without its topic a row waits, and the rows of its key behind it, for they have the same topic.
            let Some(record) = self.addressed(producer, record, &mut missing).await? else { continue };
            self.hand_over(producer, &record, id, &reports).await?;
            sent += 1;
        }
        drop(reports);
        let mut results = Vec::with_capacity(sent);
        while let Some(report) = arriving.recv().await {
            results.push(report);
        }
        if results.len() < sent { Err(SendError::Gone) } else { Ok(results) }
    }

    /// The record with its partition folded into those that there are. `None` when its topic is missing.
    async fn addressed(
        &self,
        producer: &Producer,
        mut record: OutgoingRecord,
        missing: &mut HashSet<TopicName>,
    ) -> Result<Option<OutgoingRecord>, SendError> {
        if missing.contains(&record.topic) {
            return Ok(None);
        }
        let (client, topic) = (producer.clone(), record.topic.clone());
        let asked = match producer.known_partition_count(&record.topic) {
            Some(count) => Ok(count),
            None => tokio::task::spawn_blocking(move || client.partition_count(&topic, ASK)).await.unwrap_or(Err(SendError::Gone)),
        };
        match asked {
            Ok(count) => {
                record.partition = record.partition.map(|partition| partition % count);
                Ok(Some(record))
            }
            Err(error @ SendError::UnknownTopic { .. }) => {
                tracing::error!(service = %self.outbox.service(), %error, "events wait in the outbox");
                missing.insert(record.topic);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn hand_over(
        &self,
        producer: &Producer,
        record: &OutgoingRecord,
        id: i64,
        reports: &mpsc::UnboundedSender<Report>,
    ) -> Result<(), SendError> {
        loop {
            let reports = reports.clone();
            // The receiver lives until every sender is gone, unless the round was given up.
            let on_delivery = Box::new(move |result| drop(reports.send(Report { id, result })));
            match producer.send(record, on_delivery) {
                Ok(()) => return Ok(()),
                Err((SendError::QueueFull, _)) => tokio::time::sleep(QUEUE_FULL_WAIT).await,
                Err((error @ SendError::Refused { .. }, on_delivery)) => {
                    on_delivery(Err(error));
                    return Ok(());
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Removes what was delivered, sets aside what never can be, and reports the first other failure.
    async fn settle(&self, lease: Lease, reports: Vec<Report>) -> Result<Round, RoundError> {
        let mut delivered = Vec::new();
        let mut failure = None;
        for Report { id, result } in reports {
            match result {
                Ok(_) => delivered.push(id),
                Err(error @ SendError::Refused { .. }) => {
                    tracing::error!(service = %self.outbox.service(), row = id, %error, "an outbox row is quarantined and halts its key");
                    self.store().quarantine_outgoing(lease, id, &error.to_string()).await?;
                }
                Err(error) => failure = Some(error),
            }
        }
        if !delivered.is_empty() {
            self.store().remove_sent(lease, &delivered).await?;
        }
        match failure {
            Some(error) => Err(error.into()),
            None if delivered.is_empty() => Ok(Round::Idle),
            None => Ok(Round::Sent),
        }
    }
}

/// Up to a quarter less, so that the relays of many services don't ask in step.
fn jittered(wait: Duration) -> Duration {
    wait - wait.mul_f64(rand::random::<f64>() / 4.0)
}
