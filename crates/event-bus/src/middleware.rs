//! What runs around every handler of a service: logging, metrics, tenant scoping.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::catalogue::{self, Version};
use crate::consumer::erased::ErasedHandler;
use crate::consumer::receive::{Opened, Received};
use crate::handler::{Handled, Identity};
use crate::names::{EventId, EventName, GroupName, IdempotencyKey, ServiceName, TenantId};
use crate::outbox::Outbox;
use crate::store::Tx;
use crate::trace_context::TraceContext;

/// Runs around every handler of a service; [`Service::with`](crate::Service::with) adds one.
///
/// The one added first is outermost: it sees a call first and its end last. A middleware that does not run `next` answers
/// in the handler's place, and one that fails has the event fail. It stands inside the handler's time-out, and a panic of
/// the handler passes through it. Dead letters are written without it, and events that took effect before don't reach it.
///
/// ```
/// use std::time::Instant;
///
/// use event_bus::{Call, Handled, Middleware, Next};
///
/// /// Lets PostgreSQL's row security show a handler the rows of its event's tenant only.
/// struct TenantScope;
///
/// impl Middleware for TenantScope {
///     async fn around(&self, mut call: Call<'_>, next: Next<'_>) -> Handled {
///         let tenant = call.tenant().map(ToString::to_string);
///         if let (Some(tenant), Some(tx)) = (tenant, call.tx()) {
///             tx.execute("SELECT set_config('app.tenant', $1, true)", &[tenant.into()]).await?;
///         }
///         next.run(call).await
///     }
/// }
///
/// /// Prints how long each call took.
/// struct Stopwatch;
///
/// impl Middleware for Stopwatch {
///     async fn around(&self, call: Call<'_>, next: Next<'_>) -> Handled {
///         let (event, started) = (call.event().clone(), Instant::now());
///         let handled = next.run(call).await;
///         println!("{event}: {:?}, {}", started.elapsed(), if handled.is_ok() { "ok" } else { "failed" });
///         handled
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs `next`, with what is to happen before and after it.
    fn around(&self, call: Call<'_>, next: Next<'_>) -> impl Future<Output = Handled> + Send;
}

/// One call of a handler, with one event, or with several for a [`BatchHandler`](crate::BatchHandler).
#[derive(Debug)]
pub struct Call<'a> {
    deliveries: &'a [Delivery<'a>],
    subscriber: Subscriber<'a>,
    place: Place<'a>,
}

/// Who handles what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber<'a> {
    pub(crate) event: &'a catalogue::Event,
    pub(crate) group: &'a GroupName,
    pub(crate) service: &'a ServiceName,
}

/// Where a handler works.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// In a transaction of the service's database.
    Transaction(&'a mut Tx, &'a Outbox),
    /// Outside of any.
    Outside,
}

/// An event on its way to a handler: everything but its payload's type.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    pub(crate) received: &'a Received,
    pub(crate) envelope: &'a Opened,
    pub(crate) group: &'a GroupName,
    pub(crate) attempt: u32,
    pub(crate) trace: TraceContext,
}

impl Delivery<'_> {
    /// The event's id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.received.claim.event_id
    }

    /// On whose behalf it happened.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.envelope.tenant_id
    }

    /// The payload's schema version, as published.
    #[must_use]
    pub fn version(&self) -> Version {
        self.envelope.version
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The trace that the event belongs to, as its [`Event`](crate::Event) tells it to the handler.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        self.trace
    }

    /// The partition and the offset that the event was read from.
    #[must_use]
    pub fn position(&self) -> (i32, i64) {
        (self.received.record.partition, self.received.record.offset)
    }

    /// What effects outside the database are asked for under.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        self.identity().idempotency_key()
    }

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity { id: self.id(), tenant: &self.envelope.tenant_id, group: self.group }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        deliveries: &'a [Delivery<'a>],
        subscriber: Subscriber<'a>,
        place: Place<'a>,
    ) -> Self {
        Self { deliveries, subscriber, place }
    }

    /// Which event of the catalogue is handled.
    #[must_use]
    pub fn event(&self) -> &'a EventName {
        &self.subscriber.event.name
    }

    /// The consumer group that it is handled in.
    #[must_use]
    pub fn group(&self) -> &'a GroupName {
        self.subscriber.group
    }

    /// The service that handles it.
    #[must_use]
    pub fn service(&self) -> &'a ServiceName {
        self.subscriber.service
    }

    /// The events; more than one only for a batch handler.
    #[must_use]
    pub fn deliveries(&self) -> &'a [Delivery<'a>] {
        self.deliveries
    }

    /// On whose behalf all of it happened; `None` for a batch of several tenants.
    #[must_use]
    pub fn tenant(&self) -> Option<&'a TenantId> {
        let (first, rest) = self.deliveries.split_first()?;
        let tenant = &first.envelope.tenant_id;
        rest.iter().all(|other| other.envelope.tenant_id == *tenant).then_some(tenant)
    }

    /// The transaction that the handler will work in; `None` for a [`StatelessHandler`](crate::StatelessHandler).
    pub fn tx(&mut self) -> Option<&mut Tx> {
        match &mut self.place {
            Place::Transaction(tx, _) => Some(tx),
            Place::Outside => None,
        }
    }

    pub(crate) fn into_parts(self) -> (&'a [Delivery<'a>], Subscriber<'a>, Place<'a>) {
        (self.deliveries, self.subscriber, self.place)
    }
}

/// What a middleware stands around: the next one, or the handler.
pub struct Next<'a> {
    rest: &'a [Arc<dyn ErasedMiddleware>],
    handler: &'a dyn ErasedHandler,
}

impl<'a> Next<'a> {
    pub(crate) fn new(
        rest: &'a [Arc<dyn ErasedMiddleware>],
        handler: &'a dyn ErasedHandler,
    ) -> Self {
        Self { rest, handler }
    }

    /// Goes on with the call.
    ///
    /// # Errors
    /// As the handler ended.
    pub async fn run(self, call: Call<'_>) -> Handled {
        self.run_boxed(call).await
    }

    pub(crate) fn run_boxed<'c>(self, call: Call<'c>) -> BoxFuture<'c, Handled>
    where
        'a: 'c,
    {
        match self.rest.split_first() {
            Some((first, rest)) => first.around_erased(call, Next { rest, ..self }),
            None => self.handler.handle(call),
        }
    }
}

/// A middleware of whatever type.
pub(crate) trait ErasedMiddleware: Send + Sync + 'static {
    fn around_erased<'c>(&'c self, call: Call<'c>, next: Next<'c>) -> BoxFuture<'c, Handled>;
}

impl<M: Middleware> ErasedMiddleware for M {
    fn around_erased<'c>(&'c self, call: Call<'c>, next: Next<'c>) -> BoxFuture<'c, Handled> {
        self.around(call, next).boxed()
    }
}
