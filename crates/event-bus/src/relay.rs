//! Sends what the outbox holds, in order per topic and key.
//!
//! Several relays may run on a database: they share its shards out among them (`store::relays`), and a topic and key are
//! in one shard. A relay works by row status and not behind a cursor, for ids commit out of order; per key they don't,
//! see `store`. A row is removed once its own delivery report came. A lease fences removals, not sends: a relay that lost
//! it unknowingly repeats a prefix in order, and the inbox of each consumer skips what it has seen.

pub(crate) mod asked;
mod back_off;
mod flight;
mod holdings;
mod look;
mod sender;
mod stuck;
mod topics;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::control::listener::Listener;
use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::metrics::{Metrics, RelayMetrics};
use crate::outbox::Outbox;
use crate::shutdown;
use crate::store::Store;
use crate::tracer::Tracer;
use asked::Asked;
use work::{Turn, Work};

/// A relay that is about to wake within this time is woken by nothing that can wait: reports, as many as there are
/// requests, and removals.
const SOON: Duration = Duration::from_millis(10);
/// How long the end of a relay may take to remove what arrived and to give its leases back. They expire soon after.
const LEAVE: Duration = Duration::from_secs(2);
/// How often it is counted what the outbox holds: about as often as Prometheus asks.
const MEASURE: Duration = Duration::from_secs(10);
/// How long a relay that is to stop goes on sending what is committed.
const LAST_TURNS: Duration = Duration::from_secs(10);

/// A relay of one database. A [`Service`](crate::Service) has one; others may run beside it, in this process or in
/// another: they share the keys out among
/// them, and take over from each other.
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
    /// Under which it holds leases, and is asked.
    id: Uuid,
    nudge: Arc<Notify>,
    tracer: Tracer,
    metrics: RelayMetrics,
    /// Hears what operators ask, where it does so by itself.
    listener: Option<Listener>,
}

impl Relay {
    /// A relay of what `store` holds. `service` is whose outbox that is; logs and metrics tell it.
    #[must_use]
    pub fn new(store: Store, kafka: KafkaConfig, service: impl Into<String>) -> Self {
        let service = service.into();
        Self {
            store,
            kafka,
            id: Uuid::now_v7(),
            nudge: Arc::default(),
            tracer: Tracer::none(),
            metrics: Metrics::default().of_relay(&service),
            service,
            listener: None,
        }
    }

    /// Counts in these metrics.
    #[must_use]
    pub fn counting_in(self, metrics: &Metrics) -> Self {
        Self { metrics: metrics.of_relay(&self.service), ..self }
    }

    /// Answers what operators ask about the outbox, over the topic of commands, if the catalogue has its service: nobody is
    /// asked under another name. What it tells of personal data is masked as this catalogue says. To be called last, for
    /// metrics that are set later are not told.
    #[must_use]
    pub fn answering(self, catalogue: &Arc<Catalogue>) -> Self {
        let mut services = catalogue.services().map(|(service, _)| service);
        let Some(service) = services.find(|service| service.as_ref() == self.service) else {
            let service = &self.service;
            tracing::info!(service, "the catalogue has no such service, so operators can't ask");
            return self;
        };
        let (kafka, asked) = (self.kafka.clone(), self.asked(catalogue));
        let nobody = std::iter::empty();
        let listener = Listener::new(catalogue, kafka, service.clone(), nobody, Some(asked));
        Self { listener: Some(listener), ..self }
    }

    /// Answers for it, where somebody else hears what is asked.
    pub(crate) fn asked(&self, catalogue: &Arc<Catalogue>) -> Asked {
        Asked {
            relay: self.id,
            since: Timestamp::now(),
            store: self.store.clone(),
            catalogue: Arc::clone(catalogue),
            metrics: self.metrics.clone(),
            nudge: Arc::clone(&self.nudge),
        }
    }

    /// The relay of a service: it is woken at each commit of its outbox, and traces what that traces.
    pub(crate) fn of(outbox: &Outbox, kafka: KafkaConfig) -> Self {
        let relay = Self::new(outbox.store().clone(), kafka, outbox.service().as_ref());
        Self { nudge: Arc::clone(outbox.nudge()), tracer: outbox.tracer().clone(), ..relay }
    }

    /// Relays until `stop` turns true (or nobody is left who could turn it) and what is committed by then is sent, or
    /// can't be sent in time.
    pub async fn run(mut self, stop: watch::Receiver<bool>) {
        let listener = self.listener.take();
        let stopping = stop.clone();
        let hears = async {
            if let Some(listener) = listener {
                listener.run(stopping).await;
            }
            // The work ends it.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // Boxed: it is large, and whoever runs a relay holds it.
            () = Box::pin(self.work(stop)) => {}
            () = self.measure() => {}
            () = hears => {}
        }
    }

    /// Tells the metrics what the outbox holds, again and again.
    async fn measure(&self) {
        loop {
            if let (Ok(pending), Ok(backlog)) =
                (self.store.outbox_pending().await, self.store.outbox_backlog().await)
            {
                self.metrics.note(pending, backlog);
            }
            // A database that does not answer is told of by the work.
            tokio::time::sleep(MEASURE).await;
        }
    }

    async fn work(&self, mut stop: watch::Receiver<bool>) {
        let mut work = Work::new(self, Instant::now());
        let mut stopping: Option<Instant> = None;
        loop {
            if stopping.is_none() && shutdown::is_requested(&stop) {
                let now = Instant::now();
                stopping = Some(now);
                work.stop(now);
            }
            let turn = tokio::select! {
                turn = work.turn() => turn,
                () = overdue(&mut stop, stopping) => {
                    tracing::warn!(service = self.service, "the relay stops with events in the outbox: the next one sends them");
                    break;
                }
            };
            let until = match turn {
                Ok(Turn::More) => continue,
                Ok(Turn::Until(_)) if stopping.is_some_and(|since| work.is_done(since)) => break,
                Ok(Turn::Until(until)) => until,
                Err(error) => {
                    tracing::warn!(service = self.service, error = error_chain(&error), "relay");
                    if stopping.is_some() {
                        break;
                    }
                    work.back_off(&error, Instant::now());
                    continue;
                }
            };
            tokio::select! {
                () = next_end(&mut stop, stopping) => {}
                () = work.moves(), if until > Instant::now() + SOON => {}
                () = self.nudge.notified() => work.nudge(Instant::now()),
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
        let error = match tokio::time::timeout(LEAVE, work.leave()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::warn!(
            service = self.service,
            error,
            "the relay's leases were not released: others wait until they expire"
        );
    }
}

/// Completes when the relay was to stop and has had its time for the rest.
async fn overdue(stop: &mut watch::Receiver<bool>, stopping: Option<Instant>) {
    shutdown::requested(stop).await;
    let since = stopping.unwrap_or_else(Instant::now);
    tokio::time::sleep_until((since + LAST_TURNS).into()).await;
}

/// Completes when the relay is to stop, or where that is known, when its time is over.
async fn next_end(stop: &mut watch::Receiver<bool>, stopping: Option<Instant>) {
    match stopping {
        None => shutdown::requested(stop).await,
        Some(_) => overdue(stop, stopping).await,
    }
}
