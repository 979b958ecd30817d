/// Whether arrays and objects in the JSON text stand more than `levels` deep inside each other.
///
/// A scan of the bytes, before any parser sees them: it needs no stack, whatever comes. Text that
/// is not JSON gets some answer, and the parser refuses it after.
pub(super) fn exceeds(json: &[u8], levels: usize) -> bool {
    // Most envelopes have fewer brackets than levels are allowed, and counting is ten times as
    // fast.
    if brackets(json) <= levels {
        return false;
    }
    let mut open = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                open += 1;
                if open > levels {
                    return true;
                }
            }
            b'}' | b']' => open = open.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

/// The opening brackets in the text, those in strings included.
fn brackets(json: &[u8]) -> usize {
    // `[` and `{` differ in this one bit. Counting in bytes lets the compiler look at many of them at once.
    let in_chunk =
        |chunk: &[u8]| -> u8 { chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum() };
    json.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // Whatever is escaped is not the end of the string.
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = "[\\[\\]{}\"\\\\a]{0,8}".prop_map(Value::String);
        leaf.prop_recursive(6, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[\\[{\"\\\\a]{0,4}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_scan_counts_as_a_parser_does_whatever_the_strings_hold(value in json()) {
            let text = value.to_string();
            let depth = depth(&value);
            prop_assert!(!exceeds(text.as_bytes(), depth));
            prop_assert!(depth == 0 || exceeds(text.as_bytes(), depth - 1));
        }
    }
}
