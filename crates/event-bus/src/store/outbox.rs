//! The outbox table, as the relay sees it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::types::Uuid;
use sqlx::{PgConnection, SqliteConnection};

use super::connect::{Backend, Store};
use super::relays::Lease;
use super::sql::{Row, RowOf};
use super::{postgres, sqlite};
use crate::envelope::OutgoingRecord;
use crate::headers::Header;

/// How many rows are counted one by one where somebody asks how many wait.
pub const COUNTED: i64 = 10_000;

/// A row that waits, and may be sent.
#[derive(Debug)]
pub struct Waiting {
    /// Its place in the order.
    pub id: i64,
    /// The shard that its topic and key are in.
    pub shard: i32,
    /// How large its key, value and headers are.
    pub bytes: i64,
    /// What it says, where it was asked for whole.
    pub row: Option<Outgoing>,
}

/// What a row says that was read to be sent.
pub type Outgoing = Result<PendingRow, UnreadableRow>;

/// A row that waits to be sent.
#[derive(Clone, Debug)]
pub struct PendingRow {
    /// Its place in the order.
    pub id: i64,
    /// What is to be sent.
    pub record: OutgoingRecord,
    /// When it was written, by the database's clock: on PostgreSQL the begin of its transaction.
    pub since: Timestamp,
}

impl Waiting {
    pub(super) fn of(row: &Row) -> Result<Self, sqlx::Error> {
        let is_whole = row.get::<Option<String>>("event_id")?.is_some();
        Ok(Self {
            id: row.get("id")?,
            shard: row.get("shard")?,
            bytes: row.get("bytes")?,
            row: is_whole.then(|| RawRow::of(row)).transpose()?.map(RawRow::decoded),
        })
    }
}

/// A row that is none of ours: another program wrote what can't be a record.
#[derive(Debug, thiserror::Error)]
#[error("the row can't be read as a record: {column} is unusable")]
pub struct UnreadableRow {
    /// Its place in the order.
    pub id: i64,
    column: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// What the outbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How long the first row that is to be sent has waited, by the database's clock.
    pub oldest: Option<Duration>,
    /// Rows that can never be sent as they are. Those behind them under their topics and keys wait.
    pub quarantined: u64,
}

impl Backlog {
    fn of((seconds, quarantined): (Option<f64>, i64)) -> Backlog {
        // A clock that was set back makes a row come from the future.
        let oldest = seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)));
        Backlog { oldest, quarantined: quarantined.unsigned_abs() }
    }
}

/// A connection of sqlx with a transaction open on it, of either database.
pub trait OutboxConnection: sealed::Sealed {
    /// Writes records into the outbox, in their order and behind the locks of their keys.
    #[doc(hidden)]
    fn insert(
        &mut self,
        records: &[OutgoingRecord],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for sqlx::PgConnection {}
    impl Sealed for sqlx::SqliteConnection {}
}

impl OutboxConnection for PgConnection {
    async fn insert(&mut self, records: &[OutgoingRecord]) -> Result<(), sqlx::Error> {
        postgres::outbox::insert_outgoing(self, records).await
    }
}

impl OutboxConnection for SqliteConnection {
    async fn insert(&mut self, records: &[OutgoingRecord]) -> Result<(), sqlx::Error> {
        sqlite::outbox::insert_outgoing(self, records).await
    }
}

impl Store {
    /// What waits to be sent.
    ///
    /// # Errors
    /// The database's.
    pub async fn outbox_backlog(&self) -> Result<Backlog, sqlx::Error> {
        let backlog = match &self.backend {
            Backend::Postgres(pool) => {
                postgres::outbox::outbox_backlog(&mut *pool.acquire().await?).await
            }
            Backend::Sqlite(pool) => {
                sqlite::outbox::outbox_backlog(&mut *pool.acquire().await?).await
            }
        };
        backlog.map(Backlog::of)
    }

    /// How many rows are to be sent, those that wait behind a quarantined one included. They are counted among the first
    /// [`COUNTED`] rows; of what is behind those it is told how many ids were drawn, for to count a large backlog would slow
    /// down who sends it.
    ///
    /// # Errors
    /// The database's.
    pub async fn outbox_pending(&self) -> Result<u64, sqlx::Error> {
        // Not the first pending rows: PostgreSQL, which takes them for few, would read and sort all.
        const PENDING: &str = "SELECT count(CASE WHEN status = 'pending' THEN 1 END),
              CASE WHEN count(*) < $1 THEN 0 ELSE (SELECT max(id) FROM outbox) - max(first.id) END
            FROM (SELECT id, status FROM outbox ORDER BY id LIMIT $1) AS first";
        let (counted, behind): (i64, i64) = match &self.backend {
            Backend::Postgres(pool) => {
                sqlx::query_as(PENDING).bind(COUNTED).fetch_one(pool).await?
            }
            Backend::Sqlite(pool) => sqlx::query_as(PENDING).bind(COUNTED).fetch_one(pool).await?,
        };
        Ok((counted + behind).unsigned_abs())
    }

