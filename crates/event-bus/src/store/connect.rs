//! Opens a service's database, making it where that is missing.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateDatabase, MigrateError};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection};

use super::migrations::{self, Migration};
use super::sql::{Row, RowOf, Value, postgres_query, sqlite_query};
use super::{postgres, sqlite, tx::Tx};

/// Connections of one service on PostgreSQL. A batch takes one, so this bounds batches in flight.
const POSTGRES_CONNECTIONS: u32 = 8;
/// A service's. SQLite has one writer, and its own default is a cache of 2,000 KiB.
const OF_SERVICE: Sizes = Sizes { connections: 1, cache_kib: 2_000 };
/// Of the index of an ops process, whose many trees are written all over.
const OF_INDEX: Sizes = Sizes { connections: 1, cache_kib: 64 * 1024 };
/// Of those who read it.
const OF_READERS: Sizes = Sizes { connections: 4, cache_kib: 8 * 1024 };
/// How long a batch waits for a connection before that counts as an outage.
const ACQUIRE: Duration = Duration::from_secs(10);
/// A process that is frozen within a transaction of its own holds the locks of the outbox keys that it wrote to. The
/// store's URL may say something else: `?options=-c%20idle_in_transaction_session_timeout=5min`.
const IDLE_LIMIT: (&str, &str) = ("idle_in_transaction_session_timeout", "60s");
/// A connection that worked this recently is taken to work still. One that does not costs its transaction.
const FRESH: Duration = Duration::from_secs(1);
/// How long SQLite waits for a writer in another process.
const BUSY: Duration = Duration::from_secs(10);
/// The pause before another try to open a file that another process is opening.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A service's database. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) backend: Backend,
}

#[derive(Clone, Debug)]
pub(super) enum Backend {
    Postgres(PgPool),
    /// One connection: SQLite has one writer, and waiting for it here is fair and has no time-out.
    Sqlite(SqlitePool),
}

/// A database that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names neither of the two databases.
    #[error("the store `{url}` is neither postgres://… nor sqlite://…: name one of them")]
    UnknownScheme {
        /// The URL without its credentials.
        url: String,
    },
    /// The database refused or did not answer.
    #[error(
        "the store `{url}` could not be opened: check that the database runs, and the URL's host, user and password"
    )]
    Unreachable {
        /// The URL without its credentials.
        url: String,
        /// The database's error.
        #[source]
        source: sqlx::Error,
    },
    /// The database is there, but has not all of the library's tables, or has those of a later version.
    #[error(
        "the store `{url}` has the library's tables at step {found} and this program works with step {wanted}: check the \
         URL; where it is right, start the service that owns the database in the same version, which brings them there"
    )]
    OtherTables {
        /// The URL without its credentials.
        url: String,
        /// The last step that ran there; 0 where none has.
        found: i64,
        /// The last step that this version knows.
        wanted: i64,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of the store `{url}` could not be brought up to date")]
    Migration {
        /// The URL without its credentials.
        url: String,
        /// What failed.
        #[source]
        source: MigrateError,
    },
}

impl Store {
    /// Opens `postgres://…` or `sqlite://…` and brings the library's tables and the service's own up to date.
    /// A missing database, schema or file is made.
    ///
    /// # Errors
    /// When the database can't be reached or a migration fails.
    pub async fn open(url: &str, own: &[Migration]) -> Result<Self, ConnectError> {
        let backend = connect(url, IfMissing::Make, OF_SERVICE).await?;
        migrations::run(&backend, &migrations::of_service(own))
            .await
            .map_err(|source| ConnectError::Migration { url: without_credentials(url), source })?;
        Ok(Self { backend })
    }

    /// Opens a database that a service has opened before, and makes nothing: for those who only look after what is in
    /// it, and for whom a wrong URL must not become a new database.
    ///
    /// # Errors
    /// When the database can't be reached, or has not the tables of this version.
    pub async fn open_existing(url: &str) -> Result<Self, ConnectError> {
        let backend = connect(url, IfMissing::Refuse, OF_SERVICE).await?;
        let unreachable =
            |source| ConnectError::Unreachable { url: without_credentials(url), source };
        let found = migrations::last_step(&backend).await.map_err(unreachable)?;
        let wanted = migrations::LAST_STEP;
        if found == wanted {
            Ok(Self { backend })
        } else {
            Err(ConnectError::OtherTables { url: without_credentials(url), found, wanted })
        }
    }

