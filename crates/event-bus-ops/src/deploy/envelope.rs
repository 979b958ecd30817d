//! The envelope as a JSON schema, in words that drafts 7 and 2020-12 share.

use serde_json::{Value, json};

/// Any envelope, whatever its payload.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["event", "version", "occurred_at", "service", "tenant_id", "payload"],
        "properties": {
            "event_id": {
                "type": "string",
                "format": "uuid",
                "not": { "const": "00000000-0000-0000-0000-000000000000" },
                "description": "A UUIDv7 for an event that starts something; derived for one that follows from another. Publishers should always set it.",
            },
            "event": { "type": "string", "description": "The event's name." },
            "version": {
                "type": "string",
                "pattern": "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$",
                "description": "major.minor of the payload's schema.",
            },
            "occurred_at": { "type": "string", "format": "date-time", "description": "RFC 3339; publishers write UTC." },
            "service": { "type": "string", "description": "The publishing service." },
            "tenant_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 128,
                "description": "The organisation on whose behalf it happened; at most 128 bytes, no control characters.",
            },
            "payload": { "description": "Described by the schema of event and version." },
        },
    })
}
