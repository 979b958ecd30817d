//! Messages and their schemas: the headers of a first publish, and the envelope around a payload.

use event_bus::catalogue::{Event, SchemaVersion};
use event_bus::envelope::Envelope;
use event_bus::headers;
use serde_json::{Map, Value, json};

use super::{BINDING, dialect};
use dialect::NotPortable;

/// The message of every dead letter topic.
pub const DEAD_LETTER: &str = "DeadLetter";
/// The envelope without what differs from event to event.
const ENVELOPE: &str = "Envelope";
/// An example, from the W3C's recommendation.
const EXAMPLE_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The names of an event's messages, one a version.
pub fn names(event: &Event) -> impl Iterator<Item = String> {
    event.versions.iter().map(|known| name(event, known))
}

/// A message of `components`.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/messages/{name}") })
}

/// What channels and operations refer to.
#[derive(Default)]
pub struct Components {
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Components {
    /// The messages of an event and their schemas.
    pub fn add(&mut self, event: &Event) -> Result<(), NotPortable> {
        for known in &event.versions {
            let name = name(event, known);
            let at = format!("#/components/schemas/{name}");
            let schema = dialect::draft_07(known.schema.json(), &at).map_err(|reference| {
                NotPortable { event: event.name.clone(), version: known.version, reference }
            })?;
            self.schemas.insert(name.clone(), schema);
            self.messages.insert(name.clone(), message(event, known, &name));
        }
        Ok(())
    }

    pub fn json(mut self) -> Value {
        self.schemas.insert(ENVELOPE.to_owned(), envelope());
        self.messages.insert(DEAD_LETTER.to_owned(), dead_letter());
        json!({ "messages": self.messages, "schemas": self.schemas })
    }
}

fn name(event: &Event, known: &SchemaVersion) -> String {
    format!("{}.{}", event.name, known.version)
}

fn message(event: &Event, known: &SchemaVersion, name: &str) -> Value {
    let payload = json!({ "allOf": [
        { "$ref": format!("#/components/schemas/{ENVELOPE}") },
        { "properties": {
            "event": { "const": event.name },
            "version": { "const": known.version },
            "service": { "const": event.producer },
            "payload": { "$ref": format!("#/components/schemas/{name}") },
        } },
    ] });
    let mut message = json!({
        "name": event.name,
        "title": format!("{} {}", event.name, known.version),
        "summary": event.description,
        "contentType": headers::CONTENT_TYPE_VALUE,
        "headers": headers_of(event),
        "payload": payload,
        "bindings": { "kafka": { "key": key(event), "bindingVersion": BINDING } },
        "x-personal-data": event.personal_data,
    });
    if let Some(example) = known.sample.as_deref().and_then(|sample| example(event, sample)) {
        message["examples"] = json!([example]);
    }
    message
}

fn key(event: &Event) -> Value {
    let pointers: Vec<&str> = event.key.pointers().collect();
    json!({
        "type": "string",
        "description": format!(
            "The values at {} of the envelope, each percent-encoded, joined by `/`. Its murmur2 hash, as Java's default partitioner takes it, \
             decides on the partition.",
            pointers.join(", ")
        ),
        "x-pointers": pointers,
    })
}

fn headers_of(event: &Event) -> Value {
    let properties = json!({
        headers::CE_SPECVERSION: { "const": headers::CE_SPECVERSION_VALUE },
        headers::CE_ID: { "type": "string", "format": "uuid", "description": "The envelope's event_id." },
        headers::CE_TYPE: { "const": event.name },
        headers::CE_SOURCE: { "const": event.source },
        headers::CE_TIME: { "type": "string", "format": "date-time", "description": "The envelope's occurred_at." },
        headers::CE_TENANTID: { "type": "string", "description": "The envelope's tenant_id." },
        headers::CONTENT_TYPE: { "const": headers::CONTENT_TYPE_VALUE },
        headers::TRACEPARENT: {
            "type": "string",
            "description": "W3C Trace Context.",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        },
    });
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// A sample with the headers that it would have; `None` for one that is no envelope.
fn example(event: &Event, sample: &str) -> Option<Value> {
    let envelope = Envelope::parse(sample.as_bytes()).ok()?;
    let payload: Value = serde_json::from_str(sample).ok()?;
    let id = envelope.event_id.map(|id| id.to_string()).unwrap_or_default();
    Some(json!({
        "name": "sample",
        "headers": {
            headers::CE_SPECVERSION: headers::CE_SPECVERSION_VALUE,
            headers::CE_ID: id,
            headers::CE_TYPE: event.name,
            headers::CE_SOURCE: event.source,
            headers::CE_TIME: payload.get("occurred_at"),
            headers::CE_TENANTID: envelope.tenant_id,
            headers::CONTENT_TYPE: headers::CONTENT_TYPE_VALUE,
            headers::TRACEPARENT: EXAMPLE_TRACE,
        },
        "payload": payload,
    }))
}

fn envelope() -> Value {
    let mut schema = super::super::envelope::schema();
    schema["title"] = "Envelope".into();
    schema
}

fn dead_letter() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let properties = json!({
        headers::DLQ_ERRORS_TOPIC: text("The original's topic."),
        headers::DLQ_ERRORS_PARTITION: text("The original's partition."),
        headers::DLQ_ERRORS_OFFSET: text("The original's offset."),
        headers::DLQ_ERRORS_GROUP: text("The consumer group that could not handle it."),
        headers::DLQ_ERRORS_DELIVERY_COUNT: text("How many attempts were made."),
        headers::DLQ_ERRORS_MESSAGE: text("The error and its causes."),
        headers::DLQ_ID: text("Names the dead letter: the UUIDv5 of group, topic, partition, offset."),
        headers::DLQ_REASON: text("Why it is here."),
        headers::DLQ_ERROR_TYPE: text("The kind of error."),
        headers::DLQ_FINGERPRINT: text("Equal for failures that look alike."),
        headers::DLQ_FIRST_FAILED_AT: text("When the first attempt failed, RFC 3339."),
        headers::DLQ_FAILED_AT: text("When the last attempt failed, RFC 3339."),
        headers::DLQ_SERVICE: text("The service that could not handle it."),
        headers::DLQ_REPLAYS: text("How often it was replayed before."),
        headers::EVENT_ID: text("The id under which the group's inbox knows the event."),
    });
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({
        "name": DEAD_LETTER,
        "title": "Dead letter",
        "summary": "A record that a consumer could not handle, byte for byte, with what went wrong in its headers.",
        "headers": { "type": "object", "required": required, "properties": properties },
        "payload": { "description": "The original value, whatever it is." },
    })
}
