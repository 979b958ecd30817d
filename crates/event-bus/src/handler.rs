//! What a service developer writes: a handler, and what it is given.

mod batch;
mod stateless;

use std::error::Error as StdError;
use std::fmt;

use jiff::Timestamp;

use crate::catalogue::Version;
use crate::envelope::{Draft, EventType, SealError};
use crate::names::{EventId, EventName, GroupName, IdempotencyKey, ServiceName, TenantId};
use crate::outbox::Outbox;
use crate::store::Tx;
use crate::trace_context::TraceContext;
use crate::tracer::{Operation, Span};

pub use batch::{BatchContext, BatchHandler};
pub use stateless::{StatelessContext, StatelessHandler};

/// A handled event, its payload typed.
#[derive(Clone, Debug)]
pub struct Event<E> {
    /// The event's id. Runs, replays and offset resets of one event share it.
    pub id: EventId,
    /// On whose behalf it happened.
    pub tenant: TenantId,
    /// When it happened, by its producer's clock.
    pub occurred_at: Timestamp,
    /// The payload's schema version, as published.
    pub version: Version,
    /// Who published it.
    pub service: ServiceName,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The trace that the event belongs to, at the span that published it, or in a traced service at the span of this
    /// attempt: spans of the handler's own belong under it.
    pub trace: TraceContext,
    /// What happened.
    pub payload: E,
}

/// How a handler ends: `Ok` is done, an error is one of the two ways to fail.
pub type Handled = Result<(), Failure>;

/// How a handler fails. Any error that `?` meets is a [`Failure::Retry`].
pub enum Failure {
    /// Try again on the catalogue's schedule; behind its end the event is a dead letter.
    Retry(Box<dyn StdError + Send + Sync>),
    /// Trying again can't help: the event is a dead letter now.
    Reject(Box<dyn StdError + Send + Sync>),
}

impl Failure {
    /// A failure that trying again can't cure.
    pub fn reject(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Reject(error.into())
    }

    /// A failure that trying again may cure.
    pub fn retry(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Retry(error.into())
    }

    /// The error behind the failure.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match self {
            Self::Retry(error) | Self::Reject(error) => &**error,
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(Box::new(error))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) => formatter.debug_tuple("Retry").field(error).finish(),
            Self::Reject(error) => formatter.debug_tuple("Reject").field(error).finish(),
        }
    }
}

/// Handles one kind of event in the service's own database.
///
/// What it writes through [`Context::tx`] and what it emits take effect once per event, however often it runs: they
/// are committed together with the event's row in `processed_events`. Whatever else it does may happen again, and is
/// asked for under [`Context::idempotency_key`].
pub trait Handler<E>: Send + Sync + 'static {
    /// Handles the event.
    fn handle(
        &self,
        event: Event<E>,
        context: &mut Context<'_>,
    ) -> impl Future<Output = Handled> + Send;
}

/// What a handler or a command works with: the open transaction, and the events to emit with it.
#[derive(Debug)]
pub struct Context<'a> {
    tx: &'a mut Tx,
    outbox: &'a Outbox,
    origin: Origin<'a>,
}

/// What the emitted events follow from.
#[derive(Debug)]
pub(crate) enum Origin<'a> {
    /// A handled event: ids of emitted events derive from it.
    Event {
        /// Which event, of whom, and who handles it.
        identity: Identity<'a>,
        /// Its trace, at what its emitted events follow from.
        trace: TraceContext,
        /// How many events follow from it already.
        emitted: &'a mut u32,
    },
    /// A command of the service itself: emitted events start something.
    Command {
        /// Tells it from other commands.
        id: EventId,
        /// The trace that it starts.
        trace: TraceContext,
    },
}

/// What an event is to those who handle it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) id: EventId,
    pub(crate) tenant: &'a TenantId,
    pub(crate) group: &'a GroupName,
}

impl Identity<'_> {
    pub(crate) fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::of(self.group, self.tenant, self.id)
    }
}

/// An event that can't be emitted here.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The catalogue has no such event.
    #[error("the catalogue has no event {event}: add it there, or use another catalogue")]
    UnknownEvent {
        /// The event's name.
        event: &'static str,
    },
    /// The catalogue names another producer.
    #[error("{event} is published by {producer}, not by {service}: only its producer may emit it")]
    NotTheProducer {
        /// The event's name.
        event: EventName,
        /// Who may publish it.
        producer: ServiceName,
        /// Who tried to.
        service: ServiceName,
    },
    /// The event breaks its schema or a limit.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl<'a> Context<'a> {
    pub(crate) fn new(tx: &'a mut Tx, outbox: &'a Outbox, origin: Origin<'a>) -> Self {
        Self { tx, outbox, origin }
    }

    /// The open transaction. The runtime commits it, with the event's row in the inbox and what was emitted.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
    }

    /// What effects outside the database are asked for under: the same whenever this event is handled here, as
    /// [`IdempotencyKey`] says in full. A command has a new one each time.
    ///
    /// ```
    /// # use event_bus::{Context, Event, Handled, Handler};
    /// # struct Placed { pence: u64 }
    /// # struct Cards;
    /// # impl Cards {
    /// #     async fn capture(&self, pence: u64, key: &str) -> std::io::Result<()> { Ok(()) }
    /// # }
    /// impl Handler<Placed> for Cards {
    ///     async fn handle(&self, event: Event<Placed>, context: &mut Context<'_>) -> Handled {
    ///         // However often this runs, the provider captures once.
    ///         let key = context.idempotency_key().to_string();
    ///         self.capture(event.payload.pence, &key).await?;
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        match &self.origin {
            Origin::Event { identity, .. } => identity.idempotency_key(),
            Origin::Command { id, .. } => IdempotencyKey::of_command(*id),
        }
    }

    /// Emits an event of this service: it leaves if, and only if, the transaction commits.
    ///
    /// # Errors
    /// When another service publishes it, or when it breaks its schema (each violation is named) or a limit.
    pub fn emit<E: EventType>(
        &mut self,
        tenant: &TenantId,
        payload: &E,
    ) -> Result<EventId, EmitError> {
        let (catalogue, service) = (self.outbox.catalogue(), self.outbox.service());
        let event = catalogue.event(E::NAME).ok_or(EmitError::UnknownEvent { event: E::NAME })?;
        if event.producer != *service {
            return Err(EmitError::NotTheProducer {
                event: event.name.clone(),
                producer: event.producer.clone(),
                service: service.clone(),
            });
        }
        let mut draft = Draft::typed(event, tenant, payload, Timestamp::now())?;
        let parent = match &mut self.origin {
            Origin::Event { identity, trace, emitted } => {
                draft.event_id = EventId::emitted(identity.id, identity.group, **emitted);
                draft.trace = trace.child();
                **emitted += 1;
                Some(*trace)
            }
            Origin::Command { trace, .. } => {
                draft.trace = trace.child();
                None
            }
        };
        let trace = draft.trace;
        let record = draft.seal()?;
        let id = record.event_id;
        self.tx.trace(self.outbox.tracer(), trace, || {
            Span::begin(Operation::Create, &record.topic, id, trace).under(parent)
        });
        self.tx.enqueue(record);
        Ok(id)
    }
}
