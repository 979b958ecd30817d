use std::io::Write;

use serde_json::Number;

use crate::{
    envelope::{Node, Payload},
    names::TenantId,
};

/// Which fields of an envelope make its record key, and so decide what stays in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderingKey {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Tenant,
    /// The pointer as written, and its tokens below the payload, unescaped.
    Payload {
        pointer: String,
        tokens: Vec<String>,
    },
}

/// A pointer of an ordering key that finds no string and no integer in an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ordering key's field {pointer} holds neither a string nor a 64-bit integer")]
pub struct MissingKeyField {
    /// JSON pointer into the envelope.
    pub pointer: String,
}

const TENANT_POINTER: &str = "/tenant_id";
const PAYLOAD_PREFIX: &str = "/payload/";

impl OrderingKey {
    /// Reads pointers into the envelope: `/tenant_id`, or one below `/payload/`. The error is the
    /// pointer that is neither.
    pub(crate) fn new<'a>(
        pointers: impl IntoIterator<Item = &'a str>,
    ) -> Result<OrderingKey, &'a str> {
        let parts = pointers.into_iter().map(part).collect::<Result<_, _>>()?;
        Ok(OrderingKey { parts })
    }

    /// The pointers into the envelope, in order.
    pub fn pointers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| match part {
            Part::Tenant => TENANT_POINTER,
            Part::Payload { pointer, .. } => pointer,
        })
    }

    /// Writes the record key of an envelope: the fields' values, percent-encoded, joined by `/`.
    pub fn write(
        &self,
        tenant: &TenantId,
        payload: &Payload,
        key: &mut Vec<u8>,
    ) -> Result<(), MissingKeyField> {
        for (position, part) in self.parts.iter().enumerate() {
            if position > 0 {
                key.push(b'/');
            }
            match part {
                Part::Tenant => push_encoded(key, tenant.as_str()),
                Part::Payload { pointer, tokens } => push_value(key, find(payload.root(), tokens))
                    .ok_or_else(|| MissingKeyField { pointer: pointer.clone() })?,
            }
        }
        Ok(())
    }
}

fn part(pointer: &str) -> Result<Part, &str> {
    if pointer == TENANT_POINTER {
        return Ok(Part::Tenant);
    }
    let below = pointer.strip_prefix(PAYLOAD_PREFIX).ok_or(pointer)?;
    let tokens =
        below.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    Ok(Part::Payload { pointer: pointer.to_owned(), tokens })
}

fn find<'a>(payload: Node<'a>, tokens: &[String]) -> Option<Node<'a>> {
    tokens.iter().try_fold(payload, |value, token| value.field(token))
}

fn push_value(key: &mut Vec<u8>, value: Option<Node<'_>>) -> Option<()> {
    let value = value?;
    if let Some(text) = value.string() {
        push_encoded(key, text);
    } else {
        let integer = integer(value.number()?)?;
        write!(key, "{integer}").expect("writing to memory cannot fail");
    }
    Some(())
}

/// JSON Schema calls 7.0 an integer, and some languages write 7 so: both must give the same key.
fn integer(number: &Number) -> Option<i128> {
    /// Up to here each whole number is a float of its own.
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    if let Some(integer) = number.as_i128() {
        return Some(integer);
    }
    let float = number.as_f64()?;
    if float.fract() != 0.0 || float.abs() > EXACT_MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 53 bits fits")]
    Some(float as i128)
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn push_encoded(key: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            key.push(byte);
        } else {
            key.push(b'%');
            key.push(HEX[usize::from(byte >> 4)]);
            key.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn key(pointers: &[&str], tenant: &str, payload: &Value) -> Result<String, MissingKeyField> {
        let key = OrderingKey::new(pointers.iter().copied()).unwrap();
        let payload = Payload::parse(payload.to_string()).unwrap();
        let mut bytes = Vec::new();
        key.write(&TenantId::new(tenant).unwrap(), &payload, &mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_pointer_reaches_into_objects_and_unescapes_its_tokens() {
        let payload = json!({ "order": { "a/b~c": "found" } });
        assert_eq!(key(&["/payload/order/a~1b~0c"], "t", &payload).as_deref(), Ok("found"));
    }

    #[test]
    fn what_is_neither_a_string_nor_an_integer_names_the_pointer() {
        for id in [json!(null), json!(true), json!(1.5), json!(1e300), json!([]), json!({})] {
            let error = key(&["/payload/order_id"], "t", &json!({ "order_id": id })).unwrap_err();
            assert_eq!(error.pointer, "/payload/order_id");
        }
        assert!(key(&["/payload/order_id"], "t", &json!({})).is_err());
        assert!(key(&["/payload/order_id"], "t", &json!("text")).is_err());
    }

    #[test]
    fn only_the_tenant_and_the_payload_can_be_part_of_a_key() {
        for pointer in ["", "/", "/event_id", "/payload", "tenant_id", "payload/order_id"] {
            assert_eq!(OrderingKey::new([pointer]), Err(pointer));
        }
    }

    proptest! {
        #[test]
        fn different_values_have_different_keys(a in "\\PC{1,20}", b in "\\PC{0,20}", c in "\\PC{1,20}", d in "\\PC{0,20}") {
            let pointers = ["/tenant_id", "/payload/id"];
            let first = key(&pointers, &a, &json!({ "id": b })).unwrap();
            let second = key(&pointers, &c, &json!({ "id": d })).unwrap();
            prop_assert_eq!(first == second, (a, b) == (c, d));
        }
    }
}
