//! Which dead letters a page is about, as its address says it.

use std::borrow::Borrow;

use event_bus::dead_letters::Filter;
use uuid::Uuid;

use super::page::Refusal;
use crate::api::pairs;
use crate::api::query::Query;

/// The address of the list.
pub(super) const LIST: &str = "/events/dead-letters/list";

/// A form says so of which dead letters are chosen.
const CHOSEN: &str = "chosen";

/// Names and values as an address or a form has them.
pub(super) fn encoded<N: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = impl Borrow<(N, V)>>,
) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A filter as an address has it.
pub(super) fn of(filter: &Filter) -> String {
    encoded(pairs(filter))
}

/// What a form says that was made from a filter. A field that somebody left empty says nothing. In a form of which some are
/// chosen, none is meant where none was.
pub(super) fn read(mut pairs: Vec<(String, String)>) -> Result<Query, Refusal> {
    let is_choice = pairs.iter().any(|(name, _)| name == CHOSEN);
    pairs.retain(|(name, value)| name != CHOSEN && !value.is_empty());
    if is_choice && !pairs.iter().any(|(name, _)| name == "id") {
        // Nothing has it.
        pairs.push(("id".to_owned(), Uuid::nil().to_string()));
    }
    Ok(Query::of(pairs)?)
}

/// What a hidden field says that holds an address's query.
pub(super) fn parse(text: &str) -> Result<Filter, Refusal> {
    Ok(read(form_urlencoded::parse(text.as_bytes()).into_owned().collect())?.filter)
}

/// Where to go on to after signing in: a page of ours, and nothing else that looks like one.
pub(super) fn local(text: &str) -> &str {
    let is_path = text.starts_with('/') && !text[1..].starts_with(['/', '\\']);
    if is_path && text.bytes().all(|byte| byte.is_ascii_graphic()) { text } else { super::HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_goes_through_a_hidden_field() {
        let filter = Filter {
            tenants: vec!["a&b=c".to_owned(), "ü".to_owned()],
            text: Some("<b> 100 %".to_owned()),
            ..Filter::default()
        };
        assert!(parse(&of(&filter)).is_ok_and(|read| read == filter));
        assert!(parse("tenant=&text=").is_ok_and(|read| read == Filter::default()));
        assert!(parse("colour=red").is_err());
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(local("/events/replays?x=1"), "/events/replays?x=1");
        for text in ["", "//evil", "/\\evil", "https://evil", "/a\r\nb", "evil", "/ä"] {
            assert_eq!(local(text), crate::panel::HOME, "{text}");
        }
    }
}