    /// Those of these rows that are still to be sent, in the order of their ids.
    ///
    /// # Errors
    /// The database's.
    pub async fn outgoing(&self, ids: &[i64]) -> Result<Vec<Outgoing>, sqlx::Error> {
        let rows: Vec<Row> = match &self.backend {
            Backend::Postgres(pool) => {
                let rows = postgres::outbox::outgoing(&mut *pool.acquire().await?, ids).await?;
                rows.into_iter().map(|row| Row(RowOf::Postgres(row))).collect()
            }
            Backend::Sqlite(pool) => {
                let rows = sqlite::outbox::outgoing(&mut *pool.acquire().await?, ids).await?;
                rows.into_iter().map(|row| Row(RowOf::Sqlite(row))).collect()
            }
        };
        rows.iter().map(|row| Ok(RawRow::of(row)?.decoded())).collect()
    }

    /// Sets a row of this lease's shard aside that can never be sent; the rows behind it under its topic and key wait.
    ///
    /// # Errors
    /// The database's.
    pub async fn quarantine_outgoing(
        &self,
        lease: Lease,
        id: i64,
        error: &str,
    ) -> Result<(), sqlx::Error> {
        let sql =
            "UPDATE outbox SET status = 'quarantined', error = $4 WHERE id = $1 AND bucket & 7 = $2
                   AND EXISTS (SELECT 1 FROM outbox_lease WHERE shard = $2 AND token = $3)";
        self.execute(sql, &[id.into(), lease.shard.into(), lease.token.into(), error.into()]).await
    }

    /// How many rows wait to be sent, quarantined ones among them.
    ///
    /// # Errors
    /// The database's.
    pub async fn outbox_len(&self) -> Result<i64, sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => {
                sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(pool).await
            }
            Backend::Sqlite(pool) => {
                sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(pool).await
            }
        }
    }
}

/// What a row says, in the words of a database. Each column stands between the two words.
macro_rules! contents {
    (postgres, $before:literal, $behind:literal) => {
        contents!(
            $before,
            $behind,
            "CAST(event_id AS text)",
            "record_key",
            "record_value",
            "(extract(epoch FROM created_at) * 1000)::bigint"
        )
    };
    // A service in another language may have written text where bytes belong.
    (sqlite, $before:literal, $behind:literal) => {
        contents!(
            $before,
            $behind,
            "event_id",
            "CAST(record_key AS BLOB)",
            "CAST(record_value AS BLOB)",
            "CAST(round(unixepoch(created_at, 'subsec') * 1000) AS INTEGER)"
        )
    };
    ($before:literal, $behind:literal, $id:literal, $key:literal, $value:literal, $created:literal) => {
        concat!(
            $before,
            $id,
            $behind,
            " AS event_id, ",
            $before,
            "topic",
            $behind,
            " AS topic, ",
            $before,
            "partition_id",
            $behind,
            " AS partition_id, ",
            $before,
            $key,
            $behind,
            " AS record_key, ",
            $before,
            $value,
            $behind,
            " AS record_value, ",
            $before,
            "headers",
            $behind,
            " AS headers, ",
            $before,
            $created,
            $behind,
            " AS created_ms"
        )
    };
}
pub(super) use contents;

/// The selection of the relay. `$1` is the most rows and `$2` the first id; the conditions are for its shards and leave
/// topics out. Rows from the id `$5` on come with what they say, as far as they are no more than `$6` bytes together.
///
/// By status and not behind a cursor: ids commit out of order, so a cursor would pass rows that show up later. `$2` is
/// none, see `decided`, and neither is `$5`: what shows up below comes too, and is read afterwards.
macro_rules! waiting {
    ($database:ident, $shards:literal, $topics:literal) => {
        concat!(
            "SELECT id, shard, CAST(bytes AS bigint) AS bytes, ",
            contents!($database, "CASE WHEN together <= $6 THEN ", " END"),
            " FROM (
               SELECT first.*, CASE WHEN id >= $5 THEN
                 sum(CASE WHEN id >= $5 THEN bytes END) OVER (ORDER BY nth ROWS UNBOUNDED PRECEDING) END AS together
               FROM (
                 SELECT waiting.*, id AS nth, bucket & 7 AS shard,
                   coalesce(length(record_key), 0) + coalesce(length(record_value), 0) + length(headers) AS bytes
                 FROM outbox AS waiting
                 WHERE status <> 'quarantined' AND id >= $2 AND ",
            $shards,
            " AND ",
            $topics,
            " AND NOT EXISTS (
                     SELECT 1 FROM outbox AS halted
                     WHERE halted.status = 'quarantined' AND halted.topic = waiting.topic
                       AND halted.record_key IS NOT DISTINCT FROM waiting.record_key AND halted.id < waiting.id)
                 ORDER BY nth
                 LIMIT $1) AS first) AS measured
             ORDER BY nth"
        )
    };
}
pub(super) use waiting;

