//! A service's handlers, and the subscriptions that they make with the catalogue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::RunError;
use crate::catalogue::{self, BehindDeadLetter, Catalogue, Version};
use crate::consumer::erased::ErasedHandler;
use crate::consumer::{
    Executor, Fenced, Invoker, Runner, Settings, StatelessExecutor, Subscription,
};
use crate::control::listener::{Asked, Hold, Listener};
use crate::envelope::EventType;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::Admin;
use crate::kafka::lasting_producer::LastingProducer;
use crate::limits::COMMIT_EVERY;
use crate::metrics::Metrics;
use crate::middleware::{ErasedMiddleware, Middleware};
use crate::names::{InstanceId, ServiceName};
use crate::outbox::Outbox;
use crate::relay;
use crate::tracer::Tracer;

/// What a service does about its events.
pub(super) struct Handlers {
    by_event: HashMap<&'static str, Registered>,
    /// The version of each event that its handler's type is.
    versions: HashMap<&'static str, &'static str>,
    middleware: Vec<Arc<dyn ErasedMiddleware>>,
    /// Offsets are committed at the latest this long after an event settled.
    pub(super) commit_every: Duration,
    pub(super) metrics: Metrics,
    pub(super) instance: Option<InstanceId>,
}

impl Default for Handlers {
    fn default() -> Self {
        Self {
            by_event: HashMap::new(),
            versions: HashMap::new(),
            middleware: Vec::new(),
            commit_every: COMMIT_EVERY,
            metrics: Metrics::default(),
            instance: None,
        }
    }
}

/// A handler, by where it works.
pub(super) enum Registered {
    Database(Outbox, Arc<dyn ErasedHandler>),
    Stateless(Arc<dyn ErasedHandler>),
}

/// On which bus the handlers work, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Bus<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) kafka: &'a KafkaConfig,
    pub(super) service: &'a ServiceName,
    pub(super) tracer: &'a Tracer,
}

/// What the subscriptions of a service share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    middleware: &'a Arc<[Arc<dyn ErasedMiddleware>]>,
    /// For dead letters of handlers without a database.
    producer: Option<&'a LastingProducer>,
    admin: &'a Admin,
}

impl Handlers {
    pub(super) fn insert<E: EventType>(&mut self, handler: Registered) {
        self.by_event.insert(E::NAME, handler);
        self.versions.insert(E::NAME, E::VERSION);
    }

    pub(super) fn surround(&mut self, middleware: impl Middleware) {
        self.middleware.push(Arc::new(middleware));
    }

    /// A subscription for each event that the catalogue gives the service.
    pub(super) fn subscriptions(&self, bus: Bus<'_>) -> Result<Vec<Subscription>, RunError> {
        for (event, version) in &self.versions {
            let service = bus.service;
            let Some(subscription) = bus.catalogue.subscription(service.as_ref(), event) else {
                return Err(RunError::NotAConsumer { service: service.clone(), event });
            };
            let major = subscription.consumer.major;
            if version.parse::<Version>().is_ok_and(|version| version.major != major) {
                return Err(RunError::OtherMajor {
                    service: service.clone(),
                    event,
                    version,
                    major,
                });
            }
        }
        let middleware: Arc<[_]> = self.middleware.as_slice().into();
        let needs_producer =
            self.by_event.values().any(|handler| matches!(handler, Registered::Stateless(_)));
        let producer = needs_producer.then(|| LastingProducer::connect(bus.kafka)).transpose()?;
        let admin = Admin::connect(bus.kafka)?;
        let shared = Shared { middleware: &middleware, producer: producer.as_ref(), admin: &admin };
        let subscriptions = bus.catalogue.subscriptions_of(bus.service);
        subscriptions.map(|subscription| self.subscription(bus, subscription, shared)).collect()
    }

