//! What happened in a world, as its databases and its topics tell it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use crate::bank::Fate;

/// An event's id, as text.
pub type Id = String;
/// A customer.
pub type Key = String;

/// A committed transaction of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    pub version: i64,
    pub id: Id,
    pub pence: i64,
    pub fate: Fate,
}

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub partition: i32,
    pub offset: i64,
    pub id: Id,
    pub key: Key,
    pub version: i64,
    pub previous: i64,
    /// Key, value and the headers of its first publish.
    pub bytes: Vec<u8>,
    /// What names its dead letter, should there be one.
    pub dlq_id: String,
}

/// An effect in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub key: Key,
    pub version: i64,
    pub id: Id,
    pub pence: i64,
}

/// A record of the dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub dlq_id: String,
    /// Where the event was.
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
    pub attempts: String,
    /// Key, value and the headers of the first publish.
    pub bytes: Vec<u8>,
}

/// What the offsets of a group were at some time, and what the inbox held after that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub committed: BTreeMap<i32, i64>,
    pub inbox: BTreeSet<Id>,
}

/// What two accounts hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub current: i64,
    pub savings: i64,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The bank's movements of each customer, by version.
    pub source: BTreeMap<Key, Vec<Movement>>,
    /// Ids under which nothing may be seen: their transactions rolled back.
    pub ghosts: BTreeSet<Id>,
    /// In the order of each partition.
    pub published: Vec<Published>,
    /// In the order in which they were written.
    pub bookings: Vec<Booking>,
    pub bank: BTreeMap<Key, Balance>,
    pub ledger: BTreeMap<Key, Balance>,
    pub letters: Vec<Letter>,
    pub samples: Vec<Sample>,
    /// How often each event aborted the process that handled it.
    pub aborts: BTreeMap<Id, u32>,
}

impl History {
    /// All movements with their customers.
    pub fn movements(&self) -> impl Iterator<Item = (&Key, &Movement)> {
        self.source
            .iter()
            .flat_map(|(key, movements)| movements.iter().map(move |movement| (key, movement)))
    }
}