    /// Begins a transaction. On SQLite this waits for the writer's turn.
    ///
    /// # Errors
    /// When no connection can be had or the database refuses.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => Ok(Tx::on_postgres(pool.begin().await?)),
            // A deferred transaction that writes later ignores the busy time-out.
            Backend::Sqlite(pool) => Ok(Tx::on_sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
        }
    }

    /// Runs a query that reads the same on both databases, in a transaction of its own.
    ///
    /// # Errors
    /// The database's.
    pub async fn fetch_all(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut tx = self.begin().await?;
        let rows = tx.fetch_all(sql, values).await?;
        tx.rollback().await?;
        Ok(rows)
    }

    /// Opens a database that has none of a service's tables, but these, noted in `table`. A missing one is made.
    ///
    /// # Errors
    /// When the database can't be reached or a migration fails.
    pub(super) async fn open_other(
        url: &str,
        table: &'static str,
        steps: &[Migration],
    ) -> Result<Self, ConnectError> {
        let backend = connect(url, IfMissing::Make, OF_INDEX).await?;
        migrations::run(&backend, &[(table, steps)])
            .await
            .map_err(|source| ConnectError::Migration { url: without_credentials(url), source })?;
        Ok(Self { backend })
    }

    /// The same database, for those who only read: on SQLite with connections of their own, which nobody who writes keeps
    /// waiting. There must be no transactions on it.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub(super) fn readers(&self, url: &str) -> Result<Self, ConnectError> {
        let backend = match &self.backend {
            Backend::Postgres(pool) => Backend::Postgres(pool.clone()),
            Backend::Sqlite(_) => {
                let options = sqlite_options(url, IfMissing::Refuse, OF_READERS);
                let options = options.map_err(|source| ConnectError::Unreachable {
                    url: without_credentials(url),
                    source,
                })?;
                Backend::Sqlite(sqlite_pool(OF_READERS).connect_lazy_with(options))
            }
        };
        Ok(Self { backend })
    }

    /// Counts what is in the tables. Samples would tell SQLite nothing where one tenant has more than a sample.
    pub(super) async fn analyze(&self) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => sqlx::raw_sql("ANALYZE").execute(pool).await.map(drop),
            Backend::Sqlite(pool) => sqlx::raw_sql("ANALYZE").execute(pool).await.map(drop),
        }
    }

    /// Runs one query that is put together from constants, outside of any transaction.
    pub(super) async fn read_all(
        &self,
        sql: String,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        Ok(match &self.backend {
            Backend::Postgres(pool) => {
                let rows = postgres_query(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(|row| Row(RowOf::Postgres(row))).collect()
            }
            Backend::Sqlite(pool) => {
                let rows = sqlite_query(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(|row| Row(RowOf::Sqlite(row))).collect()
            }
        })
    }

    /// The query of the elements of a JSON array of texts, which is the value of this placeholder.
    pub(super) fn elements_of(&self, array: &str) -> String {
        match &self.backend {
            Backend::Postgres(_) => format!("SELECT jsonb_array_elements_text({array}::jsonb)"),
            Backend::Sqlite(_) => format!("SELECT value FROM json_each({array})"),
        }
    }

    /// Whether a column is like a pattern, which is the value of this placeholder, whatever the case of its letters.
    pub(super) fn is_like(&self, column: &str, pattern: &str) -> String {
        match &self.backend {
            Backend::Postgres(_) => format!(r"{column} ILIKE {pattern} ESCAPE '\'"),
            // It is so by itself there, of the letters of ASCII.
            Backend::Sqlite(_) => format!(r"{column} LIKE {pattern} ESCAPE '\'"),
        }
    }

    /// Runs a statement that reads the same on both databases, in a transaction of its own.
    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        tx.execute(sql, values).await?;
        tx.commit().await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When there is none.
    pub async fn probe(&self) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => postgres::probe(&mut *pool.acquire().await?).await,
            Backend::Sqlite(pool) => sqlite::probe(&mut *pool.acquire().await?).await,
        }
    }

    /// Closes the pool once its connections are back.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Postgres(pool) => pool.close().await,
            Backend::Sqlite(pool) => pool.close().await,
        }
    }
}

