use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator, json::Json};
use serde_json::Value;

use crate::envelope::{Payload, TreeJson};

/// The one dialect that a schema may be written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A payload's schema, compiled: JSON Schema 2020-12 with formats asserted.
pub struct Schema {
    json: Value,
    /// Says quickly whether a payload is valid.
    of_trees: Validator<TreeJson>,
    /// Says what is wrong with one, which takes a copy of it.
    of_values: Validator,
}

/// One thing in a payload that its schema forbids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// JSON pointer into the payload; empty for the payload itself. A missing property is reported
    /// at its parent.
    pub pointer: String,
    /// What is wrong, without the value: messages go to logs and headers, and values may be
    /// personal.
    pub message: String,
}

/// Why a document is not usable as a schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Written in another dialect, or in none.
    #[error("`$schema` is not `{DIALECT}`")]
    Dialect,
    /// Not a schema, or one with what is not supported here.
    #[error("{0}")]
    Invalid(#[source] Box<jsonschema::ValidationError<'static>>),
}

impl Schema {
    /// Compiles a schema. References must stay inside the document.
    ///
    /// Patterns run on an engine of linear time, because payloads come from strangers; look-around
    /// and back-references are therefore refused.
    pub fn compile(json: Value) -> Result<Schema, SchemaError> {
        if json.get("$schema").and_then(Value::as_str) != Some(DIALECT) {
            return Err(SchemaError::Dialect);
        }
        Ok(Schema { of_trees: validator(&json)?, of_values: validator(&json)?, json })
    }

    /// Whether the payload obeys the schema. Several times faster than listing what it violates.
    pub fn is_valid(&self, payload: &Payload) -> bool {
        self.of_trees.is_valid(payload.root())
    }

    /// Checks a payload: the fast way first, and everything that is wrong only if something is.
    pub fn check(&self, payload: &Payload) -> Result<(), Vec<Violation>> {
        if self.is_valid(payload) { Ok(()) } else { Err(self.violations(payload)) }
    }

    /// Everything in the payload that the schema forbids, in document order of the schema.
    pub fn violations(&self, payload: &Payload) -> Vec<Violation> {
        self.of_values
            .iter_errors(&payload.to_value())
            .map(|error| Violation {
                pointer: error.instance_path().to_string(),
                message: error.masked().to_string(),
            })
            .collect()
    }

    /// The schema as it was written.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

fn validator<J: Json>(schema: &Value) -> Result<Validator<J>, SchemaError> {
    jsonschema::options_for::<J>()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|error| SchemaError::Invalid(Box::new(error)))
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.json).finish()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "(root)" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}
