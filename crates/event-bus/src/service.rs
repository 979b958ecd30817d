//! A service on the bus: its database, its handlers, its relay.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::catalogue::{self, BehindDeadLetter, Catalogue, Consumer};
use crate::consumer::erased::{ErasedHandler, Typed};
use crate::consumer::{Executor, Settings, Subscription};
use crate::envelope::EventType;
use crate::handler::Handler;
use crate::kafka::KafkaConfig;
use crate::metrics::Metrics;
use crate::names::{NameError, ServiceName};
use crate::outbox::Outbox;
use crate::relay::Relay;
use crate::store::{ConnectError, Migration, Store};

/// How long a service that stops waits for its connections. Nothing runs on them any more, but a database that is
/// gone without a word never answers their farewell.
const STORE_CLOSE: Duration = Duration::from_secs(5);

/// A service, ready to run.
pub struct Service {
    outbox: Outbox,
    kafka: KafkaConfig,
    handlers: HashMap<&'static str, Arc<dyn ErasedHandler>>,
    metrics: Metrics,
}

/// A service that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name breaks the naming rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The catalogue does not have it.
    #[error("the catalogue has no service {service}; it has {known}")]
    UnknownService {
        /// The name that was asked for.
        service: ServiceName,
        /// The services of the catalogue.
        known: String,
    },
    /// Its database could not be opened.
    #[error(transparent)]
    Store(#[from] ConnectError),
}

/// A service that could not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A handler stands for an event that the catalogue does not give to this service.
    #[error(
        "{service} has a handler for {event}, which the catalogue does not list it as a consumer of"
    )]
    NotAConsumer {
        /// The service.
        service: ServiceName,
        /// The event's name.
        event: &'static str,
    },
    /// The catalogue gives the service an event that it has no handler for.
    #[error("the catalogue lists {service} as a consumer of {event}, but it has no handler for it")]
    NoHandler {
        /// The service.
        service: ServiceName,
        /// The event's name.
        event: String,
    },
    /// A part of the service panicked.
    #[error("a part of {service} ended with a panic; the others were stopped")]
    Panicked {
        /// The service.
        service: ServiceName,
        /// The panic.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Service {
    /// Opens a service of the catalogue with its database, bringing the library's tables and its own up to date.
    ///
    /// # Errors
    /// When the catalogue does not have the service, or the database can't be opened.
    pub async fn open(
        name: &str,
        catalogue: Arc<Catalogue>,
        kafka: KafkaConfig,
        store_url: &str,
        migrations: &[Migration],
    ) -> Result<Self, OpenError> {
        let service = ServiceName::new(name)?;
        if !catalogue.services().any(|(known, _)| *known == service) {
            let known: Vec<&str> = catalogue.services().map(|(known, _)| known.as_ref()).collect();
            return Err(OpenError::UnknownService { service, known: known.join(", ") });
        }
        let store = Store::open(store_url, migrations).await?;
        Ok(Self {
            outbox: Outbox::new(store, catalogue, service),
            kafka,
            handlers: HashMap::new(),
            metrics: Metrics::default(),
        })
    }

    /// Where the service's own commands change its database and publish.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Counts in these metrics, which several services of one process may share.
    #[must_use]
    pub fn counting_in(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// What the service counts of itself; its subscriptions are in it once it runs.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Handles an event with `handler`. A second handler of one event replaces the first.
    #[must_use]
    pub fn on<E: EventType>(mut self, handler: impl Handler<E>) -> Self {
        self.handlers.insert(E::NAME, Arc::new(Typed::<E, _>::new(handler)));
        self
    }

    /// Relays and consumes until `shutdown` completes; then finishes what runs, commits and leaves the groups.
    ///
    /// # Errors
    /// When handlers and catalogue disagree, before anything runs; or when a part of the service panicked.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let subscriptions = self.subscriptions()?;
        let service = self.outbox.service().clone();
        let (stop_consumers, consumers_stopping) = watch::channel(false);
        let (stop_relay, relay_stopping) = watch::channel(false);
        let mut consumers = JoinSet::new();
        for subscription in subscriptions {
            consumers.spawn(subscription.run(consumers_stopping.clone()));
        }
        let mut relay =
            tokio::spawn(Relay::new(self.outbox.clone(), self.kafka.clone()).run(relay_stopping));
        tracing::info!(%service, subscriptions = consumers.len(), "running");
        let mut ended = Ok(());
        let mut relay_ended = None;
        tokio::select! {
            () = shutdown => {}
            Some(Err(panic)) = consumers.join_next() => ended = Err(panic),
            joined = &mut relay => relay_ended = Some(joined),
        }
        tracing::info!(%service, "stopping");
        // A failed send means that no part is left to tell.
        let _ = stop_consumers.send(true);
        while let Some(joined) = consumers.join_next().await {
            ended = ended.and(joined);
        }
        // The relay stops last: it sends what the last handlers emitted.
        let _ = stop_relay.send(true);
        let relay_ended = match relay_ended {
            Some(joined) => joined,
            None => relay.await,
        };
        ended = ended.and(relay_ended);
        if tokio::time::timeout(STORE_CLOSE, self.outbox.store().close()).await.is_err() {
            tracing::warn!(%service, "the database did not let go of its connections in time: they are left to it");
        }
        ended.map_err(|source| RunError::Panicked { service, source })
    }

    fn subscriptions(&self) -> Result<Vec<Subscription>, RunError> {
        let service = self.outbox.service();
        let catalogue = self.outbox.catalogue();
        for event in self.handlers.keys() {
            if catalogue.subscription(service.as_ref(), event).is_none() {
                return Err(RunError::NotAConsumer { service: service.clone(), event });
            }
        }
        catalogue
            .subscriptions_of(service)
            .map(|subscription| {
                let handler =
                    self.handlers.get(subscription.event.name.as_ref()).ok_or_else(|| {
                        RunError::NoHandler {
                            service: service.clone(),
                            event: subscription.event.name.to_string(),
                        }
                    })?;
                Ok(self.subscription(subscription.event, subscription.consumer, handler))
            })
            .collect()
    }

    fn subscription(
        &self,
        event: &Arc<catalogue::Event>,
        consumer: &Consumer,
        handler: &Arc<dyn ErasedHandler>,
    ) -> Subscription {
        Subscription {
            kafka: self.kafka.clone(),
            settings: Arc::new(Settings::new(
                consumer.execution,
                consumer.retry.clone().into(),
                consumer.behind_dead_letter,
            )),
            executor: Executor {
                outbox: self.outbox.clone(),
                event: Arc::clone(event),
                group: consumer.group.clone(),
                service: consumer.service.clone(),
                handler: Arc::clone(handler),
                handler_timeout: consumer.handler_timeout,
                parks: consumer.behind_dead_letter == BehindDeadLetter::Park,
                metrics: self.metrics.of(&consumer.group, &event.topic),
            },
        }
    }
}
