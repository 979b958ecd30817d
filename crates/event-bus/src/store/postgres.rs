//! What PostgreSQL says in its own way.

pub(super) mod outbox;
pub(super) mod relays;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Error, PgConnection, Row as _};

use super::inbox::{Claim, Claimant, Claimed};

/// `3D000 invalid_catalog_name`
const MISSING_DATABASE: &str = "3D000";
/// `42P04 duplicate_database` and `23505 unique_violation`, which a race of two creations ends in.
const DUPLICATE_DATABASE: [&str; 2] = ["42P04", "23505"];
/// `42P06 duplicate_schema` and `23505 unique_violation`, likewise.
const DUPLICATE_SCHEMA: [&str; 2] = ["42P06", "23505"];
/// The class of the advisory locks of partitions, the letters EBPO; those of the outbox are another.
const PARTITION_LOCKS: i32 = 1_161_973_839;
/// How long a takeover waits for the transactions of the last owner.
const TAKEOVER_LOCK_TIMEOUT: &str = "5s";
/// What PostgreSQL's own `search_path` begins with: no schema was asked for.
const USERS_SCHEMA: &str = "$user";

pub(super) async fn probe(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT 1").execute(connection).await.map(drop)
}

pub(super) fn is_missing_database(error: &Error) -> bool {
    code_of(error).is_some_and(|code| code == MISSING_DATABASE)
}

pub(super) fn is_duplicate_database(error: &Error) -> bool {
    code_of(error).is_some_and(|code| DUPLICATE_DATABASE.contains(&code.as_str()))
}

