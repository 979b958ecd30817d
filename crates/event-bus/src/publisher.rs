//! Publishes straight to Kafka, for what has no database transaction to be part of.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::catalogue::Catalogue;
use crate::envelope::{Draft, EventType, OutgoingRecord, SealError, seal_bytes};
use crate::kafka::KafkaConfig;
use crate::kafka::producer::{ConnectError, Delivered, OnDelivery, Producer, SendError};
use crate::names::{EventId, TenantId};

/// The wait before a record is offered again to a client whose queue was full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(2);

/// Publishes events of a catalogue. Clones share one client.
#[derive(Clone, Debug)]
pub struct Publisher {
    catalogue: Arc<Catalogue>,
    producer: Producer,
}

/// Where a published event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub event_id: EventId,
    /// The partition and offset that all replicas acknowledged.
    pub delivered: Delivered,
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
        Ok(Self { catalogue, producer: Producer::connect(kafka)? })
    }

    /// Publishes a typed event under a new id and waits until all replicas have it.
    ///
    /// # Errors
    /// When it breaks its schema (each violation is named by its JSON pointer) or a limit, or when Kafka refuses it.
    pub async fn publish<E: EventType>(&self, tenant: &TenantId, payload: &E) -> Result<Receipt, PublishError> {
        let event = self.catalogue.event(E::NAME).ok_or_else(|| PublishError::UnknownEvent { event: E::NAME.to_owned() })?;
        let record = Draft::typed(Arc::clone(event), tenant.clone(), payload)?.seal()?;
        self.receipt(record).await
    }

    /// Publishes an envelope that is written already, byte for byte, and waits until all replicas have it.
    ///
    /// # Errors
    /// As [`Self::publish`], and when the bytes are no envelope or name another service as the producer.
    pub async fn publish_envelope(&self, envelope: &[u8]) -> Result<Receipt, PublishError> {
        self.receipt(seal_bytes(&self.catalogue, envelope)?).await
    }

    async fn receipt(&self, record: OutgoingRecord) -> Result<Receipt, PublishError> {
        let event_id = record.event_id;
        Ok(Receipt { event_id, delivered: self.send(record).await? })
    }

    /// Sends a sealed record: waits for room in the client's queue, then until all replicas have it.
    ///
    /// # Errors
    /// When Kafka refuses it, or the client is gone.
    pub async fn send(&self, record: OutgoingRecord) -> Result<Delivered, SendError> {
        let (report, delivered) = oneshot::channel();
        // The receiver goes away with the caller; its report interests nobody then.
        let mut on_delivery: OnDelivery = Box::new(move |result| drop(report.send(result)));
        loop {
            match self.producer.send(&record, on_delivery) {
                Ok(()) => break,
                Err((SendError::QueueFull, back)) => {
                    on_delivery = back;
                    tokio::time::sleep(QUEUE_FULL_WAIT).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
        delivered.await.unwrap_or(Err(SendError::Gone))
    }

    /// The contract that events are checked against.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }
}
