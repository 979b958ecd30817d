//! The outbox table, as the relay sees it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::types::Uuid;

use super::connect::{Backend, Store};
use super::{postgres, sqlite};
use crate::envelope::OutgoingRecord;
use crate::headers::Header;
use crate::names::TopicName;

/// The right to relay, until it expires. A later lease has a greater token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Fences what an earlier holder still does.
    pub token: i64,
}

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

impl Store {
    /// What waits to be sent.
    ///
    /// # Errors
    /// The database's.
    pub async fn outbox_backlog(&self) -> Result<Backlog, sqlx::Error> {
        let backlog = match &self.backend {
            Backend::Postgres(pool) => postgres::outbox_backlog(&mut *pool.acquire().await?).await,
            Backend::Sqlite(pool) => sqlite::outbox_backlog(&mut *pool.acquire().await?).await,
        };
        backlog.map(Backlog::of)
    }

    /// Takes the relay's lease, or keeps it: `None` while another holder has it. Each taking over raises the token.
    ///
    /// # Errors
    /// The database's.
    pub async fn hold_relay_lease(
        &self,
        holder: Uuid,
        time: Duration,
    ) -> Result<Option<Lease>, sqlx::Error> {
        let token = match &self.backend {
            Backend::Postgres(pool) => {
                postgres::hold_relay_lease(&mut *pool.acquire().await?, holder, time).await?
            }
            Backend::Sqlite(pool) => {
                sqlite::hold_relay_lease(&mut *pool.acquire().await?, holder, time).await?
            }
        };
        Ok(token.map(|token| Lease { token }))
    }

    /// Lets another relay take over at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn release_relay_lease(&self, lease: Lease) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => {
                postgres::release_relay_lease(&mut *pool.acquire().await?, lease.token).await
            }
            Backend::Sqlite(pool) => {
                sqlite::release_relay_lease(&mut *pool.acquire().await?, lease.token).await
            }
        }
    }

    /// The first rows in the order of their ids, without those behind a quarantined row of their topic and key, and
    /// without those of the topics that are left out.
    ///
    /// # Errors
    /// The database's, and a row that can't be read.
    pub async fn pending_outgoing(
        &self,
        most: i64,
        left_out: &[TopicName],
    ) -> Result<Vec<PendingRow>, sqlx::Error> {
        let left_out: Vec<&str> = left_out.iter().map(TopicName::as_str).collect();
        match &self.backend {
            Backend::Postgres(pool) => {
                postgres::pending_outgoing(&mut *pool.acquire().await?, most, &left_out).await
            }
            Backend::Sqlite(pool) => {
                sqlite::pending_outgoing(&mut *pool.acquire().await?, most, &left_out).await
            }
        }
    }

    /// Removes rows that Kafka acknowledged, unless a later lease exists.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_sent(&self, lease: Lease, ids: &[i64]) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => {
                postgres::remove_sent(&mut *pool.acquire().await?, lease.token, ids).await
            }
            Backend::Sqlite(pool) => {
                sqlite::remove_sent(&mut *pool.acquire().await?, lease.token, ids).await
            }
        }
    }

    /// Sets a row aside that can never be sent; the rows behind it under its topic and key wait.
    ///
    /// # Errors
    /// The database's.
    pub async fn quarantine_outgoing(
        &self,
        lease: Lease,
        id: i64,
        error: &str,
    ) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => {
                postgres::quarantine(&mut *pool.acquire().await?, lease.token, id, error).await
            }
            Backend::Sqlite(pool) => {
                sqlite::quarantine(&mut *pool.acquire().await?, lease.token, id, error).await
            }
        }
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

/// The selection of the relay. `$1` is the most rows; the condition leaves topics out, and the last argument is
/// `created_at` in milliseconds since 1970.
///
/// By status and not behind a cursor: ids commit out of order, so a cursor would pass rows that show up later.
macro_rules! pending {
    ($condition:literal, $created_ms:literal) => {
        concat!(
            "SELECT id, event_id, topic, partition_id, record_key, record_value, headers, ",
            $created_ms,
            " AS created_ms
             FROM outbox AS waiting
             WHERE status = 'pending' AND ",
            $condition,
            " AND NOT EXISTS (
                 SELECT 1 FROM outbox AS halted
                 WHERE halted.status = 'quarantined' AND halted.topic = waiting.topic
                   AND halted.record_key IS NOT DISTINCT FROM waiting.record_key AND halted.id < waiting.id)
             ORDER BY id
             LIMIT $1"
        )
    };
}
pub(super) use pending;

/// A row as it stands in the table, of either database.
pub(super) struct RawRow {
    pub(super) id: i64,
    pub(super) event_id: Uuid,
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: String,
    pub(super) created_ms: i64,
}

impl RawRow {
    pub(super) fn decoded(self) -> Result<PendingRow, sqlx::Error> {
        let headers =
            decode_headers(&self.headers).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let topic = self.topic.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let event_id =
            self.event_id.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let since = Timestamp::from_millisecond(self.created_ms)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
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

fn decode_headers(column: &str) -> Result<Vec<Header>, BadHeaders> {
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
