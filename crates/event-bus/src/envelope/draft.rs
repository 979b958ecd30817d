use jiff::Timestamp;

use super::{
    EventType, OutgoingRecord, ParseError, Payload,
    record::{FirstPublish, Unsent, time_text},
};
use crate::{
    catalogue::{
        Event, MissingKeyField, Schema, UnsupportedVersion, Version, VersionError, Violation,
    },
    limits::LimitExceeded,
    names::{EventId, EventName, ServiceName, TenantId},
    trace_context::TraceContext,
};

/// What the other fields of an envelope, the key and the headers take of a record's memory, unless names are very long.
const ROOM_BESIDE_PAYLOAD: usize = 640;

/// An event to be published. Its fields are free until [`Draft::seal`] checks them and makes the
/// record.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Which event it is.
    pub event: &'a Event,
    /// Which version of the schema the payload obeys.
    pub version: Version,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// On whose behalf.
    pub tenant: &'a TenantId,
    /// A new one, or for what a handler emits [`EventId::emitted`].
    pub event_id: EventId,
    /// A new one, or for what a handler emits a child of the handled event's.
    pub trace: TraceContext,
    /// What happened.
    pub payload: Payload,
}

/// Why an event can't be published.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The payload's type has no JSON, for example a map whose keys are no strings.
    #[error("the payload can't be written as JSON")]
    Serialise(#[source] serde_json::Error),
    /// What was to be published would not be readable.
    #[error("the event is not readable")]
    Parse(#[from] ParseError),
    /// An envelope names an event that the catalogue doesn't have.
    #[error("the catalogue has no event {event}")]
    UnknownEvent {
        /// The envelope's.
        event: EventName,
    },
    /// A typed payload is not of the event that it was to be published as.
    #[error("a payload of type {given} is not one of {event}")]
    WrongType {
        /// [`EventType::NAME`].
        given: &'static str,
        /// The catalogue's.
        event: EventName,
    },
    /// [`EventType::VERSION`] is not a version.
    #[error("{text:?} in the payload's Rust type is not a version")]
    TypeVersion {
        /// What stands there.
        text: &'static str,
        /// The rule that it breaks.
        #[source]
        source: VersionError,
    },
    /// An envelope says that it comes from another service than the event's producer.
    #[error("{event} is published by {expected}, not by {given}")]
    WrongProducer {
        /// The event.
        event: EventName,
        /// The envelope's service.
        given: ServiceName,
        /// The catalogue's producer.
        expected: ServiceName,
    },
    /// The catalogue has no such version of the event.
    #[error(transparent)]
    UnsupportedVersion(#[from] UnsupportedVersion),
    /// The payload does not obey its schema.
    #[error("the payload violates the schema of {event} {version}: {}", listed(.violations))]
    Schema {
        /// The event.
        event: EventName,
        /// The version whose schema it is.
        version: Version,
        /// All that is wrong.
        violations: Vec<Violation>,
    },
    /// The payload lacks what makes the record key.
    #[error(transparent)]
    Key(#[from] MissingKeyField),
    /// The record would be too large.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

fn listed(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ")
}

impl<'a> Draft<'a> {
    /// An event that happens at `now` and starts something: a new id and a new trace.
    pub fn new(
        event: &'a Event,
        version: Version,
        tenant: &'a TenantId,
        payload: Payload,
        now: Timestamp,
    ) -> Draft<'a> {
        Draft {
            event,
            version,
            occurred_at: in_microseconds(now),
            tenant,
            event_id: EventId::at(now),
            trace: TraceContext::start(),
            payload,
        }
    }

    /// As [`Draft::new`], from a typed payload at the version that its type writes.
    pub fn typed<E: EventType>(
        event: &'a Event,
        tenant: &'a TenantId,
        payload: &E,
        now: Timestamp,
    ) -> Result<Draft<'a>, SealError> {
        if event.name != E::NAME {
            return Err(SealError::WrongType { given: E::NAME, event: event.name.clone() });
        }
        let version = E::VERSION
            .parse()
            .map_err(|source| SealError::TypeVersion { text: E::VERSION, source })?;
        Ok(Draft::new(event, version, tenant, Payload::of(payload)?, now))
    }

    /// Checks the payload against exactly its version's schema and makes the record: key, envelope,
    /// headers.
    ///
    /// # Errors
    /// All violations by JSON pointer; or a version, key field or limit.
    pub fn seal(self) -> Result<OutgoingRecord, SealError> {
        Ok(self.first_publish()?.into())
    }

    /// As [`Draft::seal`], for who sends the record at once.
    pub(crate) fn first_publish(&self) -> Result<FirstPublish<'a>, SealError> {
        let schema = self.event.schema_of(&self.version)?;
        check_schema(self.event, self.version, schema, &self.payload)?;
        let occurred_at = time_text(self.occurred_at);
        let unsent = Unsent {
            event: self.event,
            event_id: self.event_id,
            occurred_at: &occurred_at,
            tenant: self.tenant,
            trace: self.trace,
            payload: &self.payload,
        };
        unsent.with_envelope(self.write(&occurred_at))
    }

    /// The envelope's bytes, fields in the documented order.
    fn write(&self, occurred_at: &str) -> Vec<u8> {
        let payload = self.payload.json();
        let mut json = Vec::with_capacity(payload.len() + ROOM_BESIDE_PAYLOAD);
        for part in [
            "{\"event_id\":\"",
            self.event_id.encode(&mut [0; EventId::LENGTH]),
            "\",\"event\":\"",
            self.event.name.as_str(),
            "\",\"version\":\"",
            &self.version.to_string(),
            "\",\"occurred_at\":\"",
            occurred_at,
            "\",\"service\":\"",
            self.event.producer.as_str(),
            "\",\"tenant_id\":",
        ] {
            json.extend_from_slice(part.as_bytes());
        }
        // The one name that may hold what JSON must escape.
        serde_json::to_writer(&mut json, self.tenant).expect("a string can be written to memory");
        for part in [",\"payload\":", payload, "}"] {
            json.extend_from_slice(part.as_bytes());
        }
        json
    }
}

/// Refuses a payload that its schema forbids, naming every violation.
pub(super) fn check_schema(
    event: &Event,
    version: Version,
    schema: &Schema,
    payload: &Payload,
) -> Result<(), SealError> {
    schema.check(payload).map_err(|violations| SealError::Schema {
        event: event.name.clone(),
        version,
        violations,
    })
}

/// The finest step that the clocks and parsers of common languages share.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).expect("less precise, and so in range")
}
