//! What a service developer writes: a handler, and what it is given.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::{Catalogue, Version};
use crate::envelope::{Draft, EventType, SealError};
use crate::names::{EventId, EventName, GroupName, ServiceName, TenantId};
use crate::store::Tx;
use crate::trace_context::TraceContext;

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
/// are committed together with the event's row in `processed_events`. Whatever else it does may happen again.
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
    catalogue: &'a Arc<Catalogue>,
    service: &'a ServiceName,
    origin: Origin<'a>,
}

/// What the emitted events follow from.
#[derive(Debug)]
pub(crate) enum Origin<'a> {
    /// A handled event: ids of emitted events derive from it.
    Event { id: EventId, group: &'a GroupName, trace: TraceContext, emitted: u32 },
    /// A command of the service itself: emitted events start something.
    Command(TraceContext),
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
    pub(crate) fn new(
        tx: &'a mut Tx,
        catalogue: &'a Arc<Catalogue>,
        service: &'a ServiceName,
        origin: Origin<'a>,
    ) -> Self {
        Self { tx, catalogue, service, origin }
    }

    /// The open transaction. The runtime commits it, with the event's row in the inbox and what was emitted.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
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
        let event =
            self.catalogue.event(E::NAME).ok_or(EmitError::UnknownEvent { event: E::NAME })?;
        if event.producer != *self.service {
            return Err(EmitError::NotTheProducer {
                event: event.name.clone(),
                producer: event.producer.clone(),
                service: self.service.clone(),
            });
        }
        let mut draft = Draft::typed(event, tenant, payload, Timestamp::now())?;
        match &mut self.origin {
            Origin::Event { id, group, trace, emitted } => {
                draft.event_id = EventId::emitted(*id, group, *emitted);
                draft.trace = trace.child();
                *emitted += 1;
            }
            Origin::Command(trace) => draft.trace = trace.child(),
        }
        let record = draft.seal()?;
        let id = record.event_id;
        self.tx.enqueue(record);
        Ok(id)
    }
}
