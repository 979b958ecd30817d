//! Compares two schemas, keyword by keyword. What it can't tell it says so.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::branches;
use super::flat::{flat, is_annotation};
use super::shift::{Effect, Shift};
use super::values;

/// No payload is nested as deep, so a deeper schema refers to itself.
const DEPTH_MAX: usize = 64;
/// Schemas that refer to each other in many ways end here.
const COMPARISONS_MAX: usize = 20_000;
/// What is compared by a rule of its own; any other keyword is equal or can't be told.
const KNOWN: [&str; 23] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "pattern",
    "format",
    "uniqueItems",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "default",
    "dependentRequired",
];

type Keywords = Map<String, Value>;

/// What differs between two payload schemas.
pub(super) fn shifts(old: &Value, new: &Value) -> Vec<Shift> {
    let mut comparison =
        Comparison { roots: (old, new), found: Vec::new(), inside: Vec::new(), done: 0 };
    comparison.schemas(old, new, "", 0);
    comparison.found
}

pub(super) struct Comparison<'s> {
    pub(super) roots: (&'s Value, &'s Value),
    pub(super) found: Vec<Shift>,
    /// References that are being followed, on both sides.
    inside: Vec<(String, String)>,
    done: usize,
}

impl Comparison<'_> {
    pub(super) fn note(
        &mut self,
        pointer: &str,
        code: &'static str,
        effect: Effect,
        what: impl Into<String>,
    ) {
        let is_refused_before = effect.widens();
        self.add(Shift {
            pointer: pointer.to_owned(),
            code,
            what: what.into(),
            effect,
            is_refused_before,
        });
    }

    pub(super) fn add(&mut self, shift: Shift) {
        if !self.found.contains(&shift) {
            self.found.push(shift);
        }
    }

    /// What these two would differ in, without noting it.
    pub(super) fn apart(
        &mut self,
        old: &Value,
        new: &Value,
        pointer: &str,
        depth: usize,
    ) -> Vec<Shift> {
        let before = std::mem::take(&mut self.found);
        self.schemas(old, new, pointer, depth);
        std::mem::replace(&mut self.found, before)
    }

    pub(super) fn schemas(&mut self, old: &Value, new: &Value, pointer: &str, depth: usize) {
        self.done += 1;
        if old == new && self.roots.0.get("$defs") == self.roots.1.get("$defs") && !refers_up(old) {
            return;
        }
        if depth > DEPTH_MAX || self.done > COMPARISONS_MAX {
            return self.note(
                "",
                "cannot-be-told",
                Effect::Either,
                "can't be told: the schemas are too large to compare",
            );
        }
        let references = references(old, new);
        if let Some(pair) = &references {
            if self.inside.contains(pair) {
                // A schema that refers to itself: what differs in it is being met.
                return;
            }
            self.inside.push(pair.clone());
        }
        self.keywords(old, new, pointer, depth);
        if references.is_some() {
            self.inside.pop();
        }
    }

    fn keywords(&mut self, old: &Value, new: &Value, pointer: &str, depth: usize) {
        let (old_keywords, new_keywords) = (flat(self.roots.0, old), flat(self.roots.1, new));
        let (old, new) = (&*old_keywords, &*new_keywords);
        let types = values::compare(self, old, new, pointer);
        self.untold(old, new, pointer);
        if types.contains("array") {
            self.items(old, new, pointer, depth);
        }
        if types.contains("object") {
            self.objects(old, new, pointer, depth);
        }
        branches::compare(self, old, new, pointer, depth);
    }

    fn untold(&mut self, old: &Keywords, new: &Keywords, pointer: &str) {
        let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for keyword in keywords {
            let known = KNOWN.contains(&&**keyword)
                || is_annotation(keyword)
                || matches!(&**keyword, "anyOf" | "oneOf" | "prefixItems" | "patternProperties");
            if !known && old.get(keyword) != new.get(keyword) {
                let what = format!("can't be told: `{keyword}` is another");
                self.note(pointer, "cannot-be-told", Effect::Either, what);
            }
        }
        if old.get("default") != new.get("default") {
            let shown = |keywords: &Keywords| {
                keywords.get("default").map_or_else(|| "none".to_owned(), Value::to_string)
            };
            let what = format!("has another default: {} was {}", shown(new), shown(old));
            self.note(pointer, "default", Effect::Harmless, what);
        }
    }

    fn items(&mut self, old: &Keywords, new: &Keywords, pointer: &str, depth: usize) {
        let below = format!("{pointer}/*");
        let anything = Value::Bool(true);
        let rest =
            |keywords: &Keywords| keywords.get("items").cloned().unwrap_or(Value::Bool(true));
        let by_position = |keywords: &Keywords| -> Vec<Value> {
            keywords.get("prefixItems").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (old_first, new_first) = (by_position(old), by_position(new));
        let (old_rest, new_rest) = (rest(old), rest(new));
        for position in 0..old_first.len().max(new_first.len()) {
            let old = old_first.get(position).unwrap_or(&old_rest);
            let new = new_first.get(position).unwrap_or(&new_rest);
            self.schemas(old, new, &format!("{pointer}/{position}"), depth + 1);
        }
        if old_rest != anything || new_rest != anything {
            self.schemas(&old_rest, &new_rest, &below, depth + 1);
        }
    }

    fn objects(&mut self, old: &Keywords, new: &Keywords, pointer: &str, depth: usize) {
        let none = Map::new();
        let properties = |keywords| match Map::get(keywords, "properties") {
            Some(Value::Object(properties)) => properties.clone(),
            _ => none.clone(),
        };
        let (old_fields, new_fields) = (properties(old), properties(new));
        let (old_required, new_required) = (required(old), required(new));
        let names: BTreeSet<&String> = old_fields
            .keys()
            .chain(new_fields.keys())
            .chain(&old_required)
            .chain(&new_required)
            .collect();
        for name in names {
            let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            let was = Field {
                schema: old_fields.get(name),
                is_required: old_required.contains(name),
                beside: old,
            };
            let is = Field {
                schema: new_fields.get(name),
                is_required: new_required.contains(name),
                beside: new,
            };
            self.field(was, is, &at, depth);
        }
        self.further_fields(old, new, pointer, depth);
        let (was, is) = (dependencies(old), dependencies(new));
        let effect =
            Effect::of(was.difference(&is).next().is_some(), is.difference(&was).next().is_some());
        if let Some(effect) = effect {
            self.note(pointer, "dependent", effect, "has other fields that require each other");
        }
    }

    fn field(&mut self, was: Field<'_>, is: Field<'_>, at: &str, depth: usize) {
        match (was.schema, is.schema) {
            (Some(old), Some(new)) => {
                self.schemas(old, new, at, depth + 1);
                self.requirement(was.is_required, is.is_required, at);
            }
            (Some(_), None) => {
                // Whoever still writes it may, unless further fields are refused.
                let effect = if is.is_closed() { Effect::Either } else { Effect::Widens };
                let (pointer, what) = (at.to_owned(), "is gone".to_owned());
                let is_refused_before = was.is_required;
                self.add(Shift { pointer, code: "field-gone", what, effect, is_refused_before });
            }
            (None, Some(new)) if was.is_described() => {
                let anything = Value::Bool(true);
                let old = was.beside.get("additionalProperties").unwrap_or(&anything);
                self.schemas(old, new, at, depth + 1);
                self.requirement(was.is_required, is.is_required, at);
            }
            (None, Some(_)) if is.is_required && !was.is_required => {
                let effect = if was.is_closed() { Effect::Either } else { Effect::Narrows };
                self.note(at, "field-required", effect, "is new and required");
            }
            (None, Some(_)) => {
                // Who checks by the schema of before refuses a field that it does not know, where that was closed.
                let effect = if was.is_closed() { Effect::Widens } else { Effect::Harmless };
                self.note(at, "field-added", effect, "is new");
            }
            (None, None) => self.requirement(was.is_required, is.is_required, at),
        }
    }

    fn requirement(&mut self, was: bool, is: bool, at: &str) {
        match (was, is) {
            (true, false) => {
                self.note(at, "field-optional", Effect::Widens, "is no longer required");
            }
            (false, true) => self.note(at, "field-required", Effect::Narrows, "is required now"),
            _ => {}
        }
    }

    fn further_fields(&mut self, old: &Keywords, new: &Keywords, pointer: &str, depth: usize) {
        let below = format!("{pointer}/*");
        let anything = Value::Bool(true);
        let of = |keywords: &Keywords| {
            keywords.get("additionalProperties").cloned().unwrap_or(Value::Bool(true))
        };
        match (of(old), of(new)) {
            (old, new) if old == new && !refers_up(&old) => {}
            (old, Value::Bool(false)) if old != Value::Bool(false) => {
                self.note(&below, "closed", Effect::Narrows, "takes no further fields any more");
            }
            (Value::Bool(false), _) => {
                self.note(&below, "opened", Effect::Widens, "takes further fields now");
            }
            (old, new) => self.schemas(&old, &new, &below, depth + 1),
        }
        let patterns =
            |keywords: &Keywords| keywords.get("patternProperties").cloned().unwrap_or(json!({}));
        let (old, new) = (patterns(old), patterns(new));
        let names: BTreeSet<String> = [&old, &new]
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(Map::keys)
            .cloned()
            .collect();
        for name in names {
            let (was, is) =
                (old.get(&name).unwrap_or(&anything), new.get(&name).unwrap_or(&anything));
            self.schemas(was, is, &below, depth + 1);
        }
    }
}

