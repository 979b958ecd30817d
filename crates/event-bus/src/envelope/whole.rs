use jiff::Timestamp;

use super::{
    Envelope, OutgoingRecord, SealError,
    draft::check_schema,
    record::{Unsent, time_text},
};
use crate::{catalogue::Catalogue, names::EventId, trace_context::TraceContext};

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
    let (event_id, bytes) = match envelope.event_id {
        Some(event_id) => (event_id, bytes.to_vec()),
        None => with_new_id(bytes, now),
    };
    let unsent = Unsent {
        event,
        event_id,
        occurred_at: &time_text(envelope.occurred_at),
        tenant: &envelope.tenant_id,
        trace: TraceContext::start(),
        payload: &envelope.payload,
    };
    Ok(unsent.with_envelope(bytes)?.into())
}

/// Puts a new id in front of the fields. `object` is the text of a JSON object with at least one
/// field and without white space before it, which being an envelope implies.
fn with_new_id(object: &[u8], now: Timestamp) -> (EventId, Vec<u8>) {
    let event_id = EventId::at(now);
    let mut id = [0; EventId::LENGTH];
    event_id.encode(&mut id);
    (event_id, [b"{\"event_id\":\"", &id[..], b"\",", &object[1..]].concat())
}
