//! What SQLite says in its own way. Every transaction here has the writer's lock, so nothing needs to wait for a twin.

pub(super) mod outbox;
pub(super) mod relays;

use sqlx::types::Uuid;
use sqlx::{Error, SqliteConnection};

use super::inbox::{Claim, Claimant, Claimed};

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
         WHERE consumer_group = $1 AND epoch = $5 AND tenant_id = $2 AND topic = $3 AND event_id = $4",
    )
    .bind(claimant.group.as_ref())
    .bind(&claim.tenant)
    .bind(claimant.topic.as_ref())
    .bind(claim.event_id.to_string())
    .bind(claimant.epoch)
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
           (consumer_group, epoch, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset)
         SELECT $1, $11, $2, $3, $4, $5, $6, $7, $8, $9 WHERE $9 >= $10
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
    .bind(claimant.epoch)
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 1 {
        return Ok(Claimed::Fresh);
    }
    let known = known_hash(connection, claimant, claim).await?;
    Ok(claim.against(known.as_deref()))
}
