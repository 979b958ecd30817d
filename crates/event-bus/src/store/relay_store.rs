//! What a relay does with the outbox again and again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use super::connect::{Backend, Store};
use super::outbox::Waiting;
use super::relays::{Lease, Scan};
use super::sql::{Row, RowOf};
use super::{postgres, sqlite};

impl Store {
    /// For a relay.
    #[must_use]
    pub fn for_relay(&self) -> RelayStore {
        RelayStore { store: self.clone(), looks: Kept::default(), removals: Kept::default() }
    }
}

/// The outbox for a relay, on connections to PostgreSQL that it keeps: for each that comes back to it, the pool
/// asks the server for a sign of life. With hundreds of looks a second that would be as many round trips again.
#[derive(Debug)]
pub struct RelayStore {
    store: Store,
    looks: Kept,
    removals: Kept,
}

/// A connection whose last statement ended well, if there is one.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<PoolConnection<Postgres>>>);

impl Kept {
    async fn take(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let kept = self.present().take();
        match kept {
            Some(connection) => Ok(connection),
            None => pool.acquire().await,
        }
    }

    fn put_back(&self, connection: PoolConnection<Postgres>) {
        *self.present() = Some(connection);
    }

    fn present(&self) -> MutexGuard<'_, Option<PoolConnection<Postgres>>> {
        // A panic elsewhere leaves it whole: it is taken or put back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RelayStore {
    /// The first rows in the order of their ids, without those behind a quarantined row of their topic and key. They
    /// are of one moment: where a row is in the answer, each earlier one of its topic and key is too, or is not in the
    /// table any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(&self, scan: &Scan<'_>) -> Result<Vec<Waiting>, sqlx::Error> {
        let rows: Vec<Row> = match &self.store.backend {
            Backend::Postgres(pool) => {
                let mut connection = self.looks.take(pool).await?;
                let rows = postgres::outbox::waiting_outgoing(&mut connection, scan).await?;
                self.looks.put_back(connection);
                rows.into_iter().map(|row| Row(RowOf::Postgres(row))).collect()
            }
            Backend::Sqlite(pool) => {
                let connection = &mut *pool.acquire().await?;
                let rows = sqlite::outbox::waiting_outgoing(connection, scan).await?;
                rows.into_iter().map(|row| Row(RowOf::Sqlite(row))).collect()
            }
        };
        rows.iter().map(Waiting::of).collect()
    }

    /// Removes rows that Kafka acknowledged, unless a later lease of their shard exists.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_sent(&self, leases: &[Lease], ids: &[i64]) -> Result<(), sqlx::Error> {
        match &self.store.backend {
            Backend::Postgres(pool) => {
                let mut connection = self.removals.take(pool).await?;
                postgres::outbox::remove_sent(&mut connection, leases, ids).await?;
                self.removals.put_back(connection);
                Ok(())
            }
            Backend::Sqlite(pool) => {
                sqlite::outbox::remove_sent(&mut *pool.acquire().await?, leases, ids).await
            }
        }
    }
}
