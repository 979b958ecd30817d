//! Whether faults bit: one that never did has tested nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use event_bus_tests::simulation::Coverage;

use crate::history::History;
use crate::journal::Note;
use crate::plan::Kind;
use crate::servers::StoreKind;

/// A kind that came so often has bitten.
const TIMES: u64 = 4;
/// Over so much time all that a run should see has been seen.
const LONG: Duration = Duration::from_secs(300);

/// What was seen in one world or several.
#[derive(Debug, Default)]
pub struct Bites {
    /// How often each kind came and how often it bit.
    kinds: Mutex<BTreeMap<Kind, (u64, u64)>>,
    seen: Mutex<Coverage>,
}

/// What every long run sees.
const SEEN: [&str; 12] = [
    "a commit that was refused",
    "a dead letter of an event that ended its process",
    "a dead letter of an event that failed",
    "a dead letter that was rejected",
    "a look at offsets and inbox",
    "a partition that changed hands",
    "a partition whose last owner never let go",
    "a record that was sent again",
    "a relay's lease that was taken over",
    "a transaction that was rolled back",
    "an effect that was rolled back and made again",
    "an event that ended its process",
];

/// What every long run with a database of its own sees besides.
const SEEN_OVER_THE_NETWORK: [&str; 2] =
    ["a commit whose answer was lost", "a transaction of the ledger that the database ended"];

impl Bites {
    /// A fault of this kind came, and bit or not.
    pub fn came(&self, kind: Kind, has_bitten: bool) {
        let mut kinds = self.kinds.lock().expect("nobody panics while counting");
        let (came, bit) = kinds.entry(kind).or_default();
        *came += 1;
        *bit += u64::from(has_bitten);
    }

    /// Something was seen, so often.
    pub fn note(&self, what: &'static str, times: u64) {
        let mut seen = self.seen.lock().expect("nobody panics while counting");
        (0..times).for_each(|_| seen.note(what));
    }

    /// Adds what another world has seen.
    pub fn add(&self, other: &Self) {
        self.seen.lock().expect("nobody panics").add(&other.seen.lock().expect("nobody panics"));
        for (kind, (came, bit)) in &*other.kinds.lock().expect("nobody panics") {
            let mut kinds = self.kinds.lock().expect("nobody panics");
            let all = kinds.entry(*kind).or_default();
            *all = (all.0 + came, all.1 + bit);
        }
    }

    /// What should have happened in faults of such a length and never did.
    pub fn missing(&self, store: StoreKind, length: Duration) -> Vec<String> {
        let kinds = self.kinds.lock().expect("nobody panics");
        let idle = kinds.iter().filter(|(_, (came, bit))| *came >= TIMES && *bit == 0);
        let idle =
            idle.map(|(kind, (came, _))| format!("{kind:?} came {came} times and never bit"));
        let seen = self.seen.lock().expect("nobody panics");
        let more: &[&str] = if store == StoreKind::Postgres { &SEEN_OVER_THE_NETWORK } else { &[] };
        let wanted = SEEN.iter().chain(more).filter(|_| length >= LONG);
        let never =
            wanted.filter(|what| seen.of(what) == 0).map(|what| format!("never seen: {what}"));
        idle.chain(never).collect()
    }

    /// What the history of a world tells.
    pub fn read(&self, history: &History, notes: &[Note]) {
        let times = |count: usize| u64::try_from(count).expect("64 bits hold it");
        let dead =
            |reason| times(history.letters.iter().filter(|letter| letter.reason == reason).count());
        self.note("a dead letter of an event that failed", dead("retries-exhausted"));
        self.note("a dead letter that was rejected", dead("rejected"));
        self.note("a dead letter of an event that ended its process", dead("crashed"));
        let published: std::collections::BTreeSet<_> =
            history.published.iter().map(|record| &record.id).collect();
        self.note("a record that was sent again", times(history.published.len() - published.len()));
        self.note(
            "an event that ended its process",
            history.aborts.values().map(|times| u64::from(*times)).sum(),
        );
        let mut handled: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut rolled_back, mut refused, mut lost_answers) = (0, 0, 0);
        let committed: std::collections::BTreeSet<_> =
            history.movements().map(|(_, movement)| &movement.id).collect();
        for note in notes {
            match note {
                Note::Handling(id) => *handled.entry(id).or_default() += 1,
                Note::RolledBack(_) => rolled_back += 1,
                Note::Refused(_) => refused += 1,
                Note::Unknown(id) => lost_answers += u64::from(committed.contains(id)),
                Note::Started
                | Note::Began
                | Note::Ended
                | Note::Pausing(_)
                | Note::Aborting(_) => {}
            }
        }
        self.note("a transaction that was rolled back", rolled_back);
        self.note("a commit that was refused", refused);
        self.note("a commit whose answer was lost", lost_answers);
        let again =
            history.bookings.iter().map(|booking| handled.get(&*booking.id).copied().unwrap_or(1));
        let again = again.map(|runs| times(runs.saturating_sub(1))).sum();
        self.note("an effect that was rolled back and made again", again);
    }
}

impl fmt::Display for Bites {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (came, bit)) in &*self.kinds.lock().expect("nobody panics") {
            writeln!(formatter, "  {kind:?}: came {came} times, bit {bit} times")?;
        }
        for (what, times) in self.seen.lock().expect("nobody panics").iter() {
            writeln!(formatter, "  {times} times: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_never_bit_is_missing_once_it_came_often() {
        let bites = Bites::default();
        for _ in 0..TIMES - 1 {
            bites.came(Kind::KillRelay, false);
        }
        assert_eq!(bites.missing(StoreKind::Sqlite, Duration::ZERO), Vec::<String>::new());
        bites.came(Kind::KillRelay, false);
        assert_eq!(bites.missing(StoreKind::Sqlite, Duration::ZERO).len(), 1);
        bites.came(Kind::KillRelay, true);
        assert_eq!(bites.missing(StoreKind::Sqlite, Duration::ZERO), Vec::<String>::new());
    }

    #[test]
    fn a_long_run_must_have_seen_everything() {
        let bites = Bites::default();
        assert_eq!(bites.missing(StoreKind::Sqlite, LONG).len(), SEEN.len());
        for what in SEEN {
            bites.note(what, 1);
        }
        assert_eq!(bites.missing(StoreKind::Sqlite, LONG), Vec::<String>::new());
        assert_eq!(bites.missing(StoreKind::Postgres, LONG).len(), SEEN_OVER_THE_NETWORK.len());
    }
}
