//! A file as the rules see it: with and without its comments and strings.

use crate::Violation;

/// A file's path and text. The views have the same bytes at the same offsets: what they leave out
/// is blanked.
pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Without comments.
    pub uncommented: String,
    /// Without comments, strings and character literals.
    pub code: String,
    /// Byte ranges of `#[cfg(test)]` items.
    tests: Vec<std::ops::Range<usize>>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (uncommented, code) = if has_extension(path, "rs") {
            let spans = spans(text.as_bytes());
            let uncommented = blank(text, spans.iter().filter(|span| span.kind == Kind::Comment));
            let code = blank(text, spans.iter());
            (uncommented, code)
        } else {
            (text.to_owned(), text.to_owned())
        };
        let tests = test_items(&code);
        Self { path: path.to_owned(), text: text.to_owned(), uncommented, code, tests }
    }

    pub fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether the byte belongs to a test: the file is one, or an item of it around that byte.
    pub fn is_test_at(&self, offset: usize) -> bool {
        let in_file = self.path.split('/').any(|part| part == "tests" || part == "tests.rs");
        in_file || self.tests.iter().any(|range| range.contains(&offset))
    }

    /// A violation at that byte.
    pub fn violation(&self, offset: usize, cure: impl Into<String>) -> Violation {
        let line = self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        Violation { path: self.path.clone(), line, cure: cure.into() }
    }
}

/// Whether the path ends in `.{extension}`.
pub fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

/// Offsets at which `word` stands in `text` with no letter, digit or underscore on either side
/// (where the word itself begins or ends with one).
pub fn words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = text.as_bytes();
        let end = at + word.len();
        let joined_before = at > 0 && is_part(bytes[at - 1]) && is_part(bytes[at]);
        let joined_after = end < bytes.len() && is_part(bytes[end]) && is_part(bytes[end - 1]);
        !joined_before && !joined_after
    })
}

/// The offset of the brace that closes the one at `open`; the end of the text when none does.
pub fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return offset;
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut items = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        // `mod tests;` has its tests in a file of that name.
        if let Some(open) = code[start..].find(['{', ';']).map(|found| start + found)
            && code.as_bytes()[open] == b'{'
        {
            items.push(start..closing_brace(code, open) + 1);
        }
    }
    items
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    Literal,
}

struct Span {
    kind: Kind,
    start: usize,
    end: usize,
}

/// The text with those spans as spaces; line ends stay, so that offsets and lines agree.
fn blank<'s>(text: &str, spans: impl Iterator<Item = &'s Span>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        for byte in &mut bytes[span.start..span.end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).expect("spans begin and end between characters")
}

/// The comments and literals of Rust code.
fn spans(text: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, end) = match (text[at], text.get(at + 1)) {
            (b'/', Some(b'/')) => (Kind::Comment, line_end(text, at)),
            (b'/', Some(b'*')) => (Kind::Comment, block_comment_end(text, at)),
            (b'"', _) => (Kind::Literal, quoted_end(text, at, b'"')),
            (b'r', Some(b'"' | b'#')) => match raw_string_end(text, at) {
                Some(end) => (Kind::Literal, end),
                None => (Kind::Literal, at),
            },
            (b'\'', Some(b'\\')) => (Kind::Literal, quoted_end(text, at, b'\'')),
            (b'\'', Some(_)) => (Kind::Literal, character_end(text, at)),
            _ => (Kind::Literal, at),
        };
        if end > at {
            spans.push(Span { kind, start: at, end });
        }
        at = end.max(at + 1);
    }
    spans
}

fn line_end(text: &[u8], start: usize) -> usize {
    text[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |found| start + found)
}

fn block_comment_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at + 1 < text.len() {
        match (text[at], text[at + 1]) {
            (b'/', b'*') => depth += 1,
            (b'*', b'/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The end of `r"…"` or `r#"…"#`; `None` for an identifier such as `r#type` or one that ends in r.
fn raw_string_end(text: &[u8], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).map(|before| text[before]);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if before.is_some_and(|byte| is_name(byte) && byte != b'b' && byte != b'c') {
        return None;
    }
    let hashes = text[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if text.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &text[open + 1..];
    let found = body.windows(close.len()).position(|window| window == close);
    Some(found.map_or(text.len(), |found| open + 1 + found + close.len()))
}

/// The end of a character literal; `start` itself for a lifetime.
fn character_end(text: &[u8], start: usize) -> usize {
    // A character has at most four bytes, and a lifetime has no quote behind it.
    let close = (start + 2..=start + 5).find(|at| text.get(*at) == Some(&b'\''));
    match close {
        Some(close) if std::str::from_utf8(&text[start + 1..close]).is_ok_and(is_one_character) => {
            close + 1
        }
        _ => start,
    }
}

fn is_one_character(text: &str) -> bool {
    text.chars().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_lines_stay() {
        let text = "let a = \"x // y\"; // unsafe\nlet b = r#\"un\"safe\"#; /* a /* b */ c */ end";
        let source = Source::new("a.rs", text);
        assert!(!source.code.contains("unsafe") && !source.code.contains("safe"));
        assert!(source.uncommented.contains("x // y") && !source.uncommented.contains("unsafe"));
        assert!(source.code.ends_with("end"));
        assert_eq!(source.code.len(), text.len());
        assert_eq!(source.code.lines().count(), 2);
    }

    #[test]
    fn characters_are_literals_and_lifetimes_are_code() {
        let source = Source::new("a.rs", "fn f<'a>(c: &'a str) { c != '{' && c != '\\'' && 'é' }");
        assert_eq!(source.code.matches('{').count(), 1);
        assert_eq!(source.code.matches("'a").count(), 2);
        assert!(source.code.ends_with('}'));
    }

    #[test]
    fn an_item_for_tests_is_known_as_such() {
        let source =
            Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}");
        let at = |name: &str| source.text.find(name).expect("it is in the text");
        assert!(!source.is_test_at(at("a()")) && source.is_test_at(at("b()")));
        assert!(!source.is_test_at(at("c()")));
    }

    #[test]
    fn a_word_is_not_part_of_another() {
        let text = "librdkafka rdkafka::x rdkafka_sys";
        assert_eq!(words(text, "rdkafka").collect::<Vec<_>>(), [11]);
    }
}
