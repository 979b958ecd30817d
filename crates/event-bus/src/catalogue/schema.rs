use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// The one dialect that a schema may be written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A payload's schema, compiled: JSON Schema 2020-12 with formats asserted.
pub struct Schema {
    json: Value,
    validator: Validator,
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
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(&json)
            .map_err(|error| SchemaError::Invalid(Box::new(error)))?;
        Ok(Schema { json, validator })
    }

    /// Whether the payload obeys the schema. Several times faster than listing what it violates.
    pub fn is_valid(&self, payload: &Value) -> bool {
        self.validator.is_valid(payload)
    }

    /// Checks a payload: the fast way first, and everything that is wrong only if something is.
    pub fn check(&self, payload: &Value) -> Result<(), Vec<Violation>> {
        if self.is_valid(payload) { Ok(()) } else { Err(self.violations(payload)) }
    }

    /// Everything in the payload that the schema forbids, in document order of the schema.
    pub fn violations(&self, payload: &Value) -> Vec<Violation> {
        self.validator
            .iter_errors(payload)
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
