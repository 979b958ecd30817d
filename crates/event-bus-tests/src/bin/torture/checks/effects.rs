//! What must hold of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::{Promise, Violation, dead};
use crate::history::{Balance, Booking, History, Id};

/// No event has two effects.
pub fn once(history: &History) -> Vec<Violation> {
    let mut times: BTreeMap<&Id, Vec<&Booking>> = BTreeMap::new();
    for booking in &history.bookings {
        times.entry(&booking.id).or_default().push(booking);
    }
    times
        .into_iter()
        .filter(|(_, bookings)| bookings.len() > 1)
        .map(|(id, bookings)| {
            let what = format!(
                "{} {}: {id} took effect {} times",
                bookings[0].key,
                bookings[0].version,
                bookings.len()
            );
            Violation::of(Promise::ExactlyOnce, what)
        })
        .collect()
}

/// The ledger's list of each customer is the bank's, without the dead.
pub fn in_order(history: &History) -> Vec<Violation> {
    let dead = dead::ids(history);
    let mut seen = BTreeSet::new();
    let mut booked: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    // A second effect is told by itself.
    for booking in history.bookings.iter().filter(|booking| seen.insert(&booking.id)) {
        booked.entry(&booking.key).or_default().push(booking.version);
    }
    history
        .source
        .iter()
        .filter_map(|(key, movements)| {
            let booked = booked.remove(&**key).unwrap_or_default();
            let present: BTreeSet<i64> = booked.iter().copied().collect();
            // What is missing is lost, which is told by itself.
            let wanted: Vec<i64> = movements
                .iter()
                .filter(|movement| !dead.contains_key(&movement.id))
                .map(|movement| movement.version)
                .filter(|version| present.contains(version))
                .collect();
            let at =
                booked.iter().zip(&wanted).position(|(is, wanted)| is != wanted).or_else(|| {
                    (booked.len() != wanted.len()).then(|| booked.len().min(wanted.len()))
                })?;
            let (is, should) = (booked.get(at), wanted.get(at));
            let what =
                format!("{key}: effect {at} is of version {is:?} and should be of {should:?}");
            Some(Violation::of(Promise::Order, what))
        })
        .collect()
}

/// No money came or went, and each customer has what the booked movements say.
pub fn money_is_conserved(history: &History) -> Vec<Violation> {
    let mut wanted: BTreeMap<&str, Balance> = BTreeMap::new();
    let dead = dead::ids(history);
    for (key, movement) in
        history.movements().filter(|(_, movement)| !dead.contains_key(&movement.id))
    {
        let balance = wanted.entry(key).or_default();
        balance.current -= movement.pence;
        balance.savings += movement.pence;
    }
    let sums = [("bank", &history.bank), ("ledger", &history.ledger)].into_iter().filter_map(
        |(who, balances)| {
            let sum: i64 = balances.values().map(|balance| balance.current + balance.savings).sum();
            (sum != 0).then(|| {
                Violation::of(
                    Promise::MoneyConserved,
                    format!("the {who}'s accounts add up to {sum}"),
                )
            })
        },
    );
    let keys: BTreeSet<&str> =
        wanted.keys().copied().chain(history.ledger.keys().map(|key| &**key)).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let wanted = wanted.get(key).copied().unwrap_or_default();
        let held = history.ledger.get(key).copied().unwrap_or_default();
        (held != wanted).then(|| {
            let what = format!("{key} has {held:?} in the ledger and should have {wanted:?}");
            Violation::of(Promise::MoneyConserved, what)
        })
    });
    sums.chain(differing).collect()
}
