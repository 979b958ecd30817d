//! The promises, as functions of a history. Pure.

mod dead;
mod effects;
mod replayed;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Id};

pub use replayed::unchanged;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// I1: what was committed has its effect or its dead letter.
    NoLoss,
    /// I2: an effect exists once.
    ExactlyOnce,
    /// I3: nothing comes from a transaction that rolled back.
    NoGhosts,
    /// I4: a key's effects are in the order of its transactions.
    Order,
    /// I5: the dead letters are the events that failed, once each, byte for byte.
    ExactDeadLetters,
    /// I6: what is consumed again changes nothing.
    SafeReplay,
    /// The committed offset never passes what is not in the inbox.
    OffsetBehindEffects,
    /// What one account lost another one gained.
    MoneyConserved,
    /// An event that ends its process does so as often as it has attempts.
    BoundedDeaths,
    /// Everything settles once nothing goes wrong any more.
    Settles,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub what: String,
}

impl Violation {
    pub fn of(promise: Promise, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

/// Everything that the history breaks.
pub fn violations(history: &History) -> Vec<Violation> {
    [
        no_ghosts(history),
        no_loss(history),
        effects::once(history),
        effects::in_order(history),
        effects::money_is_conserved(history),
        published_in_order(history),
        dead::exact(history),
        dead::deaths_are_bounded(history),
        offsets_stay_behind(history),
    ]
    .concat()
}

fn known_ids(history: &History) -> BTreeSet<&Id> {
    history.movements().map(|(_, movement)| &movement.id).collect()
}

fn no_ghosts(history: &History) -> Vec<Violation> {
    let known = known_ids(history);
    let published = history.published.iter().map(|record| ("published", &record.id));
    let booked = history.bookings.iter().map(|booking| ("booked", &booking.id));
    let noted = history.ghosts.iter().filter(|id| known.contains(id)).map(|id| {
        Violation::of(
            Promise::NoGhosts,
            format!("{id} was rolled back and is in the bank's history"),
        )
    });
    published
        .chain(booked)
        .filter(|(_, id)| !known.contains(id))
        .map(|(how, id)| {
            let ghost = if history.ghosts.contains(id) {
                "its transaction rolled back"
            } else {
                "no transaction"
            };
            Violation::of(Promise::NoGhosts, format!("{id} was {how}: {ghost}"))
        })
        .chain(noted)
        .collect()
}

fn no_loss(history: &History) -> Vec<Violation> {
    let published: BTreeSet<&Id> = history.published.iter().map(|record| &record.id).collect();
    let booked: BTreeSet<&Id> = history.bookings.iter().map(|booking| &booking.id).collect();
    let dead = dead::ids(history);
    history
        .movements()
        .filter_map(|(key, movement)| {
            let id = &movement.id;
            let missing = if !published.contains(id) {
                "was never published"
            } else if !booked.contains(id) && !dead.contains_key(id) {
                "has neither effect nor dead letter"
            } else {
                return None;
            };
            Some(Violation::of(
                Promise::NoLoss,
                format!("{key} {}: {id} {missing}", movement.version),
            ))
        })
        .collect()
}

/// The first records of a key's events stand in the order of their versions, in one partition.
fn published_in_order(history: &History) -> Vec<Violation> {
    let mut last: BTreeMap<&str, (i32, i64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for record in history.published.iter().filter(|record| seen.insert(&record.id)) {
        let (partition, version) = *last.get(&*record.key).unwrap_or(&(record.partition, 0));
        if partition != record.partition {
            let what =
                format!("{} is in the partitions {partition} and {}", record.key, record.partition);
            found.push(Violation::of(Promise::Order, what));
        }
        if record.previous != version || record.version != version + 1 {
            let what = format!(
                "{}: {} (behind {}) was published behind {version}, at {}/{}",
                record.key, record.version, record.previous, record.partition, record.offset
            );
            found.push(Violation::of(Promise::Order, what));
        }
        last.insert(&record.key, (record.partition, record.version));
    }
    found
}

fn offsets_stay_behind(history: &History) -> Vec<Violation> {
    history
        .samples
        .iter()
        .enumerate()
        .flat_map(|(number, sample)| {
            history.published.iter().filter_map(move |record| {
                let committed = *sample.committed.get(&record.partition)?;
                if record.offset >= committed || sample.inbox.contains(&record.id) {
                    return None;
                }
                let what = format!(
                    "sample {number}: partition {} was committed up to {committed}, and {} at {} was not in the inbox",
                    record.partition, record.id, record.offset
                );
                Some(Violation::of(Promise::OffsetBehindEffects, what))
            })
        })
        .collect()
}
