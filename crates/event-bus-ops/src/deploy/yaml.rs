//! YAML as far as files for Prometheus and Kubernetes need it: maps in their order, lists, texts, numbers.
//!
//! It only writes. A text is plain where no parser can take it for something else, a block where it has lines, and
//! else in double quotes with JSON's escapes, which are YAML's too.

use std::fmt::Write as _;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// A text, whatever is in it.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Yes or no.
    Is(bool),
    /// One after the other.
    List(Vec<Yaml>),
    /// Keys with their values, in this order.
    Map(Vec<(String, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Yaml {
        Yaml::Text(text)
    }
}

impl From<i32> for Yaml {
    fn from(number: i32) -> Yaml {
        Yaml::Whole(number.into())
    }
}

impl From<bool> for Yaml {
    fn from(is: bool) -> Yaml {
        Yaml::Is(is)
    }
}

impl Yaml {
    /// A map of these.
    pub fn map<const N: usize>(fields: [(&str, Yaml); N]) -> Yaml {
        Yaml::Map(fields.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// A list of these.
    pub fn list(items: impl IntoIterator<Item = impl Into<Yaml>>) -> Yaml {
        Yaml::List(items.into_iter().map(Into::into).collect())
    }

    /// The document as a file has it.
    #[must_use]
    pub fn document(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text
    }

    /// Writes what follows `key:` or `-`, with the line's end.
    fn write_value(&self, depth: usize, out: &mut String) {
        match self {
            Yaml::List(items) if items.is_empty() => out.push_str(" []\n"),
            Yaml::Map(fields) if fields.is_empty() => out.push_str(" {}\n"),
            Yaml::List(_) | Yaml::Map(_) => {
                out.push('\n');
                self.write(depth, out);
            }
            Yaml::Text(text) if is_block(text) => {
                out.push_str(" |-\n");
                for line in text.lines() {
                    let indent = if line.is_empty() { 0 } else { depth * 2 };
                    writeln!(out, "{:indent$}{line}", "").expect("writing to a String cannot fail");
                }
            }
            Yaml::Text(text) => {
                out.push(' ');
                write_text(text, out);
                out.push('\n');
            }
            Yaml::Whole(number) => {
                writeln!(out, " {number}").expect("writing to a String cannot fail");
            }
            Yaml::Is(is) => writeln!(out, " {is}").expect("writing to a String cannot fail"),
        }
    }

    /// Writes the lines of a list or a map.
    fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        match self {
            Yaml::Map(fields) => {
                for (key, value) in fields {
                    out.push_str(&indent);
                    write_text(key, out);
                    out.push(':');
                    value.write_value(depth + 1, out);
                }
            }
            Yaml::List(items) => {
                for item in items {
                    out.push_str(&indent);
                    out.push('-');
                    match item {
                        // Its first line stands behind the hyphen, in place of the indentation.
                        Yaml::Map(fields) if !fields.is_empty() => {
                            let mut lines = String::new();
                            item.write(depth + 1, &mut lines);
                            out.push(' ');
                            out.push_str(lines.trim_start_matches(' '));
                        }
                        item => item.write_value(depth + 1, out),
                    }
                }
            }
            scalar => scalar.write_value(depth, out),
        }
    }
}

/// Whether lines can stand as they are: no blank at an end or at the beginning, nothing unseen, no end of line at the end.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with('\n')
        && text.lines().all(|line| !line.ends_with(' ') && !line.chars().any(is_hidden))
}

fn write_text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                write!(out, "\\u{:04x}", u32::from(hidden))
                    .expect("writing to a String cannot fail");
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

/// What YAML does not take as it is, or takes for an end of line. All of these have four digits.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a text without quotes is that text to every parser: words that begin with a letter, and none of those that
/// some version of YAML takes for a boolean, a null or a number.
fn is_plain(text: &str) -> bool {
    const TAKEN: [&str; 12] =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan", "none"];
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./ ".contains(c))
        && !text.ends_with(' ')
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_lists_are_indented_and_keep_their_order() {
        let item =
            |name: &str| Yaml::map([("name", name.into()), ("args", Yaml::list(["a", "b c"]))]);
        let document = Yaml::map([
            ("z", Yaml::List(vec![item("one"), item("two")])),
            ("a", Yaml::map([("empty", Yaml::List(vec![])), ("map", Yaml::Map(vec![]))])),
            ("count", (-7).into()),
            ("is", true.into()),
        ]);
        let expected = "z:\n  - name: one\n    args:\n      - a\n      - b c\n  - name: two\n    args:\n      - a\n      - b c\n\
                        a:\n  empty: []\n  map: {}\ncount: -7\nis: true\n";
        assert_eq!(document.document(), expected);
    }

    #[test]
    fn a_text_is_quoted_wherever_it_could_be_taken_for_something_else() {
        let written = |text: &str| {
            let mut out = String::new();
            write_text(text, &mut out);
            out
        };
        for plain in ["a", "blindstrader.order.placed", "severity", "apps/v1", "two words"] {
            assert_eq!(written(plain), plain);
        }
        for quoted in [
            "",
            "Yes",
            "null",
            "1",
            "1.0",
            "-",
            "a: b",
            "a #b",
            "{{ $value }}",
            "[x]",
            "a ",
            "*a",
            "0x1f",
        ] {
            assert_eq!(written(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(written("say \"x\"\\\u{85}\u{2028}"), r#""say \"x\"\\\u0085\u2028""#);
    }

    #[test]
    fn lines_are_a_block_where_they_can_stand_as_they_are() {
        let document = |text: &str| Yaml::map([("expr", text.into())]).document();
        assert_eq!(
            document("a > 1\n  or\n\nb: \"c\""),
            "expr: |-\n  a > 1\n    or\n\n  b: \"c\"\n"
        );
        assert_eq!(document("a \nb"), "expr: \"a \\nb\"\n");
        assert_eq!(document(" a\nb"), "expr: \" a\\nb\"\n");
        assert_eq!(document("a\n"), "expr: \"a\\n\"\n");
    }
}
