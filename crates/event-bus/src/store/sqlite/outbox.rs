//! The outbox's rows on SQLite.

use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection};

use crate::envelope::OutgoingRecord;
use crate::store::outbox::{contents, encode_headers, waiting};
use crate::store::relays::{Lease, Scan};

pub(in crate::store) async fn insert_outgoing(
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

/// Ids, shards, and how large key, value and headers are.
pub(in crate::store) async fn waiting_outgoing(
    connection: &mut SqliteConnection,
    scan: &Scan<'_>,
) -> Result<Vec<SqliteRow>, Error> {
    let left_out: Vec<&str> = scan.left_out.iter().map(AsRef::as_ref).collect();
    sqlx::query(waiting!(
        sqlite,
        "bucket & 7 IN (SELECT value FROM json_each($3))",
        "topic NOT IN (SELECT value FROM json_each($4)) AND id NOT IN (SELECT value FROM json_each($7))"
    ))
    .bind(scan.most)
    .bind(scan.from)
    .bind(json(scan.shards))
    .bind(json(&left_out))
    .bind(scan.whole_from)
    .bind(scan.whole_bytes)
    .bind(json(scan.known))
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn outgoing(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<Vec<SqliteRow>, Error> {
    sqlx::query(concat!(
        "SELECT id, ",
        contents!(sqlite, "", ""),
        " FROM outbox WHERE id IN (SELECT value FROM json_each($1)) AND status = 'pending' ORDER BY id"
    ))
    .bind(json(ids))
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn remove_sent(
    connection: &mut SqliteConnection,
    leases: &[Lease],
    ids: &[i64],
) -> Result<(), Error> {
    let held: Vec<(i32, i64)> = leases.iter().map(|lease| (lease.shard, lease.token)).collect();
    sqlx::query(
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1)) AND bucket & 7 IN (
           SELECT shard FROM outbox_lease, json_each($2) AS held
           WHERE shard = held.value ->> 0 AND token = held.value ->> 1)",
    )
    .bind(json(ids))
    .bind(json(&held))
    .execute(connection)
    .await
    .map(drop)
}

/// Seconds that the first row waits, and the number of quarantined rows.
pub(in crate::store) async fn outbox_backlog(
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

fn json(values: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(values).expect("numbers and strings always serialise")
}
