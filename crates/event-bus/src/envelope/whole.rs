use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use super::{
    Envelope, OutgoingRecord, SealError,
    draft::{check_schema, outgoing},
};
use crate::{catalogue::Catalogue, headers, names::EventId, trace_context::TraceContext};

/// Makes the record of an envelope that was written elsewhere. Its bytes stay as they are, without
/// white space around; only a missing `event_id`, new at `now`, is put in front of
/// its fields.
///
/// # Errors
/// As [`Draft::seal`](super::Draft::seal), and for an event that the catalogue doesn't have or that
/// another service publishes.
pub fn seal_bytes(
    catalogue: &Catalogue,
    envelope: &[u8],
    now: Timestamp,
) -> Result<OutgoingRecord, SealError> {
    let bytes = envelope.trim_ascii();
    let envelope = Envelope::parse(bytes)?;
    let unknown = || SealError::UnknownEvent { event: envelope.event.clone() };
    let event = catalogue.event(envelope.event.as_str()).ok_or_else(unknown)?;
    if envelope.service != event.producer {
        return Err(SealError::WrongProducer {
            event: event.name.clone(),
            given: envelope.service,
            expected: event.producer.clone(),
        });
    }
    let schema = event.schema_of(&envelope.version)?;
    check_schema(event, envelope.version, schema, &envelope.payload)?;
    let key = event.key.of(&envelope)?;
    let (event_id, value) = match envelope.event_id {
        Some(event_id) => (event_id, Bytes::copy_from_slice(bytes)),
        None => with_new_id(bytes, now),
    };
    let occurred_at = envelope.occurred_at.to_string();
    let headers = headers::first_publish(
        event,
        event_id,
        &occurred_at,
        &envelope.tenant_id,
        &TraceContext::start(),
    );
    outgoing(event, key, value, headers, event_id)
}

/// Puts a new id in front of the fields. `object` is the text of a JSON object with at least one
/// field and without white space before it, which being an envelope implies.
fn with_new_id(object: &[u8], now: Timestamp) -> (EventId, Bytes) {
    let event_id = EventId::at(now);
    let mut bytes = BytesMut::with_capacity(object.len() + 64);
    bytes.put_slice(b"{\"event_id\":\"");
    bytes.put_slice(event_id.to_string().as_bytes());
    bytes.put_slice(b"\",");
    bytes.put_slice(&object[1..]);
    (event_id, bytes.freeze())
}