/// A field as one of the two schemas has it.
#[derive(Clone, Copy)]
struct Field<'k> {
    schema: Option<&'k Value>,
    is_required: bool,
    /// The keywords of the object.
    beside: &'k Keywords,
}

impl Field<'_> {
    /// Whether the object refuses fields that it does not name.
    fn is_closed(&self) -> bool {
        self.beside.get("additionalProperties") == Some(&Value::Bool(false))
            && !self.beside.contains_key("patternProperties")
    }

    /// Whether fields that it does not name have a schema.
    fn is_described(&self) -> bool {
        self.beside.get("additionalProperties").is_some_and(Value::is_object)
    }
}

fn required(keywords: &Keywords) -> BTreeSet<String> {
    let names = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn dependencies(keywords: &Keywords) -> BTreeSet<(String, String)> {
    let named = keywords.get("dependentRequired").and_then(Value::as_object).into_iter().flatten();
    let pairs = named.flat_map(|(name, needs)| {
        let needs = needs.as_array().into_iter().flatten().filter_map(Value::as_str);
        needs.map(|need| (name.clone(), need.to_owned()))
    });
    pairs.collect()
}

fn references(old: &Value, new: &Value) -> Option<(String, String)> {
    let of = |schema: &Value| Some(schema.get("$ref")?.as_str()?.to_owned());
    Some((of(old)?, of(new)?))
}

/// Whether what it says depends on something elsewhere in the document that may differ.
fn refers_up(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(keyword, value)| {
            let is_up = |reference: &str| !reference.starts_with("#/$defs/");
            (keyword == "$ref" && value.as_str().is_some_and(is_up)) || refers_up(value)
        }),
        Value::Array(items) => items.iter().any(refers_up),
        _ => false,
    }
}
