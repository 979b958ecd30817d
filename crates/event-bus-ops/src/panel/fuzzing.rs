//! What fuzzers try of the panel.

use event_bus::dead_letters::Filter;

use super::pretty;
use super::query::{of, parse};
use super::text::{block, line};

/// The filter that a query says, if it says one.
///
/// # Panics
/// When its own query says another one.
pub(crate) fn comes_back(query: &str) -> Option<Filter> {
    let filter = parse(query).ok()?;
    let again = parse(&of(&filter)).unwrap_or_else(|_| panic!("{:?} is refused", of(&filter)));
    assert_eq!(again, filter);
    Some(filter)
}

/// Shows a text on a line, in a block and as JSON.
///
/// # Panics
/// When a character is shown that hides itself or others, or a line of JSON has lost something.
pub(crate) fn shown(text: &str) {
    for (shown, kept) in [(line(text), &[][..]), (block(text), &['\n', '\t'][..])] {
        let hides = |found: &char| found.is_control() && !kept.contains(found);
        assert_eq!(shown.chars().find(hides), None, "{shown:?}");
    }
    if let Some(lines) = pretty::lines(text) {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        let shown: String = lines.iter().map(|line| bare(&line.text)).collect();
        assert_eq!(shown, bare(text));
    }
}
