//! What SQLite says in its own way. Every transaction here has the writer's lock, so nothing needs to wait for a twin.

use std::time::Duration;

use sqlx::types::Uuid;
use sqlx::{Error, Row as _, SqliteConnection};

use super::inbox::{Claim, Claimant, Claimed};
use super::outbox::{PendingRow, RawRow, encode_headers, pending};
use crate::envelope::OutgoingRecord;

pub(super) async fn probe(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("SELECT 1").execute(connection).await.map(drop)
}

/// Whether another connection has the file, by the primary result code: the extended ones hold it in their low byte.
pub(super) fn is_busy(error: &Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// Says whether SQLite has ended the transaction, as it does when a disk is full or a statement says so (`OR
/// ROLLBACK`). What follows would be committed statement by statement, so another transaction stands in then.
///
/// There is no statement that asks; but `BEGIN` fails within a transaction, and otherwise is what is wanted.
pub(super) async fn replace_ended(connection: &mut SqliteConnection) -> bool {
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(connection).await.is_ok()
}

/// Takes back what followed the end of a transaction; its COMMIT then says that there is none.
pub(super) async fn roll_back(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::raw_sql("ROLLBACK").execute(connection).await.map(drop)
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claimant: &Claimant<'_>,
    claims: &[Claim],
) -> Result<Vec<Claimed>, Error> {
    let mut answers = Vec::with_capacity(claims.len());
    for claim in claims {
        answers.push(insert(connection, claimant, claim, "done", None).await?);
    }
    Ok(answers)
}

async fn known_hash(
    connection: &mut SqliteConnection,
    claimant: &Claimant<'_>,
    claim: &Claim,
) -> Result<Option<Vec<u8>>, Error> {
    sqlx::query_scalar(
        "SELECT value_sha256 FROM processed_events
         WHERE consumer_group = $1 AND epoch = 0 AND tenant_id = $2 AND topic = $3 AND event_id = $4",
    )
    .bind(claimant.group.as_ref())
    .bind(&claim.tenant)
    .bind(claimant.topic.as_ref())
    .bind(claim.event_id.to_string())
    .fetch_optional(connection)
    .await
}

pub(super) async fn mark_dead(
    connection: &mut SqliteConnection,
    claimant: &Claimant<'_>,
    claim: &Claim,
    dlq_id: Uuid,
) -> Result<Claimed, Error> {
    insert(connection, claimant, claim, "dead", Some(dlq_id.to_string())).await
}

async fn insert(
    connection: &mut SqliteConnection,
    claimant: &Claimant<'_>,
    claim: &Claim,
    status: &str,
    dlq_id: Option<String>,
) -> Result<Claimed, Error> {
    let written = sqlx::query(
        "INSERT INTO processed_events
           (consumer_group, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE $9 >= $10
         ON CONFLICT DO NOTHING",
    )
    .bind(claimant.group.as_ref())
    .bind(&claim.tenant)
    .bind(claimant.topic.as_ref())
    .bind(claim.event_id.to_string())
    .bind(status)
    .bind(dlq_id)
    .bind(claim.sha256.as_slice())
    .bind(claimant.partition)
    .bind(claim.offset)
    .bind(claimant.purged_below)
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 1 {
        return Ok(Claimed::Fresh);
    }
    let known = known_hash(connection, claimant, claim).await?;
    Ok(claim.against(known.as_deref()))
}

pub(super) async fn insert_outgoing(
    connection: &mut SqliteConnection,
    records: &[OutgoingRecord],
) -> Result<(), Error> {
    for record in records {
        sqlx::query(
            "INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(record.event_id.to_string())
        .bind(record.topic.as_ref())
        .bind(record.partition)
        .bind(record.key.as_deref())
        .bind(record.value.as_deref())
        .bind(encode_headers(&record.headers))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn hold_relay_lease(
    connection: &mut SqliteConnection,
    holder: Uuid,
    time: Duration,
) -> Result<Option<i64>, Error> {
    sqlx::query_scalar(
        "UPDATE outbox_lease
         SET token = CASE WHEN holder = $1 AND expires_at > unixepoch('subsec') THEN token ELSE token + 1 END,
             holder = $1, expires_at = unixepoch('subsec') + $2
         WHERE shard = 0 AND (expires_at <= unixepoch('subsec') OR holder = $1)
         RETURNING token",
    )
    .bind(holder.to_string())
    .bind(time.as_secs_f64())
    .fetch_optional(connection)
    .await
}

pub(super) async fn release_relay_lease(
    connection: &mut SqliteConnection,
    token: i64,
) -> Result<(), Error> {
    sqlx::query("UPDATE outbox_lease SET expires_at = 0 WHERE shard = 0 AND token = $1")
        .bind(token)
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn pending_outgoing(
    connection: &mut SqliteConnection,
    most: i64,
    left_out: &[&str],
) -> Result<Vec<PendingRow>, Error> {
    let left_out = serde_json::to_string(left_out).expect("strings always serialise");
    let statement = pending!(
        "topic NOT IN (SELECT value FROM json_each($2))",
        "CAST(round(unixepoch(created_at, 'subsec') * 1000) AS INTEGER)"
    );
    let rows = sqlx::query(statement).bind(most).bind(left_out).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let event_id: String = row.try_get("event_id")?;
            RawRow {
                id: row.try_get("id")?,
                event_id: Uuid::parse_str(&event_id)
                    .map_err(|error| Error::Decode(Box::new(error)))?,
                topic: row.try_get("topic")?,
                partition: row.try_get("partition_id")?,
                key: row.try_get("record_key")?,
                value: row.try_get("record_value")?,
                headers: row.try_get("headers")?,
                created_ms: row.try_get("created_ms")?,
            }
            .decoded()
        })
        .collect()
}

pub(super) async fn remove_sent(
    connection: &mut SqliteConnection,
    token: i64,
    ids: &[i64],
) -> Result<(), Error> {
    let ids = serde_json::to_string(ids).expect("integers always serialise");
    sqlx::query(
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1))
         AND EXISTS (SELECT 1 FROM outbox_lease WHERE shard = 0 AND token = $2)",
    )
    .bind(ids)
    .bind(token)
    .execute(connection)
    .await
    .map(drop)
}

/// Seconds that the first row waits, and the number of quarantined rows.
pub(super) async fn outbox_backlog(
    connection: &mut SqliteConnection,
) -> Result<(Option<f64>, i64), Error> {
    sqlx::query_as(
        "SELECT (SELECT (julianday('now') - julianday(created_at)) * 86400.0 FROM outbox
                 WHERE status = 'pending' ORDER BY id LIMIT 1),
                (SELECT count(*) FROM outbox WHERE status = 'quarantined')",
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn quarantine(
    connection: &mut SqliteConnection,
    token: i64,
    id: i64,
    error: &str,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE outbox SET status = 'quarantined', error = $3 WHERE id = $1
         AND EXISTS (SELECT 1 FROM outbox_lease WHERE shard = 0 AND token = $2)",
    )
    .bind(id)
    .bind(token)
    .bind(error)
    .execute(connection)
    .await
    .map(drop)
}
