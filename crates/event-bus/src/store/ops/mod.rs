//! The ops store: an index of what the topics tell about dead letters, and an ops process's replays, requests, notes, users,
//! tokens and audit.
//!
//! The index is read from Kafka, and how far that went is written in the transaction of what was read. So it goes on where
//! it was, two processes that read for one store do not mix, and a store that is lost is read again. Replays, requests,
//! notes, users and tokens are nowhere else; the audit is mirrored to its topic.

mod audit;
mod hours;
mod invitations;
mod letters;
mod names;
mod notes;
mod open;
mod plan;
mod replay_rows;
mod replays;
mod requests;
mod search;
mod sessions;
mod stage;
mod sums;
mod to_send;
mod tokens;
mod users;
mod vouched;

use tokio::sync::Notify;

use super::connect::{ConnectError, Store};
use super::migrations::Migration;
use super::tx::{Connection, Tx};
use names::Names;

pub use audit::AuditFilter;
pub use hours::TREND_HOURS;
pub use invitations::Invited;
pub use letters::{Batch, TakeInError};
pub use notes::Note;
pub use open::OpenLetters;
pub use plan::{Planned, PlannedRow};
pub use replay_rows::ReplayRow;
pub use replays::{Asked, Moved};
pub use requests::{Frozen, REQUEST_LASTS, RequestRow, RequestStage, RequestedAction};
pub use search::{Place, Shown};
pub use sessions::Session;
pub use stage::Stage;
pub use to_send::ToSend;
pub use tokens::{ApiToken, NotARole, Role};
pub use users::{NotAUserName, User, UserName};
pub use vouched::Vouched;

/// Where the steps of these tables are noted.
const TABLE: &str = "ops_migrations";
const STEPS: &[Migration] = &[
    Migration {
        version: 1,
        description: "dead letters",
        postgres: include_str!("migrations/0001_postgres.sql"),
        sqlite: include_str!("migrations/0001_sqlite.sql"),
    },
    Migration::same(
        2,
        "what became of them, sums, replays, tokens",
        include_str!("migrations/0002.sql"),
    ),
    Migration::same(3, "users, sessions, scopes", include_str!("migrations/0003.sql")),
    Migration::same(4, "the audit", include_str!("migrations/0004.sql")),
    Migration::same(5, "requests", include_str!("migrations/0005.sql")),
    Migration::same(6, "hours of failures, notes", include_str!("migrations/0006.sql")),
    // There never was a seventh, and a store that has this one knows it by its number.
    Migration::same(8, "no personal data", include_str!("migrations/0008.sql")),
    Migration::same(9, "users of providers", include_str!("migrations/0009.sql")),
];

/// The database of an ops process. Its times are nanoseconds since 1970.
#[derive(Debug)]
pub struct OpsStore {
    write: Store,
    read: Store,
    names: Names,
    asked: Notify,
    written: Notify,
}

impl OpsStore {
    /// Opens `postgres://…` or `sqlite://…` and brings the tables up to date. A missing database or file is made.
    ///
    /// # Errors
    /// When the database can't be reached or a migration fails.
    pub async fn open(url: &str) -> Result<Self, ConnectError> {
        let write = Store::open_other(url, TABLE, STEPS).await?;
        let read = write.readers(url)?;
        Ok(Self {
            write,
            read,
            names: Names::default(),
            asked: Notify::new(),
            written: Notify::new(),
        })
    }

    /// Counts what is in the tables, for a database that chooses its ways by that. Those who read know it from their next
    /// connection on.
    ///
    /// # Errors
    /// The database's.
    pub async fn analyze(&self) -> Result<(), sqlx::Error> {
        self.write.analyze().await
    }

    /// Closes it once nobody works with it.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// On PostgreSQL those who change what is known of many dead letters go one after the other: in different orders they would
/// wait for each other for ever, and two who ask at once for a replay of the same ones would both have them.
async fn in_turn(tx: &mut Tx) -> Result<(), sqlx::Error> {
    /// Any number that the library locks nothing else by.
    const TURN: &str = "SELECT pg_advisory_xact_lock(7305809155012321569)";
    if let Connection::Postgres(_) = &tx.connection {
        tx.execute(TURN, &[]).await?;
    }
    Ok(())
}
