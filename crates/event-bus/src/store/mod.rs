//! A service's database: its own tables, the inbox (`processed_events`) and the outbox, in one transaction.
//!
//! All SQL of the library is in this folder. What both databases say alike stands once; what they say differently
//! stands in `postgres` and `sqlite`, under the same function names.

mod connect;
mod inbox;
mod migrations;
mod outbox;
mod owner;
mod postgres;
mod purge;
mod sql;
mod sqlite;
mod tx;

pub use connect::{ConnectError, Store};
pub use inbox::{Claim, Claimant, Claimed};
pub use migrations::Migration;
pub use outbox::{Backlog, Lease, PendingRow};
pub use owner::{Begun, Holding};
pub use purge::{Expired, InboxShare};
pub use sql::{Row, Value};
pub use tx::Tx;
