//! What must hold of the dead.

use std::collections::{BTreeMap, BTreeSet};

use super::{Promise, Violation};
use crate::bank::ATTEMPTS;
use crate::history::{History, Id, Letter, Published};

/// The letters of each event that has one, each name once.
pub fn ids(history: &History) -> BTreeMap<&Id, Vec<&Letter>> {
    let by_place = by_place(history);
    let mut found: BTreeMap<&Id, Vec<&Letter>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for letter in history.letters.iter().filter(|letter| names.insert(&letter.dlq_id)) {
        if let Some(record) = by_place.get(&(letter.partition, letter.offset)) {
            found.entry(&record.id).or_default().push(letter);
        }
    }
    found
}

fn by_place(history: &History) -> BTreeMap<(i32, i64), &Published> {
    history.published.iter().map(|record| ((record.partition, record.offset), record)).collect()
}

/// The letters are the poison, once each, with the bytes of the originals and no effect.
pub fn exact(history: &History) -> Vec<Violation> {
    let broken = |what: String| Violation::of(Promise::ExactDeadLetters, what);
    let by_place = by_place(history);
    let mut found = Vec::new();
    let mut names: BTreeMap<&str, &Letter> = BTreeMap::new();
    for letter in &history.letters {
        // A relay that dies before it removed its row sends it again; whoever reads dead letters goes by their ids.
        if names.insert(&letter.dlq_id, letter).is_some_and(|other| other != letter) {
            found.push(broken(format!("two dead letters are called {}", letter.dlq_id)));
        }
        match by_place.get(&(letter.partition, letter.offset)) {
            None => found.push(broken(format!("{letter:?} is of no record"))),
            Some(record) if record.bytes != letter.bytes => {
                found.push(broken(format!("the letter of {} has other bytes", record.id)));
            }
            Some(record) if record.dlq_id != letter.dlq_id => {
                found.push(broken(format!(
                    "the letter of {} is called {}",
                    record.id, letter.dlq_id
                )));
            }
            Some(_) => {}
        }
    }
    let dead = ids(history);
    let booked: BTreeSet<&Id> = history.bookings.iter().map(|booking| &booking.id).collect();
    for (key, movement) in history.movements() {
        let letters = dead.get(&movement.id).map_or(&[][..], Vec::as_slice);
        let reasons: Vec<&str> = letters.iter().map(|letter| &*letter.reason).collect();
        let wanted = movement.fate.deaths();
        let is_right = match *reasons {
            [] => wanted.is_empty(),
            [reason] => wanted.contains(&reason),
            _ => false,
        };
        if !is_right {
            found.push(broken(format!(
                "{key} {}: {} died of {reasons:?} and should have of {wanted:?}",
                movement.version, movement.id
            )));
        }
        if !wanted.is_empty() && booked.contains(&movement.id) {
            found.push(broken(format!(
                "{key} {}: {} is to die and has an effect",
                movement.version, movement.id
            )));
        }
    }
    found
}

/// An event ends its process at most as often as it has attempts.
pub fn deaths_are_bounded(history: &History) -> Vec<Violation> {
    let too_often = history.aborts.iter().filter(|(_, times)| **times > ATTEMPTS);
    too_often
        .map(|(id, times)| {
            Violation::of(Promise::BoundedDeaths, format!("{id} ended its process {times} times"))
        })
        .collect()
}
