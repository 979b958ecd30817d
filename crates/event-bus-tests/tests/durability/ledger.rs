//! What producers sent, what was acknowledged where, and whether a log agrees with that. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A record's name, told by its value: no two records have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub producer: usize,
    pub partition: i32,
    /// Counts the producer's records of this partition, from 0.
    pub sequence: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.producer, self.partition, self.sequence)
    }
}

impl Name {
    /// Reads a value: the name, and padding behind a semicolon.
    pub fn of(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).expect("a value is text");
        let (name, _) = text.split_once(';').expect("a value begins with its name");
        let mut words = name.split(' ');
        let mut word = || words.next().expect("a name has three words");
        Self {
            producer: word().parse().expect("a number"),
            partition: word().parse().expect("a number"),
            sequence: word().parse().expect("a number"),
        }
    }
}

/// A place in a topic: partition and offset.
pub type Place = (i32, i64);

/// What the producers know.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// How many records each producer has handed over for each partition.
    pub sent: BTreeMap<(usize, i32), u64>,
    pub acknowledged: BTreeMap<Place, Name>,
    /// Deliveries that failed, and acknowledgements that contradict an earlier one.
    pub complaints: Vec<String>,
}

impl Ledger {
    /// The next record's name.
    pub fn next(&mut self, producer: usize, partition: i32) -> Name {
        let count = self.sent.entry((producer, partition)).or_default();
        let sequence = *count;
        *count += 1;
        Name { producer, partition, sequence }
    }

    /// Notes where a record was acknowledged.
    pub fn acknowledge(&mut self, name: Name, place: Place) {
        if name.partition != place.0 {
            self.complaints.push(format!("{name} was acknowledged in partition {}", place.0));
        }
        if let Some(other) = self.acknowledged.insert(place, name) {
            self.complaints.push(format!("{other} and {name} were acknowledged at {place:?}"));
        }
    }

    /// Records handed over and not acknowledged.
    pub fn open(&self) -> usize {
        let sent: u64 = self.sent.values().sum();
        usize::try_from(sent).expect("a small number") - self.acknowledged.len()
    }

    /// The offset behind the last acknowledged one, by partition.
    pub fn acknowledged_ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for (partition, offset) in self.acknowledged.keys() {
            let end = ends.entry(*partition).or_insert(0);
            *end = (*end).max(offset + 1);
        }
        ends
    }

    /// What is wrong with a log that was read from its start to its end.
    pub fn contradictions(&self, log: &BTreeMap<Place, Name>) -> Vec<String> {
        let mut wrong = self.complaints.clone();
        for (place, name) in &self.acknowledged {
            match log.get(place) {
                None => wrong.push(format!("{name} was acknowledged at {place:?} and is gone")),
                Some(found) if found != name => {
                    wrong.push(format!("{name} was acknowledged at {place:?}, where {found} is"));
                }
                Some(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<(usize, i32), u64> = BTreeMap::new();
        for (place, name) in log {
            if !seen.insert(*name) {
                wrong.push(format!("{name} is there twice, the second time at {place:?}"));
            }
            if name.sequence
                >= self.sent.get(&(name.producer, name.partition)).copied().unwrap_or(0)
            {
                wrong.push(format!("{name} at {place:?} was never sent"));
            }
            let last = last.insert((name.producer, place.0), name.sequence);
            if last.map_or(0, |last| last + 1) != name.sequence {
                wrong.push(format!("{name} at {place:?} follows {last:?} of its producer"));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger of three acknowledged records of one producer, and the log that holds them.
    fn intact() -> (Ledger, BTreeMap<Place, Name>) {
        let mut ledger = Ledger::default();
        for offset in 0..3 {
            let name = ledger.next(7, 0);
            ledger.acknowledge(name, (0, offset));
        }
        let log = ledger.acknowledged.clone();
        (ledger, log)
    }

    #[test]
    fn a_log_that_holds_what_was_acknowledged_is_right() {
        let (mut ledger, mut log) = intact();
        let open = ledger.next(7, 0);
        assert_eq!(ledger.open(), 1);
        assert_eq!(ledger.contradictions(&log), Vec::<String>::new());
        log.insert((0, 3), open);
        assert_eq!(ledger.contradictions(&log), Vec::<String>::new());
        assert_eq!(Name::of(format!("{open};padding").as_bytes()), open);
    }

    #[test]
    fn loss_doubling_disorder_and_inventions_are_told() {
        let (ledger, log) = intact();
        let mut lost = log.clone();
        lost.remove(&(0, 2));
        assert!(ledger.contradictions(&lost)[0].ends_with("is gone"));

        let mut doubled = log.clone();
        doubled.insert((0, 3), log[&(0, 2)]);
        assert!(ledger.contradictions(&doubled).iter().any(|wrong| wrong.contains("twice")));

        let mut swapped = log.clone();
        swapped.insert((0, 0), log[&(0, 1)]);
        swapped.insert((0, 1), log[&(0, 0)]);
        assert!(ledger.contradictions(&swapped).iter().any(|wrong| wrong.contains("follows")));

        let mut invented = log;
        invented.insert((0, 3), Name { producer: 7, partition: 0, sequence: 3 });
        assert!(ledger.contradictions(&invented)[0].ends_with("never sent"));
    }

    #[test]
    fn one_place_acknowledged_twice_is_told() {
        let (mut ledger, log) = intact();
        let fourth = ledger.next(7, 0);
        ledger.acknowledge(fourth, (0, 2));
        assert!(ledger.contradictions(&log)[0].contains("were acknowledged at"));
    }
}