fn code_of(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Makes the schema that the URL's `search_path` names first, where it is not there: what a service makes would land
/// in the next schema of the path, among the tables of others.
pub(super) async fn create_missing_schema(connection: &mut PgConnection) -> Result<(), Error> {
    let (path, current): (String, Option<String>) =
        sqlx::query_as("SELECT current_setting('search_path'), current_schema()")
            .fetch_one(&mut *connection)
            .await?;
    let first = first_schema(&path);
    if first == USERS_SCHEMA || current.is_some_and(|current| current == first) {
        return Ok(());
    }
    let statement = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", first.replace('"', "\"\""));
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await {
        // IF NOT EXISTS does not see what another service is creating at this moment.
        Err(error)
            if code_of(&error).is_none_or(|code| !DUPLICATE_SCHEMA.contains(&code.as_str())) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// The first name of a `search_path`. PostgreSQL reads what is not quoted in lower case.
fn first_schema(path: &str) -> String {
    let path = path.trim_start();
    let Some(quoted) = path.strip_prefix('"') else {
        return path.split(',').next().unwrap_or_default().trim().to_lowercase();
    };
    let mut name = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        // Two quotes within quotes mean one.
        if letter == '"' && letters.next_if_eq(&'"').is_none() {
            break;
        }
        name.push(letter);
    }
    name
}

/// Waits until no transaction of the partition's owners is open, and lets none begin before this one ends. A former owner
/// may be frozen in the middle of one.
pub(super) async fn lock_partition(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
) -> Result<(), Error> {
    sqlx::query("SELECT set_config('lock_timeout', $1, true)")
        .bind(TAKEOVER_LOCK_TIMEOUT)
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(PARTITION_LOCKS)
        .bind(lock_of(claimant))
        .execute(connection)
        .await
        .map(drop)
}

/// Makes a takeover of the partition wait for the end of the transaction, and says under which token the partition is.
/// Row locks would not do: where owners' transactions overlap, a takeover never gets its turn. The lock is no part of the
/// `BEGIN`: sqlx rolls nothing back of a `BEGIN` that failed or that nobody waits for any more, and the pool would hand
/// the connection out in the midst of a transaction.
pub(super) async fn share_partition(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    limit: Duration,
) -> Result<Option<i64>, Error> {
    sqlx::query_scalar("SELECT event_bus_share_partition($1, $2, $3, $4, $5, $6)")
        .bind(PARTITION_LOCKS)
        .bind(lock_of(claimant))
        .bind(claimant.group.as_ref())
        .bind(claimant.topic.as_ref())
        .bind(claimant.partition)
        .bind(i32::try_from(limit.as_millis()).unwrap_or(i32::MAX))
        .fetch_one(connection)
        .await
}

/// A hash: partitions that share one wait for each other's takeovers, and nothing else.
fn lock_of(claimant: &Claimant<'_>) -> i32 {
    let name = format!("{}/{}/{}", claimant.group, claimant.topic, claimant.partition);
    let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    i32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// First in the handler's transaction: under READ COMMITTED a SELECT before the INSERT would let two twins in.
/// The INSERT waits for a twin that is not committed yet.
pub(super) async fn claim(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    claims: &[Claim],
) -> Result<Vec<Claimed>, Error> {
    let tenants: Vec<&str> = claims.iter().map(|claim| claim.tenant.as_str()).collect();
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.event_id.as_uuid()).collect();
    let hashes: Vec<&[u8]> = claims.iter().map(|claim| claim.sha256.as_slice()).collect();
    let offsets: Vec<i64> = claims.iter().map(|claim| claim.offset).collect();
    let fresh: HashSet<i64> = sqlx::query_scalar(
        "INSERT INTO processed_events
           (consumer_group, epoch, tenant_id, topic, event_id, status, value_sha256, partition_id, record_offset)
         SELECT $1, $9, tenant, $2, id, 'done', hash, $3, place
         FROM unnest($4::text[], $5::uuid[], $6::bytea[], $7::bigint[]) AS claim (tenant, id, hash, place)
         WHERE place >= $8
         ON CONFLICT DO NOTHING
         RETURNING record_offset",
    )
    .bind(claimant.group.as_ref())
    .bind(claimant.topic.as_ref())
    .bind(claimant.partition)
    .bind(&tenants)
    .bind(&ids)
    .bind(&hashes)
    .bind(&offsets)
    .bind(claimant.purged_below)
    .bind(claimant.epoch)
    .fetch_all(&mut *connection)
    .await?
    .into_iter()
    .collect();
    if fresh.len() == claims.len() {
        return Ok(vec![Claimed::Fresh; claims.len()]);
    }
    let known = known_hashes(connection, claimant, &tenants, &ids).await?;
    Ok(claims
        .iter()
        .map(|claim| match known.get(&(claim.tenant.clone(), claim.event_id.as_uuid())) {
            _ if fresh.contains(&claim.offset) => Claimed::Fresh,
            known => claim.against(known.map(Vec::as_slice)),
        })
        .collect())
}

async fn known_hashes(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    tenants: &[&str],
    ids: &[Uuid],
) -> Result<HashMap<(String, Uuid), Vec<u8>>, Error> {
    let rows: Vec<PgRow> = sqlx::query(
        "SELECT tenant_id, event_id, value_sha256 FROM processed_events
         WHERE consumer_group = $1 AND epoch = $5 AND topic = $2
           AND (tenant_id, event_id) IN (SELECT * FROM unnest($3::text[], $4::uuid[]))",
    )
    .bind(claimant.group.as_ref())
    .bind(claimant.topic.as_ref())
    .bind(tenants)
    .bind(ids)
    .bind(claimant.epoch)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

pub(super) async fn mark_dead(
    connection: &mut PgConnection,
    claimant: &Claimant<'_>,
    claim: &Claim,
    dlq_id: Uuid,
) -> Result<Claimed, Error> {
    let written = sqlx::query(
        "INSERT INTO processed_events
           (consumer_group, epoch, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset)
         SELECT $1, $10, $2, $3, $4, 'dead', $5, $6, $7, $8 WHERE $8 >= $9
         ON CONFLICT DO NOTHING",
    )
    .bind(claimant.group.as_ref())
    .bind(&claim.tenant)
    .bind(claimant.topic.as_ref())
    .bind(claim.event_id.as_uuid())
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
    let id = claim.event_id.as_uuid();
    let known = known_hashes(connection, claimant, &[&claim.tenant], &[id]).await?;
    Ok(claim.against(known.get(&(claim.tenant.clone(), id)).map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_schema_of_a_path_is_read_as_postgres_reads_it() {
        assert_eq!(first_schema("billing"), "billing");
        assert_eq!(first_schema(" Billing , public"), "billing");
        assert_eq!(first_schema("\"Billing, old\",public"), "Billing, old");
        assert_eq!(first_schema("\"a \"\"b\"\" c\""), "a \"b\" c");
        assert_eq!(first_schema("\"$user\", public"), USERS_SCHEMA);
    }
}
