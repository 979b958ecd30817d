//! Which dead letters a request means, as its query says it.

use event_bus::dead_letters::{Filter, State};
use event_bus::store::ops::Place;

use crate::desk::DeskError;

/// So many dead letters are on a page where nobody says otherwise, and so many at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 1_000;

/// What a query asks for.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub filter: Filter,
    pub after: Option<Place>,
    pub limit: u32,
}

impl Query {
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Result<Self, DeskError> {
        let mut query = Self { limit: PAGE, ..Self::default() };
        for (name, value) in pairs {
            // As the index has it, for PostgreSQL's text has no zero.
            let value = value.replace('\0', "\u{fffd}");
            let bad = |why: &str| DeskError::Unclear(format!("{name}={value}: {why}"));
            let filter = &mut query.filter;
            match name.as_str() {
                "id" => filter.ids.push(value.parse().map_err(|_| bad("want a UUID"))?),
                "topic" => filter.topics.push(value),
                "group" => filter.groups.push(value),
                "service" => filter.services.push(value),
                "tenant" => filter.tenants.push(value),
                "event" => filter.events.push(value),
                "reason" => filter.reasons.push(value),
                "fingerprint" => filter.fingerprints.push(value),
                "state" if State::NAMES.contains(&value.as_str()) => filter.states.push(value),
                "state" => return Err(bad("want a state, such as open")),
                "since" => filter.since = Some(value.parse().map_err(|_| bad("want a time"))?),
                "until" => filter.until = Some(value.parse().map_err(|_| bad("want a time"))?),
                "text" => filter.text = Some(value),
                "where" => filter.condition = Some(value),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                    query.limit = limit.ok_or_else(|| bad("want 1 to 1000"))?;
                }
                "after" => {
                    query.after = Some(place(&value).ok_or_else(|| bad("want a page's next"))?);
                }
                _ => return Err(bad("no such condition")),
            }
        }
        Ok(query)
    }
}

pub(super) fn place(text: &str) -> Option<Place> {
    let (failed_at, seq) = text.split_once('-')?;
    Some(Place { failed_at: failed_at.parse().ok()?, seq: seq.parse().ok()? })
}

/// The query that says what a filter says, for those who ask.
#[must_use]
pub fn pairs(filter: &Filter) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<(&'static str, String)> =
        filter.ids.iter().map(|id| ("id", id.to_string())).collect();
    for (name, values) in [
        ("topic", &filter.topics),
        ("group", &filter.groups),
        ("service", &filter.services),
        ("tenant", &filter.tenants),
        ("event", &filter.events),
        ("reason", &filter.reasons),
        ("fingerprint", &filter.fingerprints),
        ("state", &filter.states),
    ] {
        pairs.extend(values.iter().map(|value| (name, value.clone())));
    }
    pairs.extend(filter.since.map(|since| ("since", since.to_string())));
    pairs.extend(filter.until.map(|until| ("until", until.to_string())));
    pairs.extend(filter.text.clone().map(|text| ("text", text)));
    pairs.extend(filter.condition.clone().map(|condition| ("where", condition)));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_goes_through_its_query() {
        let filter = Filter {
            ids: vec!["0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap()],
            topics: vec!["a".to_owned(), "b".to_owned()],
            tenants: vec!["x & y".to_owned()],
            states: vec!["open".to_owned()],
            since: Some("2026-01-02T03:04:05.000006Z".parse().unwrap()),
            text: Some("50 %".to_owned()),
            condition: Some("payload.n == 1 && key != 'a'".to_owned()),
            ..Filter::default()
        };
        let pairs = pairs(&filter).into_iter().map(|(name, value)| (name.to_owned(), value));
        assert_eq!(Query::of(pairs.collect()).unwrap().filter, filter);
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        for (name, value) in [
            ("limit", "0"),
            ("limit", "1001"),
            ("after", "7"),
            ("state", "well"),
            ("colour", "red"),
        ] {
            let error = Query::of(vec![(name.to_owned(), value.to_owned())]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{name}={value}")), "{error}");
        }
    }
}
