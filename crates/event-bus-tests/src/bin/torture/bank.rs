//! The business: a bank whose customers move money between their two accounts, and the ledger that follows it.
//!
//! Each customer is a key. A transaction of the bank raises the customer's version under its row's lock, and the event
//! carries that version and the one before: a chain that shows in the data what was lost, doubled or overtaken. What one
//! account loses the other one gains, so everything adds up to nothing, always.

use std::sync::Arc;

use event_bus::names::{GroupName, Namespace, TenantId, TopicName};
use event_bus::store::Migration;
use event_bus::{Catalogue, EventType};
use event_bus_tests::defaults::Defaults;
use serde::{Deserialize, Serialize};

/// The service whose transactions publish.
pub const BANK: &str = "bank";
/// The service that consumes.
pub const LEDGER: &str = "ledger";
/// How many customers there are.
pub const CUSTOMERS: u64 = 24;
/// Partitions of the topic: more than replicas, so that each has several.
pub const PARTITIONS: i32 = 6;
/// An event's attempts: the first, and one behind each wait of the catalogue.
pub const ATTEMPTS: u32 = 4;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["customer", "version", "previous", "pence", "fate"],
  "properties": {
    "customer": { "type": "string", "minLength": 1 },
    "version": { "type": "integer", "minimum": 1 },
    "previous": { "type": "integer", "minimum": 0 },
    "pence": { "type": "integer" },
    "fate": { "enum": ["book", "fail", "reject", "abort"] }
  }
}"#;

/// What the ledger does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Writes its effect.
    Book,
    /// Writes its effect and fails, at every attempt.
    Fail,
    /// Writes its effect and rejects the event.
    Reject,
    /// Writes its effect and aborts the process.
    Abort,
}

impl Fate {
    /// As it stands in the bank's history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Fail => "fail",
            Self::Reject => "reject",
            Self::Abort => "abort",
        }
    }

    /// From how it stands there.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Book, Self::Fail, Self::Reject, Self::Abort]
            .into_iter()
            .find(|fate| fate.as_str() == text)
    }

    /// What its dead letter may give as the reason; nothing for an event that lives.
    pub const fn deaths(self) -> &'static [&'static str] {
        match self {
            Self::Book => &[],
            // A kill may come in the last attempt, and then nobody knows how that would have ended.
            Self::Fail => &["retries-exhausted", "crashed"],
            Self::Reject => &["rejected"],
            Self::Abort => &["crashed"],
        }
    }
}

/// A customer moved money from the current account to the savings, or back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MoneyMoved {
    /// The key.
    pub customer: String,
    /// Which of the customer's transactions it was, from 1.
    pub version: i64,
    /// The one before.
    pub previous: i64,
    /// What the savings gained.
    pub pence: i64,
    /// What becomes of the event.
    pub fate: Fate,
}

impl EventType for MoneyMoved {
    const NAME: &'static str = "MoneyMoved";
    const VERSION: &'static str = "1.0";
}

/// The contract of bank and ledger in a namespace of its own. `consumption` is how the ledger consumes, as TOML lines.
pub fn catalogue(namespace: &Namespace, consumption: &str) -> Arc<Catalogue> {
    let defaults = Defaults {
        partitions: PARTITIONS.unsigned_abs(),
        retry: &["100ms", "200ms", "400ms"],
        handler_timeout: "20s",
        ..Defaults::QUICK
    };
    let toml = format!(
        r#"
        namespace = "torture"
        [services]
        bank = {{ title = "Bank" }}
        ledger = {{ title = "Ledger" }}
        {defaults}
        [events.MoneyMoved]
        topic = "money.moved"
        description = "A customer moved money between accounts."
        producer = "bank"
        key = ["/tenant_id", "/payload/customer"]
        versions = ["1.0"]
        [events.MoneyMoved.consumers.ledger]
        reads = ["/customer", "/version", "/previous", "/pence", "/fate"]
        {consumption}
        "#
    );
    let catalogue = Catalogue::parse("torture.toml", &toml, |_| Ok(SCHEMA.to_owned()));
    Arc::new(catalogue.expect("the contract is right").with_namespace(namespace.clone()))
}

/// The topic.
pub fn topic(catalogue: &Catalogue) -> TopicName {
    catalogue.event(MoneyMoved::NAME).expect("the contract has it").topic.clone()
}

/// The ledger's consumer group.
pub fn group(catalogue: &Catalogue) -> GroupName {
    let subscription = catalogue.subscription(LEDGER, MoneyMoved::NAME);
    subscription.expect("the ledger consumes it").consumer.group.clone()
}

/// On whose behalf all events are.
pub fn tenant() -> TenantId {
    "island-bank".parse().expect("a valid name")
}

/// The bank's tables. A pledge for a customer that there is not is refused by the commit, and by nothing before it.
pub const BANK_TABLES: &[Migration] = &[Migration::same(
    1,
    "customers",
    "CREATE TABLE customers (
         name text PRIMARY KEY, version bigint NOT NULL, current bigint NOT NULL, savings bigint NOT NULL);
     CREATE TABLE history (
         customer text NOT NULL, version bigint NOT NULL, event_id text NOT NULL, pence bigint NOT NULL,
         fate text NOT NULL);
     CREATE TABLE visits (customer text NOT NULL);
     CREATE TABLE pledges (
         customer text NOT NULL REFERENCES customers (name) DEFERRABLE INITIALLY DEFERRED);",
)];

/// The ledger's tables. No constraint hides a second effect of one event: it would be a second row. `place` numbers the
/// effects in the order in which they were written.
pub const LEDGER_TABLES: &[Migration] = &[Migration {
    version: 1,
    description: "bookings",
    postgres: "CREATE TABLE bookings (
                   place bigserial PRIMARY KEY, customer text NOT NULL, version bigint NOT NULL,
                   event_id text NOT NULL, pence bigint NOT NULL);
               CREATE TABLE accounts (name text PRIMARY KEY, current bigint NOT NULL, savings bigint NOT NULL);",
    sqlite: "CREATE TABLE bookings (
                 place integer PRIMARY KEY AUTOINCREMENT, customer text NOT NULL, version bigint NOT NULL,
                 event_id text NOT NULL, pence bigint NOT NULL);
             CREATE TABLE accounts (name text PRIMARY KEY, current bigint NOT NULL, savings bigint NOT NULL);",
}];
