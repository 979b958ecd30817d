//! A JSON text in lines, with its tokens as they are: no number and no escape changes. Pure.

use serde::de::IgnoredAny;

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its text, with what it is indented by.
    pub(super) text: String,
    /// Which value begins in it, as a JSON pointer.
    pub(super) pointer: Option<String>,
}

/// So much is one level indented.
const INDENT: &str = "  ";

/// The lines of a JSON text; `None` where it is none.
pub(super) fn lines(json: &str) -> Option<Vec<Line>> {
    // This has a bound for nesting, and so the recursion below has one.
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let mut pretty = Pretty { rest: json.trim_start(), lines: Vec::new(), depth: 0 };
    pretty.begin(Some(String::new()));
    pretty.value(&mut String::new());
    Some(pretty.lines)
}

/// The JSON text without what stands between its tokens; `None` where it is none.
pub(super) fn compact(json: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let (mut text, mut rest) = (String::with_capacity(json.len()), json.trim_start());
    while let Some((token, behind)) = token(rest) {
        text.push_str(token);
        rest = behind.trim_start();
    }
    Some(text)
}

struct Pretty<'a> {
    rest: &'a str,
    lines: Vec<Line>,
    depth: usize,
}

impl<'a> Pretty<'a> {
    fn begin(&mut self, pointer: Option<String>) {
        self.lines.push(Line { text: INDENT.repeat(self.depth), pointer });
    }

    fn push(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.text.push_str(text);
        }
    }

    /// The next token; what follows it begins with another.
    fn next(&mut self) -> &'a str {
        let (token, rest) = token(self.rest).unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        token
    }

    fn value(&mut self, pointer: &mut String) {
        let first = self.next();
        self.push(first);
        let end = match first {
            "{" => "}",
            "[" => "]",
            _ => return,
        };
        if self.rest.starts_with(end) {
            let end = self.next();
            return self.push(end);
        }
        self.depth += 1;
        let length = pointer.len();
        for nth in 0_usize.. {
            pointer.truncate(length);
            let key = (end == "}").then(|| self.next());
            match key {
                Some(key) => {
                    let name: String = serde_json::from_str(key).unwrap_or_default();
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.next();
                    self.begin(Some(pointer.clone()));
                    self.push(key);
                    self.push(": ");
                }
                None => {
                    pointer.push_str(&format!("/{nth}"));
                    self.begin(Some(pointer.clone()));
                }
            }
            self.value(pointer);
            let separator = self.next();
            if separator != "," {
                break;
            }
            self.push(separator);
        }
        pointer.truncate(length);
        self.depth -= 1;
        self.begin(None);
        self.push(end);
    }
}

/// The first token of a valid JSON text, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let end = match first {
        '"' => {
            let mut is_escaped = false;
            let close = text.char_indices().skip(1).find(|(_, character)| {
                let closes = *character == '"' && !is_escaped;
                is_escaped = *character == '\\' && !is_escaped;
                closes
            });
            close?.0 + 1
        }
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        _ => text.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(text.len()),
    };
    text.split_at_checked(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_and_each_line_says_which_value_begins_in_it() {
        let json = "{\"a\":1.10,\"b~/\" : [ true,{}, [],\"x\\\"}\\\\\" ],\n\"a\":{\"n\":null}}";
        let told: Vec<(String, Option<String>)> =
            lines(json).unwrap().into_iter().map(|line| (line.text, line.pointer)).collect();
        let line =
            |text: &str, pointer: Option<&str>| (text.to_owned(), pointer.map(str::to_owned));
        assert_eq!(
            told,
            [
                line("{", Some("")),
                line("  \"a\": 1.10,", Some("/a")),
                line("  \"b~/\": [", Some("/b~0~1")),
                line("    true,", Some("/b~0~1/0")),
                line("    {},", Some("/b~0~1/1")),
                line("    [],", Some("/b~0~1/2")),
                line("    \"x\\\"}\\\\\"", Some("/b~0~1/3")),
                line("  ],", None),
                line("  \"a\": {", Some("/a")),
                line("    \"n\": null", Some("/a/n")),
                line("  }", None),
                line("}", None),
            ]
        );
        assert_eq!(
            compact(json).unwrap(),
            "{\"a\":1.10,\"b~/\":[true,{},[],\"x\\\"}\\\\\"],\"a\":{\"n\":null}}"
        );
    }

    #[test]
    fn spaces_in_texts_stay() {
        let json = "{\"a: b\":\"  c: d , \",\"e\":[\"f: g\"]}";
        assert_eq!(compact(json).unwrap(), json);
        assert_eq!(compact(" 7 ").unwrap(), "7");
    }

    #[test]
    fn what_is_no_json_or_too_deep_has_no_lines() {
        for text in ["", "{", "{\"a\":}", "nul", &"[".repeat(100_000)] {
            assert_eq!(lines(text), None);
        }
    }
}
