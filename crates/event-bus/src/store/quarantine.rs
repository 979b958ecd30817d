//! Rows of the outbox that can never be sent as they are, and what somebody decides about them.
//!
//! Whatever is decided, the row and those behind it under its topic and key get new ids, in their order and under the
//! lock of their bucket. A relay may have passed their ids, for it need not look at what is halted (`decided`); as new
//! rows it sees them at its next look, and in order.

use jiff::Timestamp;

use super::connect::{Backend, Store};
use super::outbox::decode_headers;
use super::postgres;
use super::sql::{Row, Value};
use super::tx::Tx;
use crate::headers;

/// A row that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its id.
    pub id: i64,
    /// The event's id.
    pub event_id: String,
    /// Where it was to go.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Why it can't be sent.
    pub error: String,
    /// When it was written, as the database tells times.
    pub since: String,
    /// How many rows of its topic and key wait behind it.
    pub behind: i64,
}

/// A row that is set aside, as it is told to those who don't work on its database: without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its id.
    pub id: i64,
    /// The event's id.
    pub event_id: String,
    /// Where it was to go.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// The tenant that its header names.
    pub tenant: Option<String>,
    /// Why it can't be sent.
    pub error: String,
    /// When it was written, where that can be read.
    pub since: Option<Timestamp>,
    /// How large its value is; on SQLite in characters, where another program wrote text.
    pub bytes: i64,
}

/// A row that somebody decided never to send. It is kept in `outbox_discarded`, bytes and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// Its id.
    pub id: i64,
    /// The event's id.
    pub event_id: String,
    /// Where it was to go.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Why it could not be sent.
    pub error: String,
    /// Why it was discarded.
    pub reason: String,
    /// When, as the database tells times.
    pub at: String,
}

/// A row that nothing was decided about.
#[derive(Debug, thiserror::Error)]
pub enum LiftError {
    /// It is not there, or is not quarantined.
    #[error(
        "the outbox has no quarantined row {id}: `event-bus outbox list` shows those that there are"
    )]
    NotQuarantined {
        /// The id that was asked for.
        id: i64,
    },
    /// The database refused or did not answer.
    #[error("the outbox could not be read or written")]
    Store(#[from] sqlx::Error),
}

/// A topic and key, and the rows under them that are to get new ids.
struct Lane {
    topic: Value,
    key: Value,
    last: i64,
}

impl Store {
    /// The rows that are set aside, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>, sqlx::Error> {
        let rows = self.fetch_all(
            "SELECT id, CAST(event_id AS text) AS event_id, topic, record_key, coalesce(error, '') AS error,
                    CAST(created_at AS text) AS since,
                    (SELECT count(*) FROM outbox AS later
                     WHERE later.topic = halted.topic AND later.record_key IS NOT DISTINCT FROM halted.record_key
                       AND later.id > halted.id) AS behind
             FROM outbox AS halted WHERE status = 'quarantined' ORDER BY id",
            &[],
        );
        let read = |row: &Row| {
            Ok(Quarantined {
                id: row.get("id")?,
                event_id: row.get("event_id")?,
                topic: row.get("topic")?,
                key: row.get("record_key")?,
                error: row.get("error")?,
                since: row.get("since")?,
                behind: row.get("behind")?,
            })
        };
        rows.await?.iter().map(read).collect()
    }

    /// The first rows that are set aside, by id, and no more than so many. What waits behind them is not counted: for that
    /// all rows are looked at.
    ///
    /// # Errors
    /// The database's.
    pub async fn first_set_aside(&self, most: u32) -> Result<Vec<SetAside>, sqlx::Error> {
        const OF_POSTGRES: &str =
            "SELECT id, CAST(event_id AS text) AS event_id, topic, record_key, headers, coalesce(error, '') AS error,
                    CAST(coalesce(length(record_value), 0) AS bigint) AS bytes,
                    (extract(epoch FROM created_at) * 1000)::bigint AS since
             FROM outbox WHERE status = 'quarantined' ORDER BY id LIMIT $1";
        const OF_SQLITE: &str =
            "SELECT id, event_id, topic, CAST(record_key AS BLOB) AS record_key, headers,
                    coalesce(error, '') AS error, coalesce(length(record_value), 0) AS bytes,
                    CAST(round(unixepoch(created_at, 'subsec') * 1000) AS INTEGER) AS since
             FROM outbox WHERE status = 'quarantined' ORDER BY id LIMIT $1";
        let sql = match &self.backend {
            Backend::Postgres(_) => OF_POSTGRES,
            Backend::Sqlite(_) => OF_SQLITE,
        };
        self.fetch_all(sql, &[most.into()]).await?.iter().map(SetAside::of).collect()
    }

    /// The event's id and the value of a row that is set aside, if there is one of this id.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_aside(
        &self,
        id: i64,
    ) -> Result<Option<(String, Option<Vec<u8>>)>, sqlx::Error> {
        const ROW: &str = "SELECT CAST(event_id AS text) AS event_id, record_value FROM outbox
             WHERE id = $1 AND status = 'quarantined'";
        let rows = self.fetch_all(ROW, &[id.into()]).await?;
        rows.first().map(|row| Ok((row.get("event_id")?, row.get("record_value")?))).transpose()
    }

    /// How many rows were discarded.
    ///
    /// # Errors
    /// The database's.
    pub async fn discarded_count(&self) -> Result<u64, sqlx::Error> {
        let rows = self.fetch_all("SELECT count(*) AS discarded FROM outbox_discarded", &[]);
        let discarded: i64 = rows.await?.first().map_or(Ok(0), |row| row.get("discarded"))?;
        Ok(discarded.unsigned_abs())
    }

    /// The rows that were discarded, in the order in which that happened.
    ///
    /// # Errors
    /// The database's.
    pub async fn discarded(&self) -> Result<Vec<Discarded>, sqlx::Error> {
        let rows = self.fetch_all(
            "SELECT id, CAST(event_id AS text) AS event_id, topic, record_key, coalesce(error, '') AS error, reason,
                    CAST(discarded_at AS text) AS discarded
             FROM outbox_discarded ORDER BY discarded_at, id",
            &[],
        );
        let read = |row: &Row| {
            Ok(Discarded {
                id: row.get("id")?,
                event_id: row.get("event_id")?,
                topic: row.get("topic")?,
                key: row.get("record_key")?,
                error: row.get("error")?,
                reason: row.get("reason")?,
                at: row.get("discarded")?,
            })
        };
        rows.await?.iter().map(read).collect()
    }

    /// Has a quarantined row sent again, and what waits behind it: somebody removed the cause. Gives the number of rows
    /// that may go now.
    ///
    /// # Errors
    /// When there is no such row, or the database's.
    pub async fn retry_quarantined(&self, id: i64) -> Result<u64, LiftError> {
        let mut tx = self.begin().await?;
        let lane = Lane::of(&mut tx, id).await?;
        let lifted = lane.lift(&mut tx, id).await?;
        tx.commit().await?;
        tracing::warn!(row = id, rows = lifted, "a quarantined outbox row is sent again");
        Ok(lifted)
    }

    /// Has a quarantined row never sent, and lets what waits behind it go. The row is kept in `outbox_discarded` with the
    /// reason. Gives the number of rows that may go now.
    ///
    /// # Errors
    /// When there is no such row, or the database's.
    pub async fn discard_quarantined(&self, id: i64, reason: &str) -> Result<u64, LiftError> {
        const KEEP: &str = "INSERT INTO outbox_discarded
               (id, event_id, topic, partition_id, record_key, record_value, headers, error, created_at, reason)
             SELECT id, event_id, topic, partition_id, record_key, record_value, headers, error, created_at, $2
             FROM outbox WHERE id = $1";
        let mut tx = self.begin().await?;
        let lane = Lane::of(&mut tx, id).await?;
        tx.execute(KEEP, &[id.into(), reason.into()]).await?;
        tx.execute("DELETE FROM outbox WHERE id = $1", &[id.into()]).await?;
        let lifted = lane.lift(&mut tx, id).await?;
        tx.commit().await?;
        tracing::warn!(row = id, reason, rows = lifted, "a quarantined outbox row is discarded");
        Ok(lifted)
    }
}

