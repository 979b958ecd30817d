//! A JSON text in which some values are others, and all else stays byte for byte. Pure.

use serde::de::IgnoredAny;

/// What is asked of each value, by the names and numbers that lead to it and by its text: what stands there instead.
pub(super) type Change<'a, 'c> = dyn FnMut(&[String], &'a str) -> Option<String> + 'c;

/// Whether it is JSON, nested no deeper than can be walked.
pub(super) fn is_json(text: &str) -> bool {
    // This has a bound for nesting.
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Writes a text that [`is_json`] anew. Each value is asked about before those in it, which are not asked about once it is
/// changed.
pub(super) fn rewritten<'a>(json: &'a str, change: &mut Change<'a, '_>) -> String {
    let mut writer = Writer { json, at: 0, copied: 0, written: String::new(), change };
    writer.value(&mut Vec::new());
    writer.written.push_str(&json[writer.copied..]);
    writer.written
}

struct Writer<'a, 'c, 'f> {
    json: &'a str,
    at: usize,
    /// Up to here it is written.
    copied: usize,
    written: String,
    change: &'c mut Change<'a, 'f>,
}

impl<'a> Writer<'a, '_, '_> {
    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        let bytes = self.json.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn value(&mut self, place: &mut Vec<String>) {
        let Some(first) = self.next() else { return };
        let end = end_of(self.json.as_bytes(), self.at);
        let text: &'a str = &self.json[self.at..end];
        if let Some(new) = (self.change)(place, text) {
            self.written.push_str(&self.json[self.copied..self.at]);
            self.written.push_str(&new);
            (self.at, self.copied) = (end, end);
            return;
        }
        if first != b'{' && first != b'[' {
            self.at = end;
            return;
        }
        self.at += 1;
        for nth in 0_usize.. {
            match self.next() {
                None => return,
                Some(b'}' | b']') => {
                    self.at += 1;
                    return;
                }
                Some(_) => {}
            }
            place.push(if first == b'{' { self.name() } else { nth.to_string() });
            self.value(place);
            place.pop();
            if self.next() == Some(b',') {
                self.at += 1;
            }
        }
    }

    /// The name of a field, and on to its value.
    fn name(&mut self) -> String {
        let end = end_of(self.json.as_bytes(), self.at);
        let name = serde_json::from_str(&self.json[self.at..end]).unwrap_or_default();
        self.at = end;
        self.next();
        // The colon.
        self.at = self.json.len().min(self.at + 1);
        name
    }
}

/// Where the value ends that begins here.
fn end_of(json: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' => (at, depth) = (at + 1, depth.saturating_sub(1)),
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:}]".contains(byte);
                let rest = json[at..].iter().position(ends);
                return rest.map_or(json.len(), |rest| at + rest);
            }
        }
        if depth == 0 {
            return at;
        }
    }
    json.len()
}

fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let json = "{ \"a\" :1.10, \"b~/\": [ true,{}, [],\"x\\\"}\\\\\" ],\n\"c\":{\"n\":null}} ";
        assert!(is_json(json));
        assert_eq!(rewritten(json, &mut |_, _| None), json);
        let mut seen = Vec::new();
        let written = rewritten(json, &mut |place, text| {
            seen.push(format!("{}={text}", place.join("|")));
            match place.join("|").as_str() {
                "b~/|3" | "c" => Some("7".to_owned()),
                _ => None,
            }
        });
        assert_eq!(written, "{ \"a\" :1.10, \"b~/\": [ true,{}, [],7 ],\n\"c\":7} ");
        assert!(seen.contains(&"b~/|3=\"x\\\"}\\\\\"".to_owned()), "{seen:?}");
        assert!(
            seen.contains(&"a=1.10".to_owned()) && !seen.iter().any(|one| one.starts_with("c|"))
        );
        assert_eq!(rewritten(" 7 ", &mut |_, _| Some("8".to_owned())), " 8 ");
    }

    #[test]
    fn names_are_read_whichever_way_they_are_written() {
        let json = "{\"p\\u0061y\":1,\"pay\":2}";
        let hide = &mut |place: &[String], _: &str| (place == ["pay"]).then(|| "0".to_owned());
        assert_eq!(rewritten(json, hide), "{\"p\\u0061y\":0,\"pay\":0}");
    }
}
