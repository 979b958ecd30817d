//! Which series an expression of PromQL names: as much of the language as that takes.

use std::collections::BTreeSet;

/// Words of the language that stand where a series could.
const WORDS: [&str; 5] = ["and", "bool", "offset", "or", "unless"];
/// Words before a list of labels.
const LISTS: [&str; 6] = ["by", "group_left", "group_right", "ignoring", "on", "without"];

/// The names of all series in an expression. What is in quotes, braces or brackets is none, nor is a function.
pub fn series(expr: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expr;
    while let Some(first) = rest.chars().next() {
        if is_of_name(first) || first == '$' {
            let end = rest.find(|c| !is_of_name(c) && c != '$').unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            let behind = behind.trim_start();
            rest = behind;
            if LISTS.contains(&word) {
                rest = behind
                    .strip_prefix('(')
                    .and_then(|list| list.split_once(')'))
                    .map_or(behind, |(_, rest)| rest);
            } else if first.is_ascii_alphabetic()
                && !behind.starts_with('(')
                && !WORDS.contains(&word)
            {
                // An aggregation may have its labels before what it aggregates: `sum by (a) (…)`.
                let is_aggregation = LISTS.iter().any(|list| behind.starts_with(list));
                let is_duration = word.chars().next().is_some_and(|c| c.is_ascii_digit());
                if !is_aggregation && !is_duration {
                    found.insert(word.to_owned());
                }
            }
            continue;
        }
        let close = match first {
            '"' => '"',
            '{' => '}',
            '[' => ']',
            _ => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        rest = within(&rest[1..], close);
    }
    found
}

/// What is behind the next `close` that is not in quotes.
fn within(text: &str, close: char) -> &str {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        if character == close && (close == '"' || !quoted) {
            return &text[at + 1..];
        }
        if character == '"' {
            quoted = !quoted;
        }
    }
    ""
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == ':'
}

#[test]
fn series_are_told_from_functions_labels_and_words() {
    let named = |expr| series(expr).into_iter().collect::<Vec<_>>();
    assert_eq!(
        named("a > 1 or (b_total{x=\"c}\", y=~\"d|e\"} > 8 and on (f, g) h:i)"),
        ["a", "b_total", "h:i"]
    );
    assert_eq!(named("sum by (topic) (rate(a{b=\"$c\"}[$__rate_interval] offset 10m)) / 2"), ["a"]);
    assert_eq!(named("histogram_quantile(0.95, sum(rate(a_bucket[5m])) by (le))"), ["a_bucket"]);
    assert_eq!(named("a * on (b) group_left (c) d unless ignoring (e) f"), ["a", "d", "f"]);
    assert_eq!(named("time() - max(a) > 60"), ["a"]);
}
