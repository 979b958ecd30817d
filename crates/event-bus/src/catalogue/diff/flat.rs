//! A schema with what it refers to and `allOf` in one place.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// References that lead to references end here; no sound schema has as many.
const REFERENCES_MAX: usize = 64;

/// What says nothing about which payloads are valid.
const ANNOTATIONS: [&str; 11] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "title",
    "description",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// The keywords of a schema; those of a schema that is `true` are none.
pub(super) fn flat<'s>(root: &'s Value, schema: &'s Value) -> Cow<'s, Map<String, Value>> {
    match schema {
        Value::Object(keywords)
            if !keywords.contains_key("$ref") && !keywords.contains_key("allOf") =>
        {
            Cow::Borrowed(keywords)
        }
        Value::Bool(false) => Cow::Owned(Map::from_iter([("not".to_owned(), json!({}))])),
        Value::Object(_) => {
            let mut all = Map::new();
            gather(root, schema, 0, &mut all);
            Cow::Owned(all)
        }
        _ => Cow::Owned(Map::new()),
    }
}

/// Whether a keyword is for people only.
pub(super) fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

fn gather(root: &Value, schema: &Value, depth: usize, all: &mut Map<String, Value>) {
    let keywords = match schema {
        Value::Object(keywords) => keywords,
        Value::Bool(false) => return merge(all, "not", &json!({})),
        _ => return,
    };
    if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
        match reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
            Some(target) if depth < REFERENCES_MAX => gather(root, target, depth + 1, all),
            // By name, or in a circle: equal where it is written equally.
            _ => merge(all, "$ref", &json!(reference)),
        }
    }
    for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if depth < REFERENCES_MAX {
            gather(root, part, depth + 1, all);
        }
    }
    for (keyword, value) in keywords {
        if keyword != "$ref" && keyword != "allOf" && !is_annotation(keyword) {
            merge(all, keyword, value);
        }
    }
}

/// Both the keyword that is there and this one hold.
fn merge(all: &mut Map<String, Value>, keyword: &str, value: &Value) {
    let Some(known) = all.get_mut(keyword) else {
        all.insert(keyword.to_owned(), value.clone());
        return;
    };
    if known == value {
        return;
    }
    match (keyword, known, value) {
        ("required", Value::Array(known), Value::Array(more)) => {
            for name in more {
                if !known.contains(name) {
                    known.push(name.clone());
                }
            }
        }
        ("properties", Value::Object(known), Value::Object(more)) => {
            for (name, schema) in more {
                let both = match known.get(name) {
                    Some(first) if first != schema => json!({ "allOf": [first, schema] }),
                    _ => schema.clone(),
                };
                known.insert(name.clone(), both);
            }
        }
        ("items", known, value) => *known = json!({ "allOf": [known, value] }),
        ("default", known, value) => *known = value.clone(),
        // Said twice and differently: compared as written.
        (_, _, value) => {
            let others = all.entry("allOf".to_owned()).or_insert_with(|| json!([]));
            if let Value::Array(others) = others {
                others.push(json!({ keyword: value }));
            }
        }
    }
}
