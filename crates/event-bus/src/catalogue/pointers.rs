//! Where a JSON pointer leads in a schema.

use serde_json::Value;

/// A token that stands for every item of an array, or every field of a map.
const ANY: &str = "*";
/// Schemas that refer to each other without end are cut off here; no payload is nested as deep.
const REFERENCES_MAX: usize = 64;

/// Whether the schema describes something at `pointer`, in whichever of its branches.
/// `/lines/*/sku` passes through the items of an array.
pub(super) fn describes(schema: &Value, pointer: &str) -> bool {
    let Some(tokens) = tokens(pointer) else { return false };
    let mut places = branches(schema, schema, Branches::Any);
    for token in tokens {
        places = places.into_iter().flat_map(|place| below(place, &token)).collect::<Vec<_>>();
        places =
            places.into_iter().flat_map(|place| branches(schema, place, Branches::Any)).collect();
    }
    !places.is_empty()
}

/// Why a payload that obeys the schema may have no string and no integer at `pointer`.
pub(super) fn why_not_certain(schema: &Value, pointer: &str) -> Option<String> {
    let Some(tokens) = tokens(pointer) else { return Some("is not a JSON pointer".to_owned()) };
    let mut places = branches(schema, schema, Branches::Certain);
    let mut path = String::new();
    for token in tokens {
        if !has_type(&places, &["object"]) {
            return Some(format!(
                "the schema does not say that {} is of type object",
                shown(&path)
            ));
        }
        path = format!("{path}/{token}");
        let field = |place: &&Value| {
            place
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|names| names.iter().any(|name| name == token.as_str()))
        };
        let required = places.iter().any(field);
        let found = places
            .iter()
            .filter_map(|place| place.get("properties")?.get(&token))
            .collect::<Vec<_>>();
        if found.is_empty() {
            return Some(format!("the schema has no property {path}"));
        }
        if !required {
            return Some(format!("the schema does not require {path}"));
        }
        places = found
            .into_iter()
            .flat_map(|place| branches(schema, place, Branches::Certain))
            .collect();
    }
    let scalar = has_type(&places, &["string", "integer"]);
    (!scalar).then(|| format!("the schema does not say that {path} is of type string or integer"))
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the payload" } else { path }
}

fn has_type(places: &[&Value], types: &[&str]) -> bool {
    places.iter().any(|place| {
        place.get("type").and_then(Value::as_str).is_some_and(|name| types.contains(&name))
    })
}

/// The pointer's tokens, unescaped; `None` when it is no pointer to something inside.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    let below = pointer.strip_prefix('/')?;
    Some(below.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// The schemas that `place` describes below itself at `token`.
fn below<'s>(place: &'s Value, token: &str) -> Vec<&'s Value> {
    let property = place.get("properties").and_then(|properties| properties.get(token));
    let each = (token == ANY)
        .then(|| [place.get("items"), place.get("additionalProperties")])
        .into_iter()
        .flatten()
        .flatten();
    property.into_iter().chain(each.filter(|schema| schema.is_object())).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Branches {
    /// What always applies: the schema, what it refers to and `allOf`.
    Certain,
    /// What may apply as well.
    Any,
}

/// A schema and those that apply to the same value beside it.
fn branches<'s>(root: &'s Value, schema: &'s Value, which: Branches) -> Vec<&'s Value> {
    let mut all = vec![schema];
    let mut next = 0;
    while next < all.len() && all.len() < REFERENCES_MAX {
        let place = all[next];
        next += 1;
        let reference =
            place.get("$ref").and_then(Value::as_str).and_then(|reference| local(root, reference));
        all.extend(reference);
        let lists: &[&str] =
            if which == Branches::Any { &["allOf", "anyOf", "oneOf"] } else { &["allOf"] };
        all.extend(lists.iter().filter_map(|list| place.get(list)?.as_array()).flatten());
        let singles: &[&str] = if which == Branches::Any { &["then", "else"] } else { &[] };
        all.extend(singles.iter().filter_map(|single| place.get(single)));
    }
    all
}

fn local<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn order() -> Value {
        json!({
            "type": "object",
            "required": ["order_id", "customer", "lines", "note", "total"],
            "properties": {
                "order_id": { "$ref": "#/$defs/id" },
                "customer": { "allOf": [{ "$ref": "#/$defs/party" }], "required": ["id"] },
                "lines": { "type": "array", "items": { "type": "object", "properties": { "sku": { "type": "string" } } } },
                "note": { "type": ["string", "null"] },
                "total": { "type": "number" },
                "optional": { "type": "string" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "oneOf": [{ "properties": { "pickup": { "type": "string" } } }],
            "$defs": {
                "id": { "type": "string" },
                "party": { "type": "object", "properties": { "id": { "type": "integer" }, "email": { "type": "string" } } },
                "loop": { "$ref": "#/$defs/loop" },
            },
        })
    }

    #[test]
    fn a_pointer_is_found_through_references_branches_items_and_maps() {
        for pointer in [
            "/order_id",
            "/customer/email",
            "/lines",
            "/lines/*",
            "/lines/*/sku",
            "/pickup",
            "/labels/*",
        ] {
            assert!(describes(&order(), pointer), "{pointer}");
        }
        for pointer in
            ["", "order_id", "/", "/nowhere", "/lines/sku", "/customer/*", "/customer/phone"]
        {
            assert!(!describes(&order(), pointer), "{pointer}");
        }
    }

    #[test]
    fn a_key_field_is_certain_only_if_each_step_is_required_and_the_end_is_a_scalar() {
        assert_eq!(why_not_certain(&order(), "/order_id"), None);
        assert_eq!(why_not_certain(&order(), "/customer/id"), None);
        for (pointer, reason) in [
            ("/optional", "does not require /optional"),
            ("/customer/email", "does not require /customer/email"),
            ("/nowhere", "no property /nowhere"),
            ("/note", "/note is of type string or integer"),
            ("/total", "/total is of type string or integer"),
            ("/lines/*/sku", "/lines is of type object"),
        ] {
            let why = why_not_certain(&order(), pointer).unwrap();
            assert!(why.contains(reason), "{why}");
        }
        let open = json!({ "required": ["id"], "properties": { "id": { "type": "string" } } });
        assert!(why_not_certain(&open, "/id").unwrap().contains("the payload is of type object"));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "$ref": "#", "allOf": [{ "$ref": "#" }] });
        assert!(!describes(&schema, "/a"));
        assert!(why_not_certain(&schema, "/a").is_some());
    }
}
