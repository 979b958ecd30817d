//! How the values of many dead letters are changed: JSON Patch.
//!
//! Source: RFC 6902, with the pointers of RFC 6901.

use bytes::Bytes;
use json_patch::PatchOperation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change of a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch(json_patch::Patch);

impl Patch {
    /// The pointers to what it reads: that it tests, copies or moves.
    #[must_use]
    pub fn read(&self) -> Vec<String> {
        let read = self.0.iter().filter_map(|operation| match operation {
            PatchOperation::Test(test) => Some(&test.path),
            PatchOperation::Copy(copy) => Some(&copy.from),
            PatchOperation::Move(moved) => Some(&moved.from),
            PatchOperation::Add(_) | PatchOperation::Remove(_) | PatchOperation::Replace(_) => None,
        });
        read.map(ToString::to_string).collect()
    }

    /// What it does where, without the values that it writes or compares, which may be personal.
    #[must_use]
    pub fn without_values(&self) -> Value {
        let mut operations = serde_json::to_value(&self.0).unwrap_or_default();
        for operation in operations.as_array_mut().into_iter().flatten() {
            if let Value::Object(fields) = operation {
                fields.retain(|name, _| ["op", "path", "from"].contains(&name.as_str()));
            }
        }
        operations
    }

    /// The changed value. All else that it says stays, also each number, however it is written.
    ///
    /// # Errors
    /// Why it can't be changed, in words.
    pub fn change(&self, value: &[u8]) -> Result<Bytes, String> {
        let mut json: Value = serde_json::from_slice(value)
            .map_err(|error| format!("its value is no JSON: {error}"))?;
        let rewritten = json.to_string();
        if let Some(number) = lost_number(value, rewritten.as_bytes()) {
            return Err(format!(
                "its number {number} has more digits than a change keeps: change this one by `event-bus dlq edit`"
            ));
        }
        json_patch::patch(&mut json, &self.0).map_err(|error| error.to_string())?;
        Ok(Bytes::from(json.to_string()))
    }
}

/// A number of one JSON text that the other one does not have.
fn lost_number<'a>(text: &'a [u8], other: &[u8]) -> Option<&'a str> {
    let mut there: Vec<Decimal> = numbers(other).map(Decimal::of).collect();
    there.sort_unstable();
    numbers(text).find(|number| match there.binary_search(&Decimal::of(number)) {
        Ok(at) => {
            there.remove(at);
            false
        }
        Err(_) => true,
    })
}

/// The numbers of a JSON text, as they are written.
fn numbers(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (first, behind) = rest.split_first()?;
            match first {
                b'"' => rest = behind_string(behind),
                b'-' | b'0'..=b'9' => {
                    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                    let len = rest.iter().take_while(|byte| is_part(byte)).count();
                    let (number, behind) = rest.split_at(len);
                    rest = behind;
                    return std::str::from_utf8(number).ok();
                }
                _ => rest = behind,
            }
        }
    })
}

/// What stands behind a string whose opening quotation mark was read.
fn behind_string(text: &[u8]) -> &[u8] {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(&[], |end| &text[end + 1..])
}

/// What a number is worth, whichever way it is written.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decimal {
    is_negative: bool,
    /// Without zeros at either end.
    digits: String,
    /// The power of ten that they are multiplied by.
    exponent: i64,
}

impl Decimal {
    fn of(number: &str) -> Self {
        let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |n| (true, n));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Self { is_negative: false, digits: String::new(), exponent: 0 };
        }
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        let scale = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        // One so large is no number that anybody keeps.
        let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX);
        let exponent = exponent.saturating_sub(scale(fraction.len())).saturating_add(scale(zeros));
        Self { is_negative, digits: significant.to_owned(), exponent }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(operations: Value) -> Patch {
        serde_json::from_value(operations).unwrap()
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let patch = patch(json!([
            { "op": "test", "path": "/payload/currency", "value": "EU" },
            { "op": "replace", "path": "/payload/currency", "value": "EUR" },
            { "op": "add", "path": "/payload/lines/-", "value": { "quantity": 2 } },
        ]));
        let value = br#"{"z":1,"payload":{"currency":"EU","lines":[],"rate":12.50,"text":"1e999 \\\" -5"}}"#;
        let changed = patch.change(value).unwrap();
        let expected = json!({ "z": 1, "payload": {
            "currency": "EUR", "lines": [{ "quantity": 2 }], "rate": 12.5, "text": "1e999 \\\" -5" } });
        assert_eq!(serde_json::from_slice::<Value>(&changed).unwrap(), expected);
        for value in ["{", r#"{"payload":{"currency":"EUR"}}"#, "{}"] {
            assert!(patch.change(value.as_bytes()).is_err(), "{value}");
        }
    }

    #[test]
    fn its_values_are_left_out_of_what_is_told_of_it() {
        let patch = patch(json!([
            { "op": "test", "path": "/payload/mail", "value": "jane@doe.example" },
            { "op": "replace", "path": "/payload/mail", "value": { "path": "Jane" } },
            { "op": "move", "from": "/payload/a", "path": "/payload/b" },
            { "op": "remove", "path": "/payload/c" },
        ]));
        let told = json!([
            { "op": "test", "path": "/payload/mail" },
            { "op": "replace", "path": "/payload/mail" },
            { "op": "move", "from": "/payload/a", "path": "/payload/b" },
            { "op": "remove", "path": "/payload/c" },
        ]);
        assert_eq!(patch.without_values(), told);
    }

    #[test]
    fn a_number_that_would_change_is_told() {
        let patch = patch(json!([{ "op": "add", "path": "/a", "value": 1 }]));
        for kept in ["0", "-0", "1.0", "100", "1e2", "12.500", "-2.5E-3", "18446744073709551615"] {
            patch.change(format!(r#"{{"n":{kept},"m":{kept}}}"#).as_bytes()).unwrap();
        }
        for lost in ["12345678901234567890123", "0.1234567890123456789", "1e400"] {
            let changed = patch.change(format!(r#"{{"n":{lost}}}"#).as_bytes());
            assert!(changed.is_err(), "{lost}: {changed:?}");
        }
    }
}
