//! The outbox's rows on PostgreSQL.

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Error, PgConnection, SqlSafeStr as _, SqlStr};

use crate::envelope::OutgoingRecord;
use crate::flaw::{Flaw, Flaws};
use crate::store::outbox::{contents, encode_headers, waiting};
use crate::store::relays::{Lease, SHARDS, Scan};

/// Locks the buckets (class 1161973592, the letters EBOX) of the rows' keys, in ascending order so that no two
/// transactions wait for each other, and then writes the rows. The ids are drawn behind the locks, which are held to
/// the commit: per key, the order of ids is the order of commits. 1,024 buckets keep the lock table small.
///
/// One statement, and so one round trip: `locked` is a single row that is there once all locks are held, each row to be
/// written is joined with it, and an id is drawn for what comes out of the join.
pub(in crate::store) async fn insert_outgoing(
    connection: &mut PgConnection,
    records: &[OutgoingRecord],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = records.iter().map(|record| record.event_id.as_uuid()).collect();
    let topics: Vec<&str> = records.iter().map(|record| record.topic.as_ref()).collect();
    let partitions: Vec<Option<i32>> = records.iter().map(|record| record.partition).collect();
    let keys: Vec<Option<&[u8]>> = records.iter().map(|record| record.key.as_deref()).collect();
    let values: Vec<Option<&[u8]>> = records.iter().map(|record| record.value.as_deref()).collect();
    let headers: Vec<String> =
        records.iter().map(|record| encode_headers(&record.headers)).collect();
    sqlx::query(
        "WITH locked AS MATERIALIZED (
           SELECT count(pg_advisory_xact_lock(1161973592, bucket)) AS buckets
           FROM (SELECT DISTINCT event_bus_bucket(topic, record_key) AS bucket
                 FROM unnest($2::text[], $4::bytea[]) AS record (topic, record_key)
                 ORDER BY bucket) AS ascending)
         INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers)
         SELECT id, topic, place, record_key, record_value, headers
         FROM locked,
           unnest($1::uuid[], $2::text[], $3::integer[], $4::bytea[], $5::bytea[], $6::text[])
           WITH ORDINALITY AS record (id, topic, place, record_key, record_value, headers, nth)
         ORDER BY nth",
    )
    .bind(&ids)
    .bind(&topics)
    .bind(&partitions)
    .bind(&keys)
    .bind(&values)
    .bind(&headers)
    .execute(connection)
    .await
    .map(drop)
}

/// The statement, unless a mistake is to be made, see [`Flaw`].
fn mistaken(sql: &'static str) -> SqlStr {
    const ORDER: &str = " ORDER BY id";
    const PLACE: &str = "id AS nth";
    const FENCE: &str = " AND bucket & 7 IN (";
    let flaws = Flaws::of_process();
    let mistaken = if flaws.have(Flaw::OrderByTransactionId) {
        sql.replace(ORDER, " ORDER BY xmin::text::bigint, id")
            .replace(PLACE, "xmin::text::numeric * 1000000000 + id AS nth")
    } else if flaws.have(Flaw::SkipLockedWorkers) && sql.contains(" LIMIT ") {
        // As FOR UPDATE SKIP LOCKED, for as long as the session lasts.
        sql.replacen(" ORDER BY nth", " AND pg_try_advisory_lock(1, id::integer) ORDER BY nth", 1)
    } else if flaws.have(Flaw::LeaseWithoutFence)
        && let Some((rest, _)) = sql.split_once(FENCE)
    {
        rest.to_owned()
    } else {
        return sql.into_sql_str();
    };
    AssertSqlSafe(mistaken).into_sql_str()
}

/// Ids, shards, and how large key, value and headers are.
///
/// The conditions say what is left out. Where PostgreSQL has no statistics, as after a great many inserts at once, it takes
/// an `=` to be true of one row in two hundred: it would not expect to find as many rows as are asked for, and sort all of
/// the outbox at each look instead of walking along its key.
pub(in crate::store) async fn waiting_outgoing(
    connection: &mut PgConnection,
    scan: &Scan<'_>,
) -> Result<Vec<PgRow>, Error> {
    let left_out: Vec<&str> = scan.left_out.iter().map(AsRef::as_ref).collect();
    let others: Vec<i32> = (0..SHARDS).filter(|shard| !scan.shards.contains(shard)).collect();
    sqlx::query(mistaken(waiting!(
        postgres,
        "bucket & 7 <> ALL ($3)",
        "topic <> ALL ($4) AND id <> ALL ($7)"
    )))
    .bind(scan.most)
    .bind(scan.from)
    .bind(others)
    .bind(left_out)
    .bind(scan.whole_from)
    .bind(scan.whole_bytes)
    .bind(scan.known)
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn outgoing(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<PgRow>, Error> {
    sqlx::query(mistaken(concat!(
        "SELECT id, ",
        contents!(postgres, "", ""),
        " FROM outbox WHERE id = ANY ($1) AND status = 'pending' ORDER BY id"
    )))
    .bind(ids)
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn remove_sent(
    connection: &mut PgConnection,
    leases: &[Lease],
    ids: &[i64],
) -> Result<(), Error> {
    let (shards, tokens): (Vec<i32>, Vec<i64>) =
        leases.iter().map(|lease| (lease.shard, lease.token)).unzip();
    sqlx::query(mistaken(
        "DELETE FROM outbox WHERE id = ANY ($1) AND bucket & 7 IN (
           SELECT shard FROM outbox_lease JOIN unnest($2::integer[], $3::bigint[]) AS held (shard, token)
           USING (shard, token))",
    ))
    .bind(ids)
    .bind(shards)
    .bind(tokens)
    .execute(connection)
    .await
    .map(drop)
}

/// Seconds that the first row waits, and the number of quarantined rows.
pub(in crate::store) async fn outbox_backlog(
    connection: &mut PgConnection,
) -> Result<(Option<f64>, i64), Error> {
    sqlx::query_as(
        "SELECT (SELECT extract(epoch FROM now() - created_at)::float8 FROM outbox
                 WHERE status = 'pending' ORDER BY id LIMIT 1),
                (SELECT count(*) FROM outbox WHERE status = 'quarantined')",
    )
    .fetch_one(connection)
    .await
}

/// Waits until no transaction has a row under the bucket of this row's topic and key that is not committed, and lets
/// none begin before this one ends.
pub(in crate::store) async fn lock_bucket_of(
    connection: &mut PgConnection,
    id: i64,
) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(1161973592, bucket) FROM outbox WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}
