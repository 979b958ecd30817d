//! A service's database: its own tables, the inbox (`processed_events`) and the outbox, in one transaction.
//!
//! All SQL of the library is in this folder. What both databases say alike stands once; what they say differently
//! stands in `postgres` and `sqlite`, under the same function names.

mod connect;
mod decided;
mod inbox;
mod migrations;
pub mod ops;
mod outbox;
mod owner;
mod postgres;
mod probe;
mod purge;
mod quarantine;
mod relay_store;
mod relays;
mod reruns;
mod sql;
mod sqlite;
mod tx;

pub use connect::{ConnectError, Store};
pub use decided::Mark;
pub use inbox::{Claim, Claimant, Claimed, ReplayClaim};
pub use migrations::Migration;
pub use outbox::{
    Backlog, COUNTED, OutboxConnection, Outgoing, PendingRow, UnreadableRow, Waiting,
};
pub use owner::{Begun, Holding};
pub use probe::EffectsProbe;
pub use purge::{Expired, InboxBegin, InboxShare};
pub use quarantine::{Discarded, LiftError, Quarantined, SetAside};
pub use relay_store::RelayStore;
pub use relays::{Held, Lease, SHARDS, Scan, Share};
pub use reruns::OpenError;
pub use sql::{Row, Value};
pub use tx::Tx;

/// What a database did not do.
pub type StoreError = sqlx::Error;