    fn subscription(
        &self,
        bus: Bus<'_>,
        subscription: catalogue::Subscription<'_>,
        shared: Shared<'_>,
    ) -> Result<Subscription, RunError> {
        let (event, consumer) = (Arc::clone(subscription.event), subscription.consumer);
        let no_handler =
            || RunError::NoHandler { service: bus.service.clone(), event: event.name.to_string() };
        let (group, service) = (consumer.group.clone(), consumer.service.clone());
        let (waits, timeout) = (consumer.retry.clone().into(), consumer.handler_timeout);
        let behind = consumer.behind_dead_letter;
        let metrics = self.metrics.of(&group, &event.topic);
        let outcomes = bus.catalogue.outcomes_topic();
        let invoker = |handler: &Arc<dyn ErasedHandler>| Invoker {
            handler: Arc::clone(handler),
            middleware: Arc::clone(shared.middleware),
            timeout,
            metrics: Arc::clone(&metrics),
            tracer: bus.tracer.clone(),
        };
        let (settings, runner) =
            match (self.by_event.get(event.name.as_ref()).ok_or_else(no_handler)?, shared.producer)
            {
                (Registered::Database(outbox, handler), _) => {
                    let (outbox, invoker) = (outbox.clone(), invoker(handler));
                    let parks = behind == BehindDeadLetter::Park;
                    let admin = shared.admin.clone();
                    let executor =
                        Executor { outbox, event, group, service, invoker, parks, admin, outcomes };
                    let settings = Settings::new(consumer.execution, waits, behind);
                    (settings, Runner::Database(executor))
                }
                (Registered::Stateless(_), _) if behind == BehindDeadLetter::Park => {
                    let event = event.name.to_string();
                    return Err(RunError::ParkNeedsDatabase { service, event });
                }
                (Registered::Stateless(handler), Some(producer)) => {
                    let (producer, invoker) = (producer.clone(), invoker(handler));
                    let executor =
                        StatelessExecutor { producer, event, group, service, invoker, outcomes };
                    let settings = Settings::stateless(consumer.execution, waits);
                    (settings, Runner::Stateless(executor))
                }
                (Registered::Stateless(_), None) => return Err(no_handler()),
            };
        let stuck_after = bus.kafka.stuck_after();
        let commit_every = self.commit_every;
        let settings = Arc::new(Settings { commit_every, stuck_after, ..settings });
        let (kafka, instance) = (bus.kafka.clone(), self.instance.clone());
        let runner = Arc::new(runner);
        let (admin, hold) = (shared.admin.clone(), Hold::new(None));
        Ok(Subscription { kafka, settings, runner, instance, admin, hold })
    }
}

/// Hears what operators ask of these subscriptions, and of the relay.
fn listener(
    bus: Bus<'_>,
    subscriptions: &[Subscription],
    outbox: Option<relay::asked::Asked>,
) -> Listener {
    let asked = subscriptions.iter().map(|subscription| Asked {
        runner: Arc::clone(&subscription.runner),
        hold: subscription.hold.clone(),
        is_static: subscription.instance.is_some(),
    });
    Listener::new(bus.catalogue, bus.kafka.clone(), bus.service.clone(), asked, outbox)
}

/// Consumes until `end` completes or a subscription can't go on; then finishes what runs, commits and leaves the groups.
pub(super) async fn consume(
    subscriptions: Vec<Subscription>,
    outbox: Option<relay::asked::Asked>,
    bus: Bus<'_>,
    end: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let service = bus.service;
    let outcome = |joined: Result<Result<(), Fenced>, JoinError>| match joined {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Fenced { group, instance })) => Err(RunError::Fenced { group, instance }),
        Err(source) => Err(RunError::Panicked { service: service.clone(), source }),
    };
    let (stop, stopping) = watch::channel(false);
    let hears = tokio::spawn(listener(bus, &subscriptions, outbox).run(stopping.clone()));
    let mut consumers = JoinSet::new();
    for subscription in subscriptions {
        consumers.spawn(subscription.run(stopping.clone()));
    }
    tracing::info!(%service, subscriptions = consumers.len(), "running");
    let mut ended = Ok(());
    tokio::select! {
        () = end => {}
        Some(joined) = consumers.join_next() => ended = outcome(joined),
    }
    tracing::info!(%service, "stopping");
    // A failed send means that no part is left to tell.
    let _ = stop.send(true);
    while let Some(joined) = consumers.join_next().await {
        ended = ended.and(outcome(joined));
    }
    if let Err(error) = hears.await {
        tracing::error!(%service, %error, "what operators ask was not heard any more");
    }
    ended
}
