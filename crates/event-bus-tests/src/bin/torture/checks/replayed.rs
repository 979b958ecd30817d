//! What must hold once everything was consumed again.

use std::collections::BTreeSet;

use super::{Promise, Violation};
use crate::history::History;

/// The ledger and the dead letters are what they were.
pub fn unchanged(before: &History, after: &History) -> Vec<Violation> {
    let broken = |what: String| Violation::of(Promise::SafeReplay, what);
    let mut found = Vec::new();
    if before.bookings != after.bookings {
        let new = after.bookings.iter().find(|booking| !before.bookings.contains(booking));
        found.push(broken(format!(
            "there were {} effects and there are {}; changed: {new:?}",
            before.bookings.len(),
            after.bookings.len()
        )));
    }
    if before.ledger != after.ledger {
        found.push(broken("the ledger's accounts have changed".to_owned()));
    }
    let known: BTreeSet<&str> = before.letters.iter().map(|letter| &*letter.dlq_id).collect();
    for letter in after.letters.iter().filter(|letter| !known.contains(&*letter.dlq_id)) {
        found.push(broken(format!("there is a new dead letter: {letter:?}")));
    }
    found
}
