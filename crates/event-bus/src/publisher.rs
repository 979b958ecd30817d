//! Publishes straight to Kafka, for what has no database transaction to be part of.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::catalogue::Catalogue;
use crate::envelope::{Draft, EventType, Outgoing, OutgoingRecord, SealError, seal_bytes};
use crate::kafka::KafkaConfig;
use crate::kafka::lasting_producer::LastingProducer;
use crate::kafka::producer::{ConnectError, Delivered, OnDelivery, SendError};
use crate::names::{EventId, TenantId};
use crate::tracer::Tracer;

/// The wait before a record is offered again to a client whose queue was full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(2);

/// Publishes events of a catalogue. Clones share one client, which is made anew after an error that it can't recover
/// from.
#[derive(Clone, Debug)]
pub struct Publisher {
    catalogue: Arc<Catalogue>,
    producer: LastingProducer,
    tracer: Tracer,
}

/// Where a published event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub event_id: EventId,
    /// The partition and offset that all replicas acknowledged.
    pub delivered: Delivered,
}

/// An event that the client has and Kafka did not acknowledge yet. Dropping this does not take it back.
#[derive(Debug)]
pub struct UnderWay {
    event_id: EventId,
    delivery: oneshot::Receiver<Result<Delivered, SendError>>,
}

impl UnderWay {
    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// Waits until all replicas have the event.
    ///
    /// # Errors
    /// When Kafka refuses it, or the client is gone.
    pub async fn receipt(self) -> Result<Receipt, PublishError> {
        Ok(Receipt { event_id: self.event_id, delivered: self.delivered().await? })
    }

    /// Whether it is known what became of it.
    pub(crate) fn has_report(&self) -> bool {
        !self.delivery.is_empty()
    }

    pub(crate) async fn delivered(self) -> Result<Delivered, SendError> {
        self.delivery.await.unwrap_or(Err(SendError::Gone))
    }
}

/// An event that was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The catalogue has no such event.
    #[error("the catalogue has no event {event}")]
    UnknownEvent {
        /// The name that was asked for.
        event: String,
    },
    /// The event breaks its schema, a limit or the catalogue.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Kafka did not acknowledge it.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Publisher {
    /// A publisher of this catalogue's events. Kafka need not be there yet.
    ///
    /// # Errors
    /// When the client can't be made from the configuration.
    pub fn connect(catalogue: Arc<Catalogue>, kafka: &KafkaConfig) -> Result<Self, ConnectError> {
        let producer = LastingProducer::connect(kafka)?;
        Ok(Self { catalogue, producer, tracer: Tracer::default() })
    }

    /// Traces what is published from now on.
    #[must_use]
    pub fn traced_by(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Publishes a typed event under a new id and waits until all replicas have it.
    ///
    /// # Errors
    /// When it breaks its schema (each violation is named by its JSON pointer) or a limit, or when Kafka refuses it.
    pub async fn publish<E: EventType>(
        &self,
        tenant: &TenantId,
        payload: &E,
    ) -> Result<Receipt, PublishError> {
        self.begin(tenant, payload).await?.receipt().await
    }

    /// As [`Self::publish`], but returns once the client has the event, so that many can be under way. Events of one
    /// key arrive in the order in which they were begun.
    ///
    /// # Errors
    /// When the event breaks its schema or a limit, or when the client does not take it.
    pub async fn begin<E: EventType>(
        &self,
        tenant: &TenantId,
        payload: &E,
    ) -> Result<UnderWay, PublishError> {
        let event = self
            .catalogue
            .event(E::NAME)
            .ok_or_else(|| PublishError::UnknownEvent { event: E::NAME.to_owned() })?;
        let first = Draft::typed(event, tenant, payload, Timestamp::now())?.first_publish()?;
        Ok(self.hand_over(&first, first.event_id()).await?)
    }

    /// Publishes an envelope that is written already, byte for byte, and waits until all replicas have it.
    ///
    /// # Errors
    /// As [`Self::publish`], and when the bytes are no envelope or name another service as the producer.
    pub async fn publish_envelope(&self, envelope: &[u8]) -> Result<Receipt, PublishError> {
        let record = seal_bytes(&self.catalogue, envelope, Timestamp::now())?;
        self.hand_over(&record, record.event_id).await?.receipt().await
    }

    /// Sends a sealed record: waits for room in the client's queue, then until all replicas have it.
    ///
    /// # Errors
    /// When Kafka refuses it, or the client is gone.
    pub async fn send(&self, record: OutgoingRecord) -> Result<Delivered, SendError> {
        self.begin_sealed(&record).await?.delivered().await
    }

    /// As [`Self::send`], but returns once the client has the record.
    pub(crate) async fn begin_sealed(
        &self,
        record: &OutgoingRecord,
    ) -> Result<UnderWay, SendError> {
        self.hand_over(record, record.event_id).await
    }

    async fn hand_over(
        &self,
        record: &impl Outgoing,
        event_id: EventId,
    ) -> Result<UnderWay, SendError> {
        let (report, delivery) = oneshot::channel();
        let mut on_delivery = match self.tracer.publishing(record, event_id) {
            None => OnDelivery::Tell(report),
            Some(sending) => OnDelivery::Run(Box::new(move |result| {
                sending.ended(&result);
                OnDelivery::Tell(report).report(result);
            })),
        };
        loop {
            match self.producer.send(record, on_delivery) {
                Ok(()) => return Ok(UnderWay { event_id, delivery }),
                Err((SendError::QueueFull, back)) => {
                    on_delivery = back;
                    tokio::time::sleep(QUEUE_FULL_WAIT).await;
                }
                Err((error, back)) => {
                    back.report(Err(error.clone()));
                    return Err(error);
                }
            }
        }
    }

    /// The contract that events are checked against.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }
}
