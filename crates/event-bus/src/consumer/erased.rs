//! A handler without its event's type, so that one runtime runs them all.

use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::envelope::EventType;
use crate::handler::{
    BatchContext, BatchHandler, Context, Event, Failure, Handled, Handler, Origin,
    StatelessContext, StatelessHandler,
};
use crate::middleware::{Call, Delivery, Place};

/// A handler of whatever its subscription carries.
pub(crate) trait ErasedHandler: Send + Sync + 'static {
    fn handle<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Handled>;

    /// Whether one call may have more than one event.
    fn takes_batches(&self) -> bool {
        false
    }
}

/// A payload that its schema allows and the handler's Rust type does not.
#[derive(Debug, thiserror::Error)]
#[error("the payload of {event} {version} does not fit the handler's Rust type")]
struct WrongType {
    event: String,
    version: String,
    #[source]
    source: serde_json::Error,
}

/// A call that the runtime made in the wrong place: it registers handlers by where they work.
#[derive(Debug, thiserror::Error)]
#[error("a handler that works in a transaction was called without one")]
struct NoTransaction;

impl Delivery<'_> {
    fn read<E: EventType>(&self) -> Result<Event<E>, Failure> {
        let envelope = self.envelope;
        let payload = serde_json::from_slice(self.received.payload()).map_err(|source| {
            Failure::reject(WrongType {
                event: E::NAME.to_owned(),
                version: envelope.version.to_string(),
                source,
            })
        })?;
        Ok(Event {
            id: self.id(),
            tenant: envelope.tenant_id.clone(),
            occurred_at: envelope.occurred_at,
            version: envelope.version,
            service: envelope.service.clone(),
            attempt: self.attempt,
            trace: self.trace,
            payload,
        })
    }
}

/// A [`Handler`] behind [`ErasedHandler`].
pub(crate) struct Single<E, H>(H, PhantomData<fn() -> E>);

/// A [`BatchHandler`] behind [`ErasedHandler`].
pub(crate) struct Batched<E, H>(H, PhantomData<fn() -> E>);

/// A [`StatelessHandler`] behind [`ErasedHandler`].
pub(crate) struct Stateless<E, H>(H, PhantomData<fn() -> E>);

impl<E, H> Single<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<E, H> Batched<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<E, H> Stateless<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<E: EventType, H: Handler<E>> ErasedHandler for Single<E, H> {
    fn handle<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Handled> {
        async move {
            let (deliveries, _, place) = call.into_parts();
            let Place::Transaction(tx, outbox) = place else {
                return Err(Failure::reject(NoTransaction));
            };
            for delivery in deliveries {
                let event = delivery.read()?;
                let mut emitted = 0;
                let origin = Origin::Event {
                    identity: delivery.identity(),
                    trace: event.trace,
                    emitted: &mut emitted,
                };
                let mut context = Context::new(tx, outbox, origin);
                self.0.handle(event, &mut context).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

impl<E, H> ErasedHandler for Batched<E, H>
where
    E: EventType + Sync,
    H: BatchHandler<E>,
{
    fn handle<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Handled> {
        async move {
            let (deliveries, subscriber, place) = call.into_parts();
            let Place::Transaction(tx, outbox) = place else {
                return Err(Failure::reject(NoTransaction));
            };
            let events: Vec<Event<E>> =
                deliveries.iter().map(Delivery::read).collect::<Result<_, _>>()?;
            let mut context = BatchContext::new(tx, outbox, subscriber.group);
            self.0.handle_batch(&events, &mut context).await
        }
        .boxed()
    }

    fn takes_batches(&self) -> bool {
        true
    }
}

impl<E: EventType, H: StatelessHandler<E>> ErasedHandler for Stateless<E, H> {
    fn handle<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Handled> {
        async move {
            let (deliveries, ..) = call.into_parts();
            for delivery in deliveries {
                let event = delivery.read()?;
                let context = StatelessContext::new(delivery.identity());
                self.0.handle(event, &context).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
