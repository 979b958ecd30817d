//! Reads a world into a history.

use std::collections::{BTreeMap, BTreeSet};

use event_bus::headers::{self, Header};
use event_bus::kafka::Record;
use event_bus::kafka::admin::Admin;
use event_bus::store::Store;
use event_bus::{dead_letter, names::GroupName};
use event_bus_tests::{kafka, letters};

use crate::bank::{Fate, MoneyMoved};
use crate::history::{Balance, Booking, History, Id, Key, Letter, Movement, Published, Sample};
use crate::journal::Note;
use crate::world::{Failed, World};

/// An envelope, as far as it is read here.
#[derive(serde::Deserialize)]
struct Envelope {
    payload: MoneyMoved,
}

impl World {
    /// Everything, once nothing moves any more.
    pub async fn history(&self, samples: Vec<Sample>) -> Result<History, sqlx::Error> {
        let topics = [self.topic.clone(), self.topic.dead_letter()];
        let records = kafka::everything_at(&self.kafka, &topics).await;
        let (published, dead): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.topic == self.topic);
        let mut history = History {
            source: movements(&self.bank).await?,
            bookings: bookings(&self.ledger).await?,
            bank: balances(&self.bank, "SELECT name, current, savings FROM customers").await?,
            ledger: balances(&self.ledger, "SELECT name, current, savings FROM accounts").await?,
            published: published
                .iter()
                .map(|record| published_record(&self.group, record))
                .collect(),
            letters: dead.iter().map(letter).collect(),
            samples,
            ..History::default()
        };
        for note in self.notes() {
            match note {
                Note::RolledBack(id) | Note::Refused(id) => drop(history.ghosts.insert(id)),
                Note::Aborting(id) => *history.aborts.entry(id).or_default() += 1,
                Note::Started
                | Note::Began
                | Note::Ended
                | Note::Unknown(_)
                | Note::Handling(_)
                | Note::Pausing(_) => {}
            }
        }
        Ok(history)
    }

    /// The dead letters' records as they were first published.
    pub async fn originals(&self) -> Vec<Record> {
        let mut letters = kafka::everything_at(&self.kafka, &[self.topic.dead_letter()]).await;
        for letter in &mut letters {
            letter.headers.retain(|header| !header.is_added());
        }
        letters
    }

    /// What is committed, and then what the inbox holds.
    pub async fn sample(&self, admin: &Admin) -> Result<Sample, Failed> {
        let offsets = admin.committed_offsets(&self.group).await?;
        let committed = offsets
            .into_iter()
            .filter_map(|(place, offset)| Some((place.partition, offset.ok()??)))
            .collect();
        Ok(Sample { committed, inbox: self.inbox().await? })
    }

    /// The ids of all events that the ledger has settled.
    pub async fn inbox(&self) -> Result<BTreeSet<Id>, sqlx::Error> {
        let sql = "SELECT CAST(event_id AS text) AS id FROM processed_events";
        self.ledger.fetch_all(sql, &[]).await?.iter().map(|row| row.get("id")).collect()
    }
}

/// How many rows an outbox has.
pub const OUTBOX: &str = "SELECT count(*) AS number FROM outbox";

/// A number that a query gives in a service's database.
pub async fn number(store: &Store, sql: &'static str) -> Result<i64, sqlx::Error> {
    let rows = store.fetch_all(sql, &[]).await?;
    rows.first().ok_or(sqlx::Error::RowNotFound)?.get("number")
}

async fn movements(bank: &Store) -> Result<BTreeMap<Key, Vec<Movement>>, sqlx::Error> {
    let sql =
        "SELECT customer, version, event_id, pence, fate FROM history ORDER BY customer, version";
    let mut source: BTreeMap<Key, Vec<Movement>> = BTreeMap::new();
    for row in bank.fetch_all(sql, &[]).await? {
        let fate: String = row.get("fate")?;
        let fate = Fate::parse(&fate).ok_or(sqlx::Error::RowNotFound)?;
        let (version, id, pence) = (row.get("version")?, row.get("event_id")?, row.get("pence")?);
        source.entry(row.get("customer")?).or_default().push(Movement { version, id, pence, fate });
    }
    Ok(source)
}

/// The effects, in the order in which they were written.
pub async fn bookings(ledger: &Store) -> Result<Vec<Booking>, sqlx::Error> {
    let sql = "SELECT customer, version, event_id, pence FROM bookings ORDER BY place";
    ledger
        .fetch_all(sql, &[])
        .await?
        .iter()
        .map(|row| {
            Ok(Booking {
                key: row.get("customer")?,
                version: row.get("version")?,
                id: row.get("event_id")?,
                pence: row.get("pence")?,
            })
        })
        .collect()
}

async fn balances(store: &Store, sql: &'static str) -> Result<BTreeMap<Key, Balance>, sqlx::Error> {
    store
        .fetch_all(sql, &[])
        .await?
        .iter()
        .map(|row| {
            let balance = Balance { current: row.get("current")?, savings: row.get("savings")? };
            Ok((row.get("name")?, balance))
        })
        .collect()
}

fn published_record(group: &GroupName, record: &Record) -> Published {
    let value = record.value.as_deref().expect("the bank publishes no null");
    let Envelope { payload } = serde_json::from_slice(value).expect("the bank publishes envelopes");
    Published {
        partition: record.partition,
        offset: record.offset,
        id: letters::ce_id(record).to_string(),
        key: payload.customer,
        version: payload.version,
        previous: payload.previous,
        bytes: bytes_of(record),
        dlq_id: dead_letter::dlq_id(group, record).to_string(),
    }
}

fn letter(record: &Record) -> Letter {
    let place = |name| letters::text(record, name).parse::<i64>().expect("it is a number");
    Letter {
        dlq_id: letters::text(record, headers::DLQ_ID).to_owned(),
        partition: i32::try_from(place(headers::DLQ_ERRORS_PARTITION)).expect("a partition"),
        offset: place(headers::DLQ_ERRORS_OFFSET),
        reason: letters::reason(record).to_owned(),
        attempts: letters::text(record, headers::DLQ_ERRORS_DELIVERY_COUNT).to_owned(),
        bytes: bytes_of(record),
    }
}

/// Key, value and the headers of the first publish.
fn bytes_of(record: &Record) -> Vec<u8> {
    let kept: Vec<&Header> = record.headers.iter().filter(|header| !header.is_added()).collect();
    format!("{:?} {:?} {kept:?}", record.key, record.value).into_bytes()
}
