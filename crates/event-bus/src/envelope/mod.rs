//! The envelope around every event: reading one from a record, and writing one into a record.

mod draft;
mod nesting;
mod payload;
mod record;
mod tree;
mod whole;

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{error::Category, value::RawValue};

pub use draft::{Draft, SealError};
pub use payload::Payload;
pub use record::{Outgoing, OutgoingRecord};
pub(crate) use tree::{Node, Tree, TreeJson};
pub use whole::seal_bytes;

use crate::{
    catalogue::Version,
    limits::MAX_NESTING,
    names::{EventId, EventName, ServiceName, TenantId},
};

/// A payload's Rust type: which event of the catalogue it is, at which version.
pub trait EventType: Serialize + DeserializeOwned + Send + 'static {
    /// The event's name in the catalogue, for example `OrderPlaced`.
    const NAME: &'static str;
    /// The version that this type writes, for example `1.0`.
    const VERSION: &'static str;
}

/// An event as it stands in a record's value. Fields beyond these are allowed and not looked at.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Absent when the publisher knows nothing of ids; the reader then derives
    /// [`EventId::of_position`].
    pub event_id: Option<EventId>,
    /// Which event of the catalogue it is.
    pub event: EventName,
    /// The version of the payload's schema.
    pub version: Version,
    /// RFC 3339, in any offset.
    pub occurred_at: Timestamp,
    /// Who published it.
    pub service: ServiceName,
    /// On whose behalf it happened.
    pub tenant_id: TenantId,
    /// Described by the schema of `event` and `version`.
    pub payload: Payload,
}

/// An envelope whose payload is not looked at yet.
#[derive(Deserialize)]
struct Cover<'a> {
    #[serde(default, deserialize_with = "present")]
    event_id: Option<EventId>,
    event: EventName,
    version: Version,
    #[serde(deserialize_with = "time")]
    occurred_at: Timestamp,
    service: ServiceName,
    tenant_id: TenantId,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Arrays and objects stand too deep inside each other.
    #[error("nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// Not text at all.
    #[error("not UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    /// Text that breaks JSON's grammar.
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A field is missing, twice there or of a wrong kind.
    #[error("JSON, but not an envelope")]
    NotAnEnvelope(#[source] serde_json::Error),
}

impl Envelope {
    /// Reads a record's value. Nothing is read past the nesting limit, and a field that occurs
    /// twice in the envelope or anywhere in the payload is an error, for readers would disagree on
    /// which one counts.
    pub fn parse(value: &[u8]) -> Result<Envelope, ParseError> {
        Self::parse_placed(value).map(|(envelope, _)| envelope)
    }

    /// As [`Self::parse`], and where the payload's text stands in the value.
    pub(crate) fn parse_placed(value: &[u8]) -> Result<(Envelope, Range<usize>), ParseError> {
        check_nesting(value, MAX_NESTING)?;
        let text = std::str::from_utf8(value).map_err(ParseError::NotUtf8)?;
        let cover: Cover<'_> = serde_json::from_str(text).map_err(ParseError::of_json)?;
        let Cover { event_id, event, version, occurred_at, service, tenant_id, payload } = cover;
        let start = payload.get().as_ptr().addr() - text.as_ptr().addr();
        let place = start..start + payload.get().len();
        let payload = Payload::parse(payload.get())?;
        let envelope =
            Envelope { event_id, event, version, occurred_at, service, tenant_id, payload };
        Ok((envelope, place))
    }
}

/// Refuses JSON text that is anywhere nested deeper than `levels`.
fn check_nesting(json: &[u8], levels: usize) -> Result<(), ParseError> {
    if nesting::exceeds(json, levels) { Err(ParseError::TooDeep) } else { Ok(()) }
}

impl ParseError {
    fn of_json(error: serde_json::Error) -> ParseError {
        match error.classify() {
            Category::Data => ParseError::NotAnEnvelope(error),
            Category::Io | Category::Syntax | Category::Eof => ParseError::NotJson(error),
        }
    }
}

/// Takes the field as given: `null` is not an absent id but a wrong one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<EventId>, D::Error> {
    EventId::deserialize(deserializer).map(Some)
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refused = |error| {
        serde::de::Error::custom(format_args!("occurred_at is not an RFC 3339 time: {error}"))
    };
    text.parse().map_err(|error: jiff::Error| refused(error))
}

#[cfg(test)]
mod tests;