impl SetAside {
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        let headers = decode_headers(&row.get::<String>("headers")?).unwrap_or_default();
        Ok(Self {
            id: row.get("id")?,
            event_id: row.get("event_id")?,
            topic: row.get("topic")?,
            key: row.get("record_key")?,
            tenant: headers::last(&headers, headers::CE_TENANTID).map(str::to_owned),
            error: row.get("error")?,
            since: row
                .get::<Option<i64>>("since")?
                .and_then(|millis| Timestamp::from_millisecond(millis).ok()),
            bytes: row.get("bytes")?,
        })
    }
}

impl Lane {
    /// The lane of a quarantined row, which no other transaction writes to before this one ends.
    async fn of(tx: &mut Tx, id: i64) -> Result<Lane, LiftError> {
        const ROW: &str =
            "SELECT topic, record_key FROM outbox WHERE id = $1 AND status = 'quarantined'";
        const LAST: &str = "SELECT max(id) AS last FROM outbox
             WHERE topic = $1 AND record_key IS NOT DISTINCT FROM $2";
        if let Some(connection) = tx.as_postgres() {
            postgres::outbox::lock_bucket_of(connection, id).await?;
        }
        let row = tx.fetch_optional(ROW, &[id.into()]).await?;
        let row = row.ok_or(LiftError::NotQuarantined { id })?;
        let (topic, key) = (Value::Text(row.get("topic")?), Value::Bytes(row.get("record_key")?));
        let last = tx.fetch_optional(LAST, &[topic.clone(), key.clone()]).await?;
        let last = last.map_or(Ok(id), |row| row.get("last"))?;
        Ok(Lane { topic, key, last })
    }

    /// Gives new ids to the rows from `first` on, and sets that one free.
    async fn lift(self, tx: &mut Tx, first: i64) -> Result<u64, sqlx::Error> {
        const AGAIN: &str = "INSERT INTO outbox
               (event_id, topic, partition_id, record_key, record_value, headers, status, error, created_at)
             SELECT event_id, topic, partition_id, record_key, record_value, headers,
                    CASE WHEN id = $1 THEN 'pending' ELSE status END,
                    CASE WHEN id = $1 THEN NULL ELSE error END, created_at
             FROM outbox
             WHERE id >= $1 AND id <= $2 AND topic = $3 AND record_key IS NOT DISTINCT FROM $4
             ORDER BY id";
        const REMOVE: &str = "DELETE FROM outbox
             WHERE id >= $1 AND id <= $2 AND topic = $3 AND record_key IS NOT DISTINCT FROM $4";
        let values = [first.into(), self.last.into(), self.topic, self.key];
        let lifted = tx.execute(AGAIN, &values).await?;
        tx.execute(REMOVE, &values).await?;
        Ok(lifted)
    }
}
