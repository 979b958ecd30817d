use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::{ParseError, SealError, checked_text};
use crate::limits::MAX_NESTING;

/// A payload to be published: the JSON text that goes out, and the same as a value for schema and
/// key.
#[derive(Clone, Debug)]
pub struct Payload {
    json: String,
    value: Value,
}

impl Payload {
    /// Serialises a typed payload, once. The value is read back from those bytes, so what is
    /// checked is what is sent.
    pub fn of<T: Serialize + ?Sized>(payload: &T) -> Result<Payload, SealError> {
        let json = serde_json::to_string(payload).map_err(SealError::Serialise)?;
        Ok(Payload::parse(json)?)
    }

    /// Takes JSON text as it stands; field order and number spelling are kept.
    pub fn parse(json: impl Into<String>) -> Result<Payload, ParseError> {
        let json = json.into();
        // The envelope around it is a level of its own.
        let text = checked_text(json.as_bytes(), MAX_NESTING - 1)?;
        let Strict(value) = serde_json::from_str(text).map_err(ParseError::of_json)?;
        Ok(Payload { json, value })
    }

    /// The JSON text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The payload as a value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Reads any JSON value; an object with a field twice is an error.
pub(super) fn without_duplicates<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Value, D::Error> {
    Strict::deserialize(deserializer).map(|Strict(value)| value)
}

/// Parses a JSON document of our own; a field that occurs twice is an error.
pub(crate) fn value_without_duplicates(json: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(json).map(|Strict(value)| value)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> de::Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            match object.entry(name) {
                serde_json::map::Entry::Vacant(field) => {
                    let Strict(value) = fields.next_value()?;
                    field.insert(value);
                }
                serde_json::map::Entry::Occupied(field) => {
                    // The name comes from outside and may be of any length.
                    let name = field.key().chars().take(64).collect::<String>();
                    return Err(de::Error::custom(format_args!("duplicate field {name:?}")));
                }
            }
        }
        Ok(Value::Object(object))
    }
}
