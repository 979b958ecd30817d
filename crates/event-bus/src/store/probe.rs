use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

use super::StoreError;
use super::connect::{ConnectError, without_credentials};
use crate::names::EventId;

/// How long a database may take to let a probe in.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How long it waits for who writes to an SQLite file.
const BUSY: Duration = Duration::from_secs(10);

/// Counts what somebody else's database holds of an event, by a query of theirs. It only reads.
#[derive(Clone, Debug)]
pub struct EffectsProbe {
    query: String,
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl EffectsProbe {
    /// For a database at `postgres://…` or `sqlite://…`, and a query whose parameter `$1` is the event's id as text, and
    /// whose first column is the number of its effects.
    ///
    /// # Errors
    /// When the URL names neither of the two, or can't be read.
    pub fn new(url: &str, query: String) -> Result<Self, ConnectError> {
        let unreachable =
            |source| ConnectError::Unreachable { url: without_credentials(url), source };
        let backend = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(unreachable)?;
            let options = options.options([("default_transaction_read_only", "on")]);
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE);
            Backend::Postgres(pool.connect_lazy_with(options))
        } else if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(unreachable)?;
            let options = options.read_only(true).busy_timeout(BUSY);
            let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE);
            Backend::Sqlite(pool.connect_lazy_with(options))
        } else {
            return Err(ConnectError::UnknownScheme { url: without_credentials(url) });
        };
        Ok(Self { query, backend })
    }

    /// How many effects an event has had.
    ///
    /// # Errors
    /// The database's, and when the query gives no row or no number.
    pub async fn effects(&self, id: EventId) -> Result<u64, StoreError> {
        let query = AssertSqlSafe(self.query.clone());
        let count: i64 = match &self.backend {
            Backend::Postgres(pool) => {
                sqlx::query(query).bind(id.to_string()).fetch_one(pool).await?.try_get(0)?
            }
            Backend::Sqlite(pool) => {
                sqlx::query(query).bind(id.to_string()).fetch_one(pool).await?.try_get(0)?
            }
        };
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
