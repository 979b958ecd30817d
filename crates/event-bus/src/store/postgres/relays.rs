//! Leases on PostgreSQL, and which ids are decided.

use std::time::Duration;

use sqlx::types::Uuid;
use sqlx::{Error, PgConnection};

/// Tells the others that a relay is alive, and gives the number of those that are.
pub(in crate::store) async fn relay_lives(
    connection: &mut PgConnection,
    holder: Uuid,
    time: Duration,
) -> Result<i64, Error> {
    sqlx::query("DELETE FROM outbox_relays WHERE expires_at <= now() AND holder <> $1")
        .bind(holder)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO outbox_relays (holder, expires_at) VALUES ($1, now() + make_interval(secs => $2))
         ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at",
    )
    .bind(holder)
    .bind(time.as_secs_f64())
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar("SELECT count(*) FROM outbox_relays WHERE expires_at > now()")
        .fetch_one(connection)
        .await
}

pub(in crate::store) async fn keep_leases(
    connection: &mut PgConnection,
    holder: Uuid,
    time: Duration,
) -> Result<Vec<(i32, i64)>, Error> {
    sqlx::query_as(
        "UPDATE outbox_lease
         SET token = CASE WHEN expires_at > now() THEN token ELSE token + 1 END,
             expires_at = now() + make_interval(secs => $2)
         WHERE holder = $1
         RETURNING shard, token",
    )
    .bind(holder)
    .bind(time.as_secs_f64())
    .fetch_all(connection)
    .await
}

/// All leases, whoever holds them: what a mistake works under, see [`Flaw::SkipLockedWorkers`](crate::flaw::Flaw).
pub(in crate::store) async fn all_leases(
    connection: &mut PgConnection,
) -> Result<Vec<(i32, i64)>, Error> {
    sqlx::query_as("SELECT shard, token FROM outbox_lease").fetch_all(connection).await
}

pub(in crate::store) async fn take_leases(
    connection: &mut PgConnection,
    holder: Uuid,
    time: Duration,
    most: i64,
) -> Result<Vec<(i32, i64)>, Error> {
    sqlx::query_as(
        "UPDATE outbox_lease
         SET token = token + 1, holder = $1, expires_at = now() + make_interval(secs => $2)
         WHERE expires_at <= now() AND shard IN (
           SELECT shard FROM outbox_lease WHERE expires_at <= now() ORDER BY shard LIMIT $3 FOR UPDATE)
         RETURNING shard, token",
    )
    .bind(holder)
    .bind(time.as_secs_f64())
    .bind(most)
    .fetch_all(connection)
    .await
}

/// The leases that have not expired, and who holds them.
pub(in crate::store) async fn holders(
    connection: &mut PgConnection,
) -> Result<Vec<(i32, String)>, Error> {
    sqlx::query_as(
        "SELECT shard, CAST(holder AS text) FROM outbox_lease
         WHERE expires_at > now() AND holder IS NOT NULL ORDER BY shard",
    )
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn release_lease(
    connection: &mut PgConnection,
    (shard, token): (i32, i64),
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE outbox_lease SET expires_at = '-infinity', holder = NULL WHERE shard = $1 AND token = $2",
    )
    .bind(shard)
    .bind(token)
    .execute(connection)
    .await
    .map(drop)
}

/// The last id that was drawn; 0 before the first.
pub(in crate::store) async fn last_drawn(connection: &mut PgConnection) -> Result<i64, Error> {
    sqlx::query_scalar(
        "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0)",
    )
    .fetch_one(connection)
    .await
}

/// Where the server's log ends, unless it is on the disk up to there.
pub(in crate::store) async fn log_end(
    connection: &mut PgConnection,
) -> Result<Option<String>, Error> {
    sqlx::query_scalar(
        "SELECT CAST(CASE WHEN pg_current_wal_flush_lsn() < log_end THEN log_end END AS text)
         FROM pg_current_wal_insert_lsn() AS log_end",
    )
    .fetch_one(connection)
    .await
}

/// Whether the server's log is on the disk up to there.
pub(in crate::store) async fn is_logged(
    connection: &mut PgConnection,
    end: &str,
) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT pg_current_wal_flush_lsn() >= $1::text::pg_lsn")
        .bind(end)
        .fetch_one(connection)
        .await
}

/// The transactions that have written to the outbox and not ended.
pub(in crate::store) async fn writers(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(
        "SELECT DISTINCT virtualtransaction FROM pg_locks
         WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
           AND relation = 'outbox'::regclass
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_all(connection)
    .await
}
