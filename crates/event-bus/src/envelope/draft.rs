use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{EventType, OutgoingRecord, ParseError, Payload};
use crate::{
    catalogue::{
        Event, MissingKeyField, Schema, UnsupportedVersion, Version, VersionError, Violation,
    },
    headers,
    limits::{LimitExceeded, check_record},
    names::{EventId, EventName, ServiceName, TenantId},
    trace_context::TraceContext,
};

/// An event to be published. Its fields are free until [`Draft::seal`] checks them and makes the
/// record.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which event it is.
    pub event: Arc<Event>,
    /// Which version of the schema the payload obeys.
    pub version: Version,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// On whose behalf.
    pub tenant: TenantId,
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

impl Draft {
    /// An event that happens at `now` and starts something: a new id and a new trace.
    pub fn new(
        event: Arc<Event>,
        version: Version,
        tenant: TenantId,
        payload: Payload,
        now: Timestamp,
    ) -> Draft {
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
        event: Arc<Event>,
        tenant: TenantId,
        payload: &E,
        now: Timestamp,
    ) -> Result<Draft, SealError> {
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
        let event = &*self.event;
        let schema = event.schema_of(&self.version)?;
        check_schema(event, self.version, schema, self.payload.value())?;
        let occurred_at = self.occurred_at.to_string();
        let value = Bytes::from(self.write(&occurred_at));
        let key = event.key.of_parts(&self.tenant, self.payload.value())?;
        let headers =
            headers::first_publish(event, self.event_id, &occurred_at, &self.tenant, &self.trace);
        outgoing(event, key, value, headers, self.event_id)
    }

    /// The envelope's bytes, fields in the documented order.
    fn write(&self, occurred_at: &str) -> String {
        let payload = self.payload.json();
        let mut json = String::with_capacity(payload.len() + 256);
        let tenant = Value::from(self.tenant.as_str());
        for part in [
            "{\"event_id\":\"",
            &self.event_id.to_string(),
            "\",\"event\":\"",
            self.event.name.as_str(),
            "\",\"version\":\"",
            &self.version.to_string(),
            "\",\"occurred_at\":\"",
            occurred_at,
            "\",\"service\":\"",
            self.event.producer.as_str(),
            // The one name that may hold what JSON must escape.
            "\",\"tenant_id\":",
            &tenant.to_string(),
            ",\"payload\":",
            payload,
            "}",
        ] {
            json.push_str(part);
        }
        json
    }
}

/// Refuses a payload that its schema forbids, naming every violation.
pub(super) fn check_schema(
    event: &Event,
    version: Version,
    schema: &Schema,
    payload: &Value,
) -> Result<(), SealError> {
    schema.check(payload).map_err(|violations| SealError::Schema {
        event: event.name.clone(),
        version,
        violations,
    })
}

/// The record of an event's first publish, checked against the limits.
pub(super) fn outgoing(
    event: &Event,
    key: String,
    value: Bytes,
    headers: Vec<headers::Header>,
    event_id: EventId,
) -> Result<OutgoingRecord, SealError> {
    check_record(Some(key.as_bytes()), Some(&value), &headers)?;
    Ok(OutgoingRecord {
        topic: event.topic.clone(),
        partition: None,
        key: Some(Bytes::from(key)),
        value: Some(value),
        headers,
        event_id,
    })
}

/// The finest step that the clocks and parsers of common languages share.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).expect("less precise, and so in range")
}
