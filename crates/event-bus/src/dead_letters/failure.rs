//! Dead letters that look alike: one failure. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Found, State};

/// One failure of one consumer group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What its dead letters share.
    pub fingerprint: String,
    /// The group that fails.
    pub group: String,
    /// Why its events are dead.
    pub reason: String,
    /// The kind of the error.
    pub error_type: String,
    /// The error's text in the latest of them.
    pub message: String,
    /// All of them.
    pub letters: u64,
    /// Those about which somebody has to decide.
    pub open: u64,
    /// When the first of them failed.
    pub first_seen: Timestamp,
    /// When the latest did.
    pub last_seen: Timestamp,
    /// Whose events they are.
    pub tenants: BTreeSet<String>,
    /// The versions of their payloads.
    pub versions: BTreeSet<String>,
    /// Whether it came back: one of them was resolved before an open one failed.
    pub is_regressed: bool,
}

/// The failures, those with most open dead letters first.
#[must_use]
pub fn failures<'a>(letters: impl IntoIterator<Item = &'a Found>) -> Vec<Failure> {
    let mut groups: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in letters {
        groups.entry(&found.letter.fingerprint).or_default().push(found);
    }
    let mut failures: Vec<Failure> =
        groups.into_values().filter_map(|letters| of(&letters)).collect();
    Failure::sort(&mut failures);
    failures
}

impl Failure {
    /// Those with most open dead letters first, and the latest among those with as many.
    pub(crate) fn sort(failures: &mut [Self]) {
        failures.sort_by_key(|failure| (Reverse(failure.open), Reverse(failure.last_seen)));
    }

    /// Takes in other dead letters of the same failure.
    pub(crate) fn join(&mut self, other: Self) {
        if other.last_seen > self.last_seen {
            (self.last_seen, self.reason, self.group) =
                (other.last_seen, other.reason, other.group);
        }
        self.letters += other.letters;
        self.open += other.open;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.tenants.extend(other.tenants);
        self.versions.extend(other.versions);
    }
}

fn of(letters: &[&Found]) -> Option<Failure> {
    let latest = &letters.iter().max_by_key(|found| found.letter.failed_at)?.letter;
    let open = || letters.iter().filter(|found| found.state == State::Open);
    let resolved = letters.iter().filter_map(|found| match found.state {
        State::Resolved { at } => Some(at),
        _ => None,
    });
    let first_resolved = resolved.min();
    Some(Failure {
        fingerprint: latest.fingerprint.clone(),
        group: latest.group.to_string(),
        reason: latest.reason.clone(),
        error_type: latest.error_type.clone(),
        message: latest.message.clone(),
        letters: letters.len() as u64,
        open: open().count() as u64,
        first_seen: letters.iter().map(|found| found.letter.first_failed_at).min()?,
        last_seen: latest.failed_at,
        tenants: letters.iter().filter_map(|found| found.letter.tenant.clone()).collect(),
        versions: letters.iter().filter_map(|found| found.letter.version.clone()).collect(),
        is_regressed: first_resolved
            .is_some_and(|resolved| open().any(|found| found.letter.failed_at > resolved)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::Letter;
    use crate::dead_letters::letter::tests::dead;

    fn found(offset: i64, message: &str, failed_at: &str, state: State) -> Found {
        Found { letter: Letter::read(&dead(offset, message, failed_at)).unwrap(), state }
    }

    #[test]
    fn letters_that_differ_in_numbers_only_are_one_failure() {
        let resolved = State::Resolved { at: "2026-01-03T00:00:00Z".parse().unwrap() };
        let letters = [
            found(1, "order 17 is lost", "2026-01-02T00:00:00Z", resolved),
            found(2, "no money", "2026-01-02T00:00:00Z", State::Open),
            found(3, "order 18 is lost", "2026-01-04T00:00:00Z", State::Open),
            found(4, "order 19 is lost", "2026-01-05T00:00:00Z", State::Open),
        ];
        let failures = failures(&letters);
        assert_eq!(failures.len(), 2);
        let [lost, money] = &failures[..] else { panic!() };
        assert_eq!((lost.letters, lost.open, lost.is_regressed), (3, 2, true));
        assert_eq!(lost.message, "order 19 is lost");
        assert_eq!(lost.first_seen, "2026-01-02T00:00:00Z".parse().unwrap());
        assert_eq!((money.letters, money.open, money.is_regressed), (1, 1, false));
        assert_eq!(lost.tenants, ["acme".to_owned()].into());
    }
}
