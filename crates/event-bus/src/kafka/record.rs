//! A record as it was read from Kafka: bytes, nothing interpreted.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Message};

use super::headers_native::copied_headers;
use crate::headers::Header;
use crate::names::TopicName;

/// A record read from a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic it was read from.
    pub topic: TopicName,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Kafka's timestamp in milliseconds since the Unix epoch; 0 where the record has none.
    pub timestamp_ms: i64,
    /// The key's bytes, if it has a key.
    pub key: Option<Bytes>,
    /// The value's bytes; `None` for a null value (a tombstone).
    pub value: Option<Bytes>,
    /// The headers in their order, with repeated names kept.
    pub headers: Vec<Header>,
}

impl Record {
    pub(super) fn copied(topic: TopicName, message: &BorrowedMessage<'_>) -> Self {
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers: copied_headers(message),
        }
    }

    /// Bytes of key, value and headers: what the record limit counts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(Header::bytes).sum();
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}
