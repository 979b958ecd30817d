//! A service without a database.

use std::sync::Arc;
use std::time::Duration;

use super::handlers::{Bus, Handlers, Registered, consume};
use super::{OpenError, RunError, known_service};
use crate::catalogue::Catalogue;
use crate::consumer::erased::Stateless;
use crate::envelope::EventType;
use crate::handler::StatelessHandler;
use crate::kafka::KafkaConfig;
use crate::metrics::Metrics;
use crate::middleware::Middleware;
use crate::names::{InstanceId, ServiceName};
use crate::tracer::Tracer;

/// A service without a database, ready to run. Its handlers run at least once, as [`StatelessHandler`] says.
///
/// ```no_run
/// # use event_bus::{Event, EventType, Handled, StatelessContext, StatelessHandler};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct PaymentCaptured { order_id: String }
/// # impl EventType for PaymentCaptured { const NAME: &'static str = "PaymentCaptured"; const VERSION: &'static str = "1.0"; }
/// # struct Receipts;
/// # impl StatelessHandler<PaymentCaptured> for Receipts {
/// #     async fn handle(&self, _: Event<PaymentCaptured>, _: &StatelessContext<'_>) -> Handled { Ok(()) }
/// # }
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use event_bus::{Catalogue, KafkaConfig, StatelessService};
///
/// let catalogue = Arc::new(Catalogue::load("acme.toml".as_ref())?);
/// let service = StatelessService::new("mail", catalogue, KafkaConfig::plain("localhost:9092"))?;
/// service.on::<PaymentCaptured>(Receipts).run(async { drop(tokio::signal::ctrl_c().await) }).await?;
/// # Ok(())
/// # }
/// ```
pub struct StatelessService {
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    name: ServiceName,
    handlers: Handlers,
    tracer: Tracer,
}

impl StatelessService {
    /// A service of the catalogue.
    ///
    /// # Errors
    /// When the catalogue does not have it.
    pub fn new(
        name: &str,
        catalogue: Arc<Catalogue>,
        kafka: KafkaConfig,
    ) -> Result<Self, OpenError> {
        let name = known_service(name, &catalogue)?;
        let (handlers, tracer) = (Handlers::default(), Tracer::default());
        Ok(Self { catalogue, kafka, name, handlers, tracer })
    }

    /// Handles an event with `handler`. A second handler of one event replaces the first.
    #[must_use]
    pub fn on<E: EventType>(mut self, handler: impl StatelessHandler<E>) -> Self {
        let handler = Arc::new(Stateless::<E, _>::new(handler));
        self.handlers.insert::<E>(Registered::Stateless(handler));
        self
    }

    /// Runs `middleware` around every handler, inside of those that were added before.
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

    /// As [`Service::instance`](super::Service::instance).
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

    /// Has the way of its events traced: each attempt of a handler and each dead letter.
    #[must_use]
    pub fn traced_by(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// The service's name in the catalogue.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Consumes until `shutdown` completes; then finishes what runs, commits and leaves the groups.
    ///
    /// # Errors
    /// When handlers and catalogue disagree, before anything runs; when a part of the service panicked; or when another
    /// process runs under its instance id.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let bus = Bus {
            catalogue: &self.catalogue,
            kafka: &self.kafka,
            service: &self.name,
            tracer: &self.tracer,
        };
        let subscriptions = self.handlers.subscriptions(bus)?;
        consume(subscriptions, None, bus, shutdown).await
    }
}
