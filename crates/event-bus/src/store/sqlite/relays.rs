//! Leases on SQLite.

use std::time::Duration;

use sqlx::types::Uuid;
use sqlx::{Error, SqliteConnection};

/// Tells the others that a relay is alive, and gives the number of those that are.
pub(in crate::store) async fn relay_lives(
    connection: &mut SqliteConnection,
    holder: Uuid,
    time: Duration,
) -> Result<i64, Error> {
    sqlx::query(
        "DELETE FROM outbox_relays WHERE expires_at <= unixepoch('subsec') AND holder <> $1",
    )
    .bind(holder.to_string())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO outbox_relays (holder, expires_at) VALUES ($1, unixepoch('subsec') + $2)
         ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at",
    )
    .bind(holder.to_string())
    .bind(time.as_secs_f64())
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar("SELECT count(*) FROM outbox_relays WHERE expires_at > unixepoch('subsec')")
        .fetch_one(connection)
        .await
}

pub(in crate::store) async fn keep_leases(
    connection: &mut SqliteConnection,
    holder: Uuid,
    time: Duration,
) -> Result<Vec<(i32, i64)>, Error> {
    sqlx::query_as(
        "UPDATE outbox_lease
         SET token = CASE WHEN expires_at > unixepoch('subsec') THEN token ELSE token + 1 END,
             expires_at = unixepoch('subsec') + $2
         WHERE holder = $1
         RETURNING shard, token",
    )
    .bind(holder.to_string())
    .bind(time.as_secs_f64())
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn take_leases(
    connection: &mut SqliteConnection,
    holder: Uuid,
    time: Duration,
    most: i64,
) -> Result<Vec<(i32, i64)>, Error> {
    sqlx::query_as(
        "UPDATE outbox_lease
         SET token = token + 1, holder = $1, expires_at = unixepoch('subsec') + $2
         WHERE shard IN (
           SELECT shard FROM outbox_lease WHERE expires_at <= unixepoch('subsec') ORDER BY shard LIMIT $3)
         RETURNING shard, token",
    )
    .bind(holder.to_string())
    .bind(time.as_secs_f64())
    .bind(most)
    .fetch_all(connection)
    .await
}

/// The leases that have not expired, and who holds them.
pub(in crate::store) async fn holders(
    connection: &mut SqliteConnection,
) -> Result<Vec<(i32, String)>, Error> {
    sqlx::query_as(
        "SELECT shard, CAST(holder AS text) FROM outbox_lease
         WHERE expires_at > unixepoch('subsec') AND holder IS NOT NULL ORDER BY shard",
    )
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn release_lease(
    connection: &mut SqliteConnection,
    (shard, token): (i32, i64),
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE outbox_lease SET expires_at = 0, holder = NULL WHERE shard = $1 AND token = $2",
    )
    .bind(shard)
    .bind(token)
    .execute(connection)
    .await
    .map(drop)
}

pub(in crate::store) async fn last_drawn(connection: &mut SqliteConnection) -> Result<i64, Error> {
    sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'")
        .fetch_one(connection)
        .await
}
