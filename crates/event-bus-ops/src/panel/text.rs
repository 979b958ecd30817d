//! What others wrote, as text that can't be taken for anything else; and times. Pure.

use std::fmt::{self, Display, Write as _};

use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// So many characters of a text stand in a table.
const SHORT: usize = 160;

/// Characters that are not seen, or that have others be seen elsewhere than where they stand.
fn hides(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text of others in which each character is seen; `kept` are those that may stay.
fn visible(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if hides(character) && !kept.contains(&character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// In a line.
pub(super) fn line(text: &str) -> String {
    visible(text, &[])
}

/// In a line that ends where a table has no more room.
pub(super) fn short(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHORT).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    line(&shown)
}

/// In several lines.
pub(super) fn block(text: &str) -> String {
    visible(text, &['\n', '\t'])
}

/// The same for templates, which escape what comes out.
pub(super) mod filters {
    use std::fmt::Display;

    #[askama::filter_fn]
    pub(crate) fn line(text: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::line(&text.to_string()))
    }

    #[askama::filter_fn]
    pub(crate) fn count(number: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::grouped(&number.to_string()))
    }

    #[askama::filter_fn]
    pub(crate) fn short(text: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::short(&text.to_string()))
    }

    #[askama::filter_fn]
    pub(crate) fn block(text: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::block(&text.to_string()))
    }
}

/// When the page is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(pub(super) Timestamp);

impl Clock {
    pub(super) fn now() -> Self {
        Self(Timestamp::now())
    }

    pub(super) fn tell(&self, at: &Timestamp) -> When {
        When { at: *at, now: self.0 }
    }
}

/// A time as an element: how long ago, and exactly.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    at: Timestamp,
    now: Timestamp,
}

/// A time has no characters that mean something in HTML.
impl HtmlSafe for When {}

impl Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, now } = self;
        write!(formatter, "<time datetime=\"{at}\" title=\"{at}\">")?;
        formatter.write_str(&ago(now.as_second() - at.as_second()))?;
        formatter.write_str("</time>")
    }
}

/// So many seconds ago.
pub(super) fn ago(seconds: i64) -> String {
    let (size, unit) = match seconds.unsigned_abs() {
        0..=59 => (1, "s"),
        60..=3_599 => (60, "min"),
        3_600..=172_799 => (3_600, "h"),
        _ => (86_400, "days"),
    };
    let mut text = String::new();
    let count = seconds.unsigned_abs() / size;
    let (before, after) = if seconds < 0 { ("in ", "") } else { ("", " ago") };
    write!(text, "{before}{count} {unit}{after}").expect("writing to a String cannot fail");
    text
}

/// So many events in a second.
pub(super) fn per_second(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.1}/s"),
        rate => format!("{}/s", grouped(&format!("{rate:.0}"))),
    }
}

/// A number with a space between thousands.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_text_around_is_seen() {
        assert_eq!(line("pay\u{202e}gnp.exe"), "pay\\u{202e}gnp.exe");
        assert_eq!(
            line("a\u{200b}b\u{feff}c\u{1b}[31m\nd\u{0}"),
            "a\\u{200b}b\\u{feff}c\\u{1b}[31m\\nd\\u{0}"
        );
        assert_eq!(block("a\n\tb\r"), "a\n\tb\\r");
        assert_eq!(line("Müller 😀 日本 <script>"), "Müller 😀 日本 <script>");
        assert_eq!(short(&"x".repeat(1_000)).chars().count(), SHORT + 1);
        for range in ['\u{2066}'..='\u{2069}', '\u{202a}'..='\u{202e}', '\u{e0020}'..='\u{e007f}'] {
            assert!(range.into_iter().all(hides));
        }
    }

    #[test]
    fn times_are_told_from_now_and_exactly() {
        let at: Timestamp = "2026-01-02T03:04:05.5Z".parse().unwrap();
        let clock = Clock("2026-01-02T03:07:05Z".parse().unwrap());
        let exact = "2026-01-02T03:04:05.5Z";
        let wanted = format!("<time datetime=\"{exact}\" title=\"{exact}\">3 min ago</time>");
        assert_eq!(clock.tell(&at).to_string(), wanted);
        for (seconds, told) in
            [(0, "0 s ago"), (7_200, "2 h ago"), (200_000, "2 days ago"), (-61, "in 1 min")]
        {
            assert_eq!(ago(seconds), told);
        }
    }

    #[test]
    fn a_rate_is_as_exact_as_it_is_read() {
        assert_eq!(
            [0.0, 0.25, 9.94, 1_234.5].map(per_second),
            ["0.0/s", "0.2/s", "9.9/s", "1\u{202f}234/s"]
        );
    }

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
