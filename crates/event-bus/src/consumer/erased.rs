//! A handler without its event's type, so that one runtime runs them all.

use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::envelope::{Envelope, EventType};
use crate::handler::{Context, Event, Failure, Handled, Handler};
use crate::names::EventId;

/// A handler of whatever its subscription carries.
pub(crate) trait ErasedHandler: Send + Sync + 'static {
    fn handle<'a>(
        &'a self,
        envelope: &'a Envelope,
        id: EventId,
        attempt: u32,
        context: &'a mut Context<'_>,
    ) -> BoxFuture<'a, Handled>;
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

/// A typed handler behind [`ErasedHandler`].
pub(crate) struct Typed<E, H> {
    handler: H,
    payload: PhantomData<fn() -> E>,
}

impl<E, H> Typed<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, payload: PhantomData }
    }
}

impl<E: EventType, H: Handler<E>> ErasedHandler for Typed<E, H> {
    fn handle<'a>(
        &'a self,
        envelope: &'a Envelope,
        id: EventId,
        attempt: u32,
        context: &'a mut Context<'_>,
    ) -> BoxFuture<'a, Handled> {
        async move {
            let payload = envelope.payload.read::<E>().map_err(|source| {
                Failure::reject(WrongType {
                    event: envelope.event.to_string(),
                    version: envelope.version.to_string(),
                    source,
                })
            })?;
            let event = Event {
                id,
                tenant: envelope.tenant_id.clone(),
                occurred_at: envelope.occurred_at,
                version: envelope.version,
                service: envelope.service.clone(),
                attempt,
                payload,
            };
            self.handler.handle(event, context).await
        }
        .boxed()
    }
}
