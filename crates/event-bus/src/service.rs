//! A service on the bus: its database, its handlers, its relay.

mod handlers;
mod stateless;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::catalogue::Catalogue;
use crate::consumer::erased::{Batched, ErasedHandler, Single, Stateless};
use crate::envelope::EventType;
use crate::handler::{BatchHandler, Handler, StatelessHandler};
use crate::kafka::KafkaConfig;
use crate::kafka::admin::AdminError;
use crate::kafka::producer;
use crate::metrics::Metrics;
use crate::middleware::Middleware;
use crate::names::{GroupName, InstanceId, NameError, ServiceName};
use crate::outbox::Outbox;
use crate::relay::Relay;
use crate::store::{ConnectError, Migration, Store};
use crate::tracer::Tracer;
use handlers::{Bus, Handlers, Registered, consume};

pub use stateless::StatelessService;

/// How long a service that stops waits for its connections. Nothing runs on them any more, but a database that is
/// gone without a word never answers their farewell.
const STORE_CLOSE: Duration = Duration::from_secs(5);

/// A service, ready to run.
pub struct Service {
    outbox: Outbox,
    kafka: KafkaConfig,
    handlers: Handlers,
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
    /// A handler's type is another major of the event than the catalogue has the service handle.
    #[error(
        "{service} handles {event} as version {version}, but the catalogue has it handle major {major}: have both say the \
         same"
    )]
    OtherMajor {
        /// The service.
        service: ServiceName,
        /// The event's name.
        event: &'static str,
        /// The version of the handler's type.
        version: &'static str,
        /// The major that the catalogue says.
        major: u32,
    },
    /// The catalogue gives the service an event that it has no handler for.
    #[error("the catalogue lists {service} as a consumer of {event}, but it has no handler for it")]
    NoHandler {
        /// The service.
        service: ServiceName,
        /// The event's name.
        event: String,
    },
    /// The catalogue parks a key behind a dead letter, which a handler without a database can't do.
    #[error(
        "{service} handles {event} without a database, where no key can be parked: give it a Handler, or have the \
         catalogue say behind-dead-letter = \"continue\""
    )]
    ParkNeedsDatabase {
        /// The service.
        service: ServiceName,
        /// The event's name.
        event: String,
    },
    /// The Kafka client that writes dead letters could not be made.
    #[error(transparent)]
    Kafka(#[from] producer::ConnectError),
    /// The Kafka client that asks where logs end could not be made.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Another process has joined a group under the same instance id (Kafka's `FENCED_INSTANCE_ID`).
    #[error(
        "another process has taken the place of instance {instance} in group {group}: two replicas run under one \
         instance id. Give each an id of its own (--instance, Service::instance), and start this one again"
    )]
    Fenced {
        /// The group.
        group: GroupName,
        /// The id that both have.
        instance: InstanceId,
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
        let service = known_service(name, &catalogue)?;
        let store = Store::open(store_url, migrations).await?;
        let outbox = Outbox::new(store, catalogue, service);
        Ok(Self { outbox, kafka, handlers: Handlers::default() })
    }

    /// Where the service's own commands change its database and publish.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Runs as a replica with a name of its own: its consumers are static members of their groups (KIP-345). A restart
    /// that takes less than the session time-out (`session.timeout.ms`, 45 s if nothing is said) moves no partition, and
    /// no other replica notices it; for as long its partitions wait. Two processes must not have one id: the first of
    /// them ends with [`RunError::Fenced`].
    ///
    /// For replicas that are numbered, such as those of a Kubernetes `StatefulSet`. Whoever is removed for good has its
    /// partitions kept until the time-out ends.
    #[must_use]
    pub fn instance(mut self, id: InstanceId) -> Self {
        self.handlers.instance = Some(id);
        self
    }

    /// Counts in these metrics, which several services of one process may share.
    #[must_use]
    pub fn counting_in(mut self, metrics: Metrics) -> Self {
        self.handlers.metrics = metrics;
        self
    }

    /// What the service counts of itself; its subscriptions are in it once it runs.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.handlers.metrics
    }

    /// Has the way of its events traced: what it publishes, the wait in its outbox, each attempt of a handler and each
    /// dead letter. A second tracer is not heeded.
    #[must_use]
    pub fn traced_by(self, tracer: Tracer) -> Self {
        self.outbox.trace_by(tracer);
        self
    }

    /// Handles an event with `handler`. A second handler of one event replaces the first.
    #[must_use]
    pub fn on<E: EventType>(self, handler: impl Handler<E>) -> Self {
        self.on_database::<E>(Arc::new(Single::<E, _>::new(handler)))
    }

    /// Handles an event with `handler`, many at once. A second handler of one event replaces the first.
    #[must_use]
    pub fn on_batch<E: EventType + Sync>(self, handler: impl BatchHandler<E>) -> Self {
        self.on_database::<E>(Arc::new(Batched::<E, _>::new(handler)))
    }

    /// Handles an event with `handler` outside of the service's database, at least once. A second handler of one event
    /// replaces the first. A service that has no database at all is a [`StatelessService`].
    #[must_use]
    pub fn on_stateless<E: EventType>(mut self, handler: impl StatelessHandler<E>) -> Self {
        let handler = Arc::new(Stateless::<E, _>::new(handler));
        self.handlers.insert::<E>(Registered::Stateless(handler));
        self
    }

    /// Runs `middleware` around every handler of the service, whether it was given before or after, and inside of the
    /// middleware that was added before.
    #[must_use]
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.handlers.surround(middleware);
        self
    }

    /// Commits offsets at the latest this long after an event was handled; a second if nothing is said. A commit is a
    /// request to Kafka, and what was not committed before a crash comes again.
    #[must_use]
    pub fn committing_every(mut self, time: Duration) -> Self {
        self.handlers.commit_every = time;
        self
    }

    fn on_database<E: EventType>(mut self, handler: Arc<dyn ErasedHandler>) -> Self {
        self.handlers.insert::<E>(Registered::Database(self.outbox.clone(), handler));
        self
    }

    /// Relays and consumes until `shutdown` completes; then finishes what runs, commits and leaves the groups.
    ///
    /// # Errors
    /// When handlers and catalogue disagree, before anything runs; when a part of the service panicked; or when another
    /// process runs under its instance id.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let service = self.outbox.service().clone();
        let bus = Bus {
            catalogue: self.outbox.catalogue(),
            kafka: &self.kafka,
            service: &service,
            tracer: self.outbox.tracer(),
        };
        let subscriptions = self.handlers.subscriptions(bus)?;
        let (stop_relay, relay_stopping) = watch::channel(false);
        let relay = Relay::of(&self.outbox, self.kafka.clone()).counting_in(&self.handlers.metrics);
        let asked = relay.asked(self.outbox.catalogue());
        let mut relay = tokio::spawn(relay.run(relay_stopping));
        let mut relay_ended = None;
        let end = async {
            tokio::select! {
                () = shutdown => {}
                joined = &mut relay => relay_ended = Some(joined),
            }
        };
        let consumed = consume(subscriptions, Some(asked), bus, end).await;
        // The relay stops last: it sends what the last handlers emitted.
        // A failed send means that it has ended already.
        let _ = stop_relay.send(true);
        let relay_ended = match relay_ended {
            Some(joined) => joined,
            None => relay.await,
        };
        if tokio::time::timeout(STORE_CLOSE, self.outbox.store().close()).await.is_err() {
            tracing::warn!(%service, "the database did not let go of its connections in time: they are left to it");
        }
        consumed.and(relay_ended.map_err(|source| RunError::Panicked { service, source }))
    }
}

/// The service of that name, if the catalogue has it.
fn known_service(name: &str, catalogue: &Catalogue) -> Result<ServiceName, OpenError> {
    let service = ServiceName::new(name)?;
    if !catalogue.services().any(|(known, _)| *known == service) {
        let known: Vec<&str> = catalogue.services().map(|(known, _)| known.as_ref()).collect();
        return Err(OpenError::UnknownService { service, known: known.join(", ") });
    }
    Ok(service)
}
