//! The tables: the library's own, and through the same mechanism a service's.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};

use super::connect::Backend;

/// One step of a database's schema. A step that was published is never changed; the next one follows it.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub version: i64,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its statements on PostgreSQL.
    pub postgres: &'static str,
    /// Its statements on SQLite.
    pub sqlite: &'static str,
}

impl Migration {
    /// A step whose statements read the same on both databases.
    #[must_use]
    pub const fn same(version: i64, description: &'static str, sql: &'static str) -> Self {
        Self { version, description, postgres: sql, sqlite: sql }
    }
}

/// Where the library notes which of its steps ran.
const LIBRARY_TABLE: &str = "event_bus_migrations";
/// Where a service's steps are noted.
const SERVICE_TABLE: &str = "service_migrations";

const LIBRARY: &[Migration] = &[
    Migration {
        version: 1,
        description: "inbox and outbox",
        postgres: include_str!("migrations/0001_postgres.sql"),
        sqlite: include_str!("migrations/0001_sqlite.sql"),
    },
    Migration {
        version: 2,
        description: "owners of partitions",
        postgres: include_str!("migrations/0002_postgres.sql"),
        sqlite: include_str!("migrations/0002_sqlite.sql"),
    },
    Migration {
        version: 3,
        description: "the inbox by event id",
        postgres: include_str!("migrations/0003_postgres.sql"),
        sqlite: include_str!("migrations/0003_sqlite.sql"),
    },
    Migration {
        version: 4,
        description: "shards of the outbox",
        postgres: include_str!("migrations/0004_postgres.sql"),
        sqlite: include_str!("migrations/0004_sqlite.sql"),
    },
    Migration {
        version: 5,
        description: "what was purged from the inbox",
        postgres: include_str!("migrations/0005_postgres.sql"),
        sqlite: include_str!("migrations/0005_sqlite.sql"),
    },
    Migration {
        version: 6,
        description: "ranges that run again",
        postgres: include_str!("migrations/0006_postgres.sql"),
        sqlite: include_str!("migrations/0006_sqlite.sql"),
    },
];

/// The last of the library's steps.
pub(super) const LAST_STEP: i64 = LIBRARY[LIBRARY.len() - 1].version;

/// The last of the library's steps that ran on this database; 0 where none has.
pub(super) async fn last_step(backend: &Backend) -> Result<i64, sqlx::Error> {
    const LAST: &str = "SELECT max(version) FROM event_bus_migrations WHERE success";
    let last: Option<i64> = match backend {
        Backend::Postgres(pool) => {
            let exists = "SELECT to_regclass('event_bus_migrations') IS NOT NULL";
            if !sqlx::query_scalar(exists).fetch_one(pool).await? {
                return Ok(0);
            }
            sqlx::query_scalar(LAST).fetch_one(pool).await?
        }
        Backend::Sqlite(pool) => {
            let exists =
                "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'event_bus_migrations'";
            if !sqlx::query_scalar(exists).fetch_one(pool).await? {
                return Ok(0);
            }
            sqlx::query_scalar(LAST).fetch_one(pool).await?
        }
    };
    Ok(last.unwrap_or(0))
}

/// The library's steps and a service's own, and where they are noted.
pub(super) fn of_service(own: &[Migration]) -> [(&'static str, &[Migration]); 2] {
    [(LIBRARY_TABLE, LIBRARY), (SERVICE_TABLE, own)]
}

/// Runs what has not run yet of each list of steps, which is noted in the table beside it.
pub(super) async fn run(
    backend: &Backend,
    lists: &[(&'static str, &[Migration])],
) -> Result<(), MigrateError> {
    for (table, steps) in lists.iter().copied() {
        match backend {
            Backend::Postgres(pool) => {
                migrator(table, steps, |step| step.postgres).run(pool).await?;
            }
            Backend::Sqlite(pool) => {
                // On SQLite sqlx takes no lock: without this one two processes that start at once run the same step.
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                // `Migrator::run` as it is for a borrowed connection: that one's future can't be sent to a task.
                migrator(table, steps, |step| step.sqlite)
                    .run_direct(None, &mut *tx, false)
                    .await?;
                tx.commit().await?;
            }
        }
    }
    Ok(())
}

fn migrator(
    table: &'static str,
    steps: &[Migration],
    sql: impl Fn(&Migration) -> &'static str,
) -> Migrator {
    let steps = steps
        .iter()
        .map(|step| {
            let description = Cow::Borrowed(step.description);
            sqlx::migrate::Migration::new(
                step.version,
                description,
                MigrationType::Simple,
                sql(step).into_sql_str(),
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(steps);
    migrator.dangerous_set_table_name(table);
    migrator
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn what_was_processed_before_the_inbox_was_keyed_by_id_is_still_known() {
        let memory = SqlitePoolOptions::new().max_connections(1);
        let pool = memory.connect("sqlite::memory:").await.expect("SQLite opens");
        let before = migrator(LIBRARY_TABLE, &LIBRARY[..2], |step| step.sqlite);
        before.run(&pool).await.expect("the first steps run");
        let row = "INSERT INTO processed_events
                     (consumer_group, tenant_id, topic, event_id, status, value_sha256, partition_id, record_offset)
                   VALUES ('group', 'tenant', 'topic', 'id', 'done', x'07', 3, 42)";
        sqlx::query(row).execute(&pool).await.expect("the row fits");
        run(&Backend::Sqlite(pool.clone()), &of_service(&[])).await.expect("the later steps run");
        let kept =
            "SELECT count(*) FROM processed_events WHERE event_id = 'id' AND record_offset = 42";
        let kept: i64 = sqlx::query_scalar(kept).fetch_one(&pool).await.expect("it can be read");
        assert_eq!(kept, 1);
    }
}
