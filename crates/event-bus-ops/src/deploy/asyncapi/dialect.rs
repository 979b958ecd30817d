//! Schemas as AsyncAPI has them: in JSON Schema draft 7, and referring to each other within the document.

use event_bus::catalogue::{Places, Version};
use event_bus::names::EventName;
use serde_json::{Map, Value, json};

/// A schema with a reference that can't stand in an AsyncAPI document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the schema of {event} {version} refers to {reference:?}, which AsyncAPI's parsers don't follow: refer by a JSON pointer, such as `#/$defs/address`"
)]
pub struct NotPortable {
    /// The event.
    pub event: EventName,
    /// Its version.
    pub version: Version,
    /// What it refers to.
    pub reference: String,
}

/// A schema of dialect 2020-12 in draft 7, for a place in another document. What draft 7 has no word for stays as it is: there it means
/// nothing, and who knows it understands it.
///
/// # Errors
/// A reference that is no JSON pointer.
pub fn draft_07(schema: &Value, at: &str) -> Result<Value, String> {
    let mut translated = translated(schema, at)?;
    if let Value::Object(keywords) = &mut translated {
        keywords.remove("$schema");
        keywords.remove("$id");
        if let Some(definitions) = keywords.remove("$defs") {
            keywords.insert("definitions".to_owned(), definitions);
        }
    }
    Ok(translated)
}

fn translated(schema: &Value, at: &str) -> Result<Value, String> {
    let Value::Object(keywords) = schema else { return Ok(schema.clone()) };
    let mut written = Map::new();
    for (keyword, value) in keywords {
        let value = match Places::of(keyword) {
            Places::One => translated(value, at)?,
            Places::List => value.as_array().map_or_else(
                || Ok(value.clone()),
                |items| {
                    items
                        .iter()
                        .map(|item| translated(item, at))
                        .collect::<Result<Vec<_>, _>>()
                        .map(Value::from)
                },
            )?,
            Places::Map => value.as_object().map_or_else(
                || Ok(value.clone()),
                |named| {
                    let named = named
                        .iter()
                        .map(|(name, schema)| Ok((name.clone(), translated(schema, at)?)));
                    named.collect::<Result<Map<_, _>, String>>().map(Value::from)
                },
            )?,
            Places::None if keyword == "$ref" => {
                json!(moved(value.as_str().unwrap_or_default(), at)?)
            }
            Places::None if keyword == "$dynamicRef" => return Err(value.to_string()),
            Places::None => value.clone(),
        };
        written.insert(keyword.clone(), value);
    }
    in_old_words(&mut written);
    Ok(Value::Object(written))
}

/// In draft 7 what stands beside a reference is ignored, arrays by position are `items`, and what depends on a property is `dependencies`.
fn in_old_words(keywords: &mut Map<String, Value>) {
    if let Some(by_position) = keywords.remove("prefixItems") {
        if let Some(rest) = keywords.remove("items") {
            keywords.insert("additionalItems".to_owned(), rest);
        }
        keywords.insert("items".to_owned(), by_position);
    }
    let mut dependencies = Map::new();
    for keyword in ["dependentRequired", "dependentSchemas"] {
        if let Some(Value::Object(named)) = keywords.remove(keyword) {
            for (name, dependency) in named {
                // A property may be in both: then both hold.
                let dependency = match dependencies.remove(&name) {
                    Some(required) => json!({ "required": required, "allOf": [dependency] }),
                    None => dependency,
                };
                dependencies.insert(name, dependency);
            }
        }
    }
    if !dependencies.is_empty() {
        keywords.insert("dependencies".to_owned(), Value::Object(dependencies));
    }
    if keywords.len() > 1
        && let Some(reference) = keywords.remove("$ref")
    {
        let reference = json!({ "$ref": reference });
        match keywords.get_mut("allOf") {
            Some(Value::Array(all)) => all.push(reference),
            _ => drop(keywords.insert("allOf".to_owned(), json!([reference]))),
        }
    }
}

fn moved(reference: &str, at: &str) -> Result<String, String> {
    let pointer = reference
        .strip_prefix('#')
        .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
    let pointer = pointer.ok_or_else(|| reference.to_owned())?;
    Ok(match pointer.strip_prefix("/$defs/") {
        Some(definition) => format!("{at}/definitions/{definition}"),
        None => format!("{at}{pointer}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_move_with_the_schema_and_keep_what_stands_beside_them() {
        let schema = json!({
            "$schema": "x", "$id": "urn:x",
            "properties": { "$ref": { "$ref": "#/$defs/a", "description": "d" }, "self": { "$ref": "#" } },
            "enum": [{ "$ref": "data" }],
            "$defs": { "a": { "type": "string" } },
        });
        let expected = json!({
            "properties": {
                "$ref": { "allOf": [{ "$ref": "#/components/schemas/X/definitions/a" }], "description": "d" },
                "self": { "$ref": "#/components/schemas/X" },
            },
            "enum": [{ "$ref": "data" }],
            "definitions": { "a": { "type": "string" } },
        });
        assert_eq!(draft_07(&schema, "#/components/schemas/X"), Ok(expected));
    }

    #[test]
    fn newer_keywords_are_said_in_older_ones() {
        let schema = json!({
            "prefixItems": [{ "type": "string" }], "items": false,
            "dependentRequired": { "a": ["b"] }, "dependentSchemas": { "a": { "minProperties": 2 } },
        });
        let expected = json!({
            "items": [{ "type": "string" }], "additionalItems": false,
            "dependencies": { "a": { "required": ["b"], "allOf": [{ "minProperties": 2 }] } },
        });
        assert_eq!(draft_07(&schema, "#"), Ok(expected));
    }

    #[test]
    fn a_reference_by_name_is_refused() {
        assert_eq!(
            draft_07(&json!({ "items": { "$ref": "#anchor" } }), "#/x"),
            Err("#anchor".to_owned())
        );
    }
}
