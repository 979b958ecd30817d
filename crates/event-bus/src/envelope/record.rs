use bytes::Bytes;

use crate::{
    headers::Header,
    names::{EventId, TopicName},
};

/// A record ready to be sent: what the publisher, the outbox and the dead letter writer hand to
/// Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Where it goes.
    pub topic: TopicName,
    /// `None` leaves the choice to the partitioner, by key.
    pub partition: Option<i32>,
    /// The ordering key; dead letters may have none, as their originals.
    pub key: Option<Bytes>,
    /// The envelope; dead letters may have none, as their originals.
    pub value: Option<Bytes>,
    /// In the order in which they are written.
    pub headers: Vec<Header>,
    /// The event's id, for logs and for the caller.
    pub event_id: EventId,
}