/// What to do where there is no such database, schema or file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    Make,
    Refuse,
}

/// What SQLite takes of a process.
#[derive(Clone, Copy)]
struct Sizes {
    connections: u32,
    /// Of each connection.
    cache_kib: u32,
}

async fn connect(url: &str, if_missing: IfMissing, sizes: Sizes) -> Result<Backend, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { url: without_credentials(url), source };
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        open_postgres(url, if_missing).await.map(Backend::Postgres).map_err(unreachable)
    } else if url.starts_with("sqlite:") {
        open_sqlite(url, if_missing, sizes).await.map(Backend::Sqlite).map_err(unreachable)
    } else {
        Err(ConnectError::UnknownScheme { url: without_credentials(url) })
    }
}

async fn open_postgres(url: &str, if_missing: IfMissing) -> Result<PgPool, sqlx::Error> {
    let mut options = PgConnectOptions::from_str(url)?;
    if options.get_options().is_none_or(|given| !given.contains(IDLE_LIMIT.0)) {
        options = options.options([IDLE_LIMIT]);
    }
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // A question before each transaction costs as much as one of its statements.
        .test_before_acquire(false)
        .before_acquire(|connection, connection_is| {
            Box::pin(async move {
                if connection_is.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    if if_missing == IfMissing::Refuse {
        drop(pool.acquire().await?);
        return Ok(pool);
    }
    match pool.acquire().await {
        Ok(mut connection) => postgres::create_missing_schema(&mut connection).await?,
        Err(error) if postgres::is_missing_database(&error) => {
            match sqlx::Postgres::create_database(url).await {
                // Another service of the same process group may have been first.
                Err(error) if !postgres::is_duplicate_database(&error) => return Err(error),
                _ => {}
            }
            postgres::create_missing_schema(&mut *pool.acquire().await?).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(pool)
}

/// Two processes that switch a new file to WAL at once would wait for each other, and so SQLite tells one that the file
/// is locked, whatever `busy_timeout` says. That one tries again, as long as it would have waited.
async fn open_sqlite(
    url: &str,
    if_missing: IfMissing,
    sizes: Sizes,
) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        match connect_sqlite(url, if_missing, sizes).await {
            Err(error) if sqlite::is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

async fn connect_sqlite(
    url: &str,
    if_missing: IfMissing,
    sizes: Sizes,
) -> Result<SqlitePool, sqlx::Error> {
    sqlite_pool(sizes).connect_with(sqlite_options(url, if_missing, sizes)?).await
}

fn sqlite_options(
    url: &str,
    if_missing: IfMissing,
    sizes: Sizes,
) -> Result<SqliteConnectOptions, sqlx::Error> {
    Ok(SqliteConnectOptions::from_str(url)?
        .create_if_missing(if_missing == IfMissing::Make)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode anything less may lose the last commits at a power failure, behind an offset that is committed.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Below zero it is kibibytes.
        .pragma("cache_size", format!("-{}", sizes.cache_kib)))
}

fn sqlite_pool(sizes: Sizes) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(sizes.connections)
        .acquire_timeout(Duration::from_secs(600))
        // After a transaction that SQLite ended by itself sqlx counts on a level that is not there, and begins no other.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// The URL as it may be shown: without user and password, which may also stand among its parameters.
pub(super) fn without_credentials(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        assert_eq!(
            without_credentials("postgres://bus:secret@db:5432/brand"),
            "postgres://db:5432/brand"
        );
        assert_eq!(
            without_credentials("postgres://db/brand?user=bus&password=secret"),
            "postgres://db/brand"
        );
        assert_eq!(without_credentials("sqlite://brand.db"), "sqlite://brand.db");
    }
}