/// A row as it stands in the table, of either database.
pub(super) struct RawRow {
    pub(super) id: i64,
    pub(super) event_id: String,
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: String,
    pub(super) created_ms: Option<i64>,
}

impl RawRow {
    /// The row of a query that names the columns as the fields are named here.
    pub(super) fn of(row: &Row) -> Result<RawRow, sqlx::Error> {
        Ok(RawRow {
            id: row.get("id")?,
            event_id: row.get("event_id")?,
            topic: row.get("topic")?,
            partition: row.get("partition_id")?,
            key: row.get("record_key")?,
            value: row.get("record_value")?,
            headers: row.get("headers")?,
            created_ms: row.get("created_ms")?,
        })
    }

    pub(super) fn decoded(self) -> Outgoing {
        let id = self.id;
        self.read().map_err(|(column, source)| UnreadableRow { id, column, source })
    }

    fn read(self) -> Result<PendingRow, (&'static str, Box<dyn std::error::Error + Send + Sync>)> {
        let headers =
            decode_headers(&self.headers).map_err(|error| ("headers", Box::from(error)))?;
        let topic = self.topic.parse().map_err(|error| ("topic", Box::from(error)))?;
        let event_id: Uuid =
            self.event_id.parse().map_err(|error| ("event_id", Box::from(error)))?;
        let event_id = event_id.try_into().map_err(|error| ("event_id", Box::from(error)))?;
        let created = self.created_ms.ok_or(("created_at", Box::from("it is no time")))?;
        let since = Timestamp::from_millisecond(created)
            .map_err(|error| ("created_at", Box::from(error)))?;
        let record = OutgoingRecord {
            topic,
            partition: self.partition,
            key: self.key.map(Bytes::from),
            value: self.value.map(Bytes::from),
            headers,
            event_id,
        };
        Ok(PendingRow { id: self.id, record, since })
    }
}

/// A header's value in the `headers` column: text as it is, other bytes in hexadecimal.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Text(String),
    Hex { hex: String },
}

/// A `headers` column that is not a JSON array of `[name, value]`.
#[derive(Debug, thiserror::Error)]
#[error("the column headers is not an array of [name, text | null | {{\"hex\": …}}]")]
pub(super) struct BadHeaders(#[source] Option<serde_json::Error>);

/// Headers as the `headers` column holds them.
pub(super) fn encode_headers(headers: &[Header]) -> String {
    let pairs: Vec<(&str, Option<HeaderValue>)> = headers
        .iter()
        .map(|header| (header.name.as_ref(), header.value.as_deref().map(encoded_value)))
        .collect();
    serde_json::to_string(&pairs).expect("strings and arrays always serialise")
}

fn encoded_value(value: &[u8]) -> HeaderValue {
    match std::str::from_utf8(value) {
        // PostgreSQL's text takes no NUL, and JSON's \u0000 is refused by many readers.
        Ok(text) if !text.contains('\0') => HeaderValue::Text(text.to_owned()),
        _ => HeaderValue::Hex { hex: value.iter().map(|byte| format!("{byte:02x}")).collect() },
    }
}

pub(super) fn decode_headers(column: &str) -> Result<Vec<Header>, BadHeaders> {
    let pairs: Vec<(String, Option<HeaderValue>)> =
        serde_json::from_str(column).map_err(|error| BadHeaders(Some(error)))?;
    pairs
        .into_iter()
        .map(|(name, value)| {
            let value = value.map(decoded_value).transpose()?;
            Ok(Header { name: name.into(), value })
        })
        .collect()
}

fn decoded_value(value: HeaderValue) -> Result<Bytes, BadHeaders> {
    match value {
        HeaderValue::Text(text) => Ok(Bytes::from(text)),
        HeaderValue::Hex { hex } if hex.len() % 2 == 0 && hex.is_ascii() => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| BadHeaders(None)))
            .collect::<Result<Vec<u8>, _>>()
            .map(Bytes::from),
        HeaderValue::Hex { .. } => Err(BadHeaders(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_any_bytes_survive_the_column() {
        let values: [Option<&[u8]>; 5] =
            [None, Some(b""), Some(b"text \"quoted\""), Some(&[0xff, 0x00, 0x10]), Some(b"a\0b")];
        let headers: Vec<Header> = values
            .iter()
            .map(|value| Header { name: "twice".into(), value: value.map(Bytes::copy_from_slice) })
            .collect();
        assert_eq!(decode_headers(&encode_headers(&headers)).unwrap(), headers);
    }

    #[test]
    fn a_column_that_is_no_header_list_is_refused() {
        for column in
            ["{}", "[[\"a\", {\"hex\": \"0\"}]]", "[[\"a\", {\"hex\": \"zz\"}]]", "[[\"a\", 1]]"]
        {
            assert!(decode_headers(column).is_err(), "{column}");
        }
    }
}
