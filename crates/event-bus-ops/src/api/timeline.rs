//! The way of an order or of an event over all topics.

use axum::extract::{Query as RawQuery, State};
use axum::{Extension, Json};

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{AskedWay, Desk, DeskError, Timeline};

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Timeline>, ApiError> {
    Ok(Json(desk.timeline(&actor, &AskedWay::of(pairs)?).await?))
}

impl AskedWay {
    /// What a query asks for.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Result<Self, DeskError> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let bad = |why: &str| DeskError::Unclear(format!("{name}={value}: {why}"));
            match name.as_str() {
                "value" => asked.value = value,
                "as" if value == "key" => asked.is_key = true,
                "as" if value == "id" => asked.is_key = false,
                "as" => return Err(bad("want id or key")),
                "event" => asked.event = Some(value),
                "since" => asked.since = Some(value.parse().map_err(|_| bad("want a time"))?),
                "until" => asked.until = Some(value.parse().map_err(|_| bad("want a time"))?),
                _ => return Err(bad("no such condition")),
            }
        }
        Ok(asked)
    }

    /// The query that asks for it.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("value", self.value.clone())];
        pairs.extend(self.is_key.then(|| ("as", "key".to_owned())));
        pairs.extend(self.event.clone().map(|event| ("event", event)));
        pairs.extend(self.since.map(|since| ("since", since.to_string())));
        pairs.extend(self.until.map(|until| ("until", until.to_string())));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_through_its_query() {
        let asked = AskedWay {
            value: "a/b & c".to_owned(),
            is_key: true,
            event: Some("OrderPlaced".to_owned()),
            since: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            until: Some("2026-01-02T04:04:05.5Z".parse().unwrap()),
        };
        let pairs = asked.pairs().into_iter().map(|(name, value)| (name.to_owned(), value));
        assert_eq!(AskedWay::of(pairs.collect()).unwrap(), asked);
        for (name, value) in [("as", "guess"), ("since", "yesterday"), ("colour", "red")] {
            let error = AskedWay::of(vec![(name.to_owned(), value.to_owned())]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{name}={value}")), "{error}");
        }
    }
}
