//! Which dead letters are meant. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Found, Scope};

/// What a dead letter must be like. Of each kind one of what is given; nothing given leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Their ids.
    pub ids: Vec<Uuid>,
    /// Original topics.
    pub topics: Vec<String>,
    /// Consumer groups that could not handle them.
    pub groups: Vec<String>,
    /// Services of those groups.
    pub services: Vec<String>,
    /// Tenants.
    pub tenants: Vec<String>,
    /// Names of events.
    pub events: Vec<String>,
    /// Reasons.
    pub reasons: Vec<String>,
    /// Fingerprints of failures.
    pub fingerprints: Vec<String>,
    /// States by their names.
    pub states: Vec<String>,
    /// Not those that failed before.
    pub since: Option<Timestamp>,
    /// Only those that failed before.
    pub until: Option<Timestamp>,
    /// A part of the error's text, of its kind, of the key or of an id, in any case of letters.
    pub text: Option<String>,
    /// What must be true of the event, in CEL. It takes the record, which no index has: whoever can read it judges, and
    /// puts [`Self::ids`] in its place. Until then nothing is meant.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// The list of this request, which an ops store has.
    #[serde(skip)]
    pub request: Option<Uuid>,
    /// Whose dead letters may be meant at all: not for those to say who ask.
    #[serde(skip)]
    pub scope: Scope,
}

impl Filter {
    /// Whether it is meant.
    #[must_use]
    pub fn matches(&self, found: &Found) -> bool {
        let letter = &found.letter;
        let one_of = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|one| one == value))
        };
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && one_of(&self.topics, Some(letter.topic.as_str()))
            && one_of(&self.groups, Some(letter.group.as_str()))
            && one_of(&self.services, Some(&letter.service))
            && one_of(&self.tenants, letter.tenant.as_deref())
            && one_of(&self.events, letter.event.as_deref())
            && one_of(&self.reasons, Some(&letter.reason))
            && one_of(&self.fingerprints, Some(&letter.fingerprint))
            && one_of(&self.states, Some(found.state.as_str()))
            && self.since.is_none_or(|since| letter.failed_at >= since)
            && self.until.is_none_or(|until| letter.failed_at < until)
            && self.text.as_deref().is_none_or(|text| carries(found, &text.to_lowercase()))
            && self.condition.is_none()
            && self.request.is_none()
            && self.scope.covers(&letter.service, letter.tenant.as_deref())
    }
}

fn carries(found: &Found, text: &str) -> bool {
    let letter = &found.letter;
    let has = |value: &str| value.to_lowercase().contains(text);
    has(&letter.message)
        || has(&letter.error_type)
        || has(&letter.id.to_string())
        || has(&letter.event_id.to_string())
        || letter.key.as_deref().is_some_and(|key| has(&String::from_utf8_lossy(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::letter::tests::dead;
    use crate::dead_letters::{Letter, State};

    #[test]
    fn each_kind_of_condition_can_leave_a_letter_out() {
        let letter = Letter::read(&dead(7, "No money", "2026-01-02T00:00:00Z")).unwrap();
        let found = Found { letter, state: State::Open };
        let list = |value: &str| vec!["other".to_owned(), value.to_owned()];
        let at = |time: &str| Some(time.parse().unwrap());
        let good = Filter {
            ids: vec![found.letter.id],
            topics: list("shop.order.placed"),
            groups: list("shop-payment-order-placed"),
            services: list("payment"),
            tenants: list("acme"),
            events: list("OrderPlaced"),
            reasons: list("retries-exhausted"),
            fingerprints: list(&found.letter.fingerprint),
            states: list("open"),
            since: at("2026-01-02T00:00:00Z"),
            until: at("2026-01-02T00:00:01Z"),
            text: Some("no MONEY".to_owned()),
            condition: None,
            request: None,
            scope: Scope::of(&list("payment"), &list("acme")),
        };
        assert!(good.matches(&found) && Filter::default().matches(&found));
        let none = || vec!["none".to_owned()];
        let bad: [Filter; 14] = [
            Filter { scope: Scope::of(&[], &none()), ..good.clone() },
            Filter { condition: Some("true".to_owned()), ..good.clone() },
            Filter { ids: vec![Uuid::from_u128(1)], ..good.clone() },
            Filter { topics: none(), ..good.clone() },
            Filter { groups: none(), ..good.clone() },
            Filter { services: none(), ..good.clone() },
            Filter { tenants: none(), ..good.clone() },
            Filter { events: none(), ..good.clone() },
            Filter { reasons: none(), ..good.clone() },
            Filter { fingerprints: none(), ..good.clone() },
            Filter { states: none(), ..good.clone() },
            Filter { since: at("2026-01-02T00:00:01Z"), ..good.clone() },
            Filter { until: at("2026-01-02T00:00:00Z"), ..good.clone() },
            Filter { text: Some("lots".to_owned()), ..good.clone() },
        ];
        for filter in bad {
            assert!(!filter.matches(&found), "{filter:?}");
        }
        for text in ["declined", "ACME/O-1", "0197f3b4-7c1e"] {
            assert!(
                Filter { text: Some(text.to_owned()), ..good.clone() }.matches(&found),
                "{text}"
            );
        }
    }
}
