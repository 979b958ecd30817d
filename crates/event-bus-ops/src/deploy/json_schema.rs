//! Whole envelopes as JSON Schemas 2020-12, for those who check what they write and read.
//!
//! A payload's schema is embedded as it is written, under its own `$id`, so its references mean what they meant.

use event_bus::Catalogue;
use event_bus::catalogue::{DIALECT, Event, SchemaVersion};
use serde_json::{Map, Value, json};

use super::envelope;

/// The envelope of one version of an event, with its payload.
#[must_use]
pub fn of(catalogue: &Catalogue, event: &Event, known: &SchemaVersion) -> Value {
    let mut definitions = Map::new();
    let mut schema = resource(catalogue, event, known, &mut definitions);
    schema["$schema"] = DIALECT.into();
    schema["$defs"] = definitions.into();
    schema
}

/// Any envelope of the catalogue: of exactly one version of one event.
#[must_use]
pub fn bundle(catalogue: &Catalogue) -> Value {
    let (mut definitions, mut any) = (Map::new(), Vec::new());
    for event in catalogue.events() {
        for known in &event.versions {
            let envelope = resource(catalogue, event, known, &mut definitions);
            any.push(json!({ "$ref": envelope["$id"] }));
            definitions.insert(format!("{} {}", event.name, known.version), envelope);
        }
    }
    json!({
        "$schema": DIALECT,
        "$id": format!("urn:{}:envelopes", catalogue.namespace()),
        "title": format!("Envelopes of {}", catalogue.namespace()),
        "description": "Generated from the catalogue by `event-bus catalogue export json-schema`: change the catalogue instead.",
        "oneOf": any,
        "$defs": definitions,
    })
}

/// The envelope, and in `definitions` the payload that it refers to.
fn resource(
    catalogue: &Catalogue,
    event: &Event,
    known: &SchemaVersion,
    definitions: &mut Map<String, Value>,
) -> Value {
    let (namespace, name, version) = (catalogue.namespace(), &event.name, known.version);
    let mut payload = known.schema.json().clone();
    let own = format!("urn:{namespace}:payload:{name}:{version}");
    let id = payload.get("$id").and_then(Value::as_str).map_or(own, str::to_owned);
    payload["$id"] = id.as_str().into();
    definitions.insert(format!("{name} {version} payload"), payload);
    let mut envelope = envelope::schema();
    envelope["$id"] = format!("urn:{namespace}:envelope:{name}:{version}").into();
    envelope["title"] = format!("{name} {version}").into();
    envelope["description"] = event.description.as_str().into();
    let properties = &mut envelope["properties"];
    properties["event"] = json!({ "const": name });
    properties["version"] = json!({ "const": version });
    properties["service"] = json!({ "const": event.producer });
    properties["payload"] = json!({ "$ref": id });
    envelope
}
