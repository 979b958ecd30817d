//! What the inbox holds, and the removal of what is old.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::types::Uuid;

use super::Value;
use super::connect::{Backend, Store};
use super::inbox::Claimant;
use super::tx::{Connection, Tx};
use crate::flaw::{Flaw, Flaws};
use crate::names::{GroupName, TopicName};

/// Rows that one transaction looks at.
const BATCH: i64 = 10_000;

/// What the inbox holds of one group and topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxShare {
    /// The consumer group, as it stands in the rows.
    pub group: String,
    /// The topic, likewise.
    pub topic: String,
    /// Events that took effect and have a row.
    pub done: i64,
    /// Dead letters.
    pub dead: i64,
    /// When the oldest row was written, by the database's clock.
    pub oldest: Timestamp,
}

/// Where the rows of one group begin in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxBegin {
    /// The consumer group, as it stands in the rows.
    pub group: String,
    /// The topic, likewise.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The least offset of any row.
    pub offset: i64,
}

/// Which rows of one partition may go.
#[derive(Clone, Copy, Debug)]
pub struct Expired<'a> {
    /// The consumer group.
    pub group: &'a GroupName,
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition of the topic.
    pub partition: i32,
    /// What the group has committed: rows of events from this offset on stay.
    pub committed: i64,
    /// Rows that are younger stay, by the database's clock. Whole seconds count.
    pub older_than: Duration,
}

/// The condition for [`Expired::values`]. A dead letter's row stays, for replays are told by it.
macro_rules! expired {
    ($older:literal) => {
        concat!(
            "consumer_group = $1 AND topic = $2 AND partition_id = $3 AND record_offset < $4 AND status = 'done'
             AND dlq_id IS NULL AND ",
            $older
        )
    };
}

/// A statement on expired rows of either database.
macro_rules! on {
    (postgres, $before:literal, $after:literal) => {
        concat!($before, expired!("processed_at < now() - make_interval(secs => $5)"), $after)
    };
    (sqlite, $before:literal, $after:literal) => {
        concat!(
            $before,
            expired!(
                "processed_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || $5 || ' seconds')"
            ),
            $after
        )
    };
}

impl Expired<'_> {
    fn values(&self) -> Vec<Value> {
        let seconds = i64::try_from(self.older_than.as_secs()).unwrap_or(i64::MAX);
        vec![
            self.group.as_ref().into(),
            self.topic.as_ref().into(),
            self.partition.into(),
            self.committed.into(),
            seconds.into(),
        ]
    }
}

impl Store {
    /// What the inbox holds, by group and topic. Reads the whole inbox.
    ///
    /// # Errors
    /// The database's.
    pub async fn inbox_shares(&self) -> Result<Vec<InboxShare>, sqlx::Error> {
        let sql = match &self.backend {
            Backend::Postgres(_) => {
                "SELECT consumer_group, topic, count(*) FILTER (WHERE status = 'done') AS done,
                        count(*) FILTER (WHERE status = 'dead') AS dead,
                        (extract(epoch FROM min(processed_at)) * 1000)::bigint AS oldest
                 FROM processed_events GROUP BY consumer_group, topic ORDER BY consumer_group, topic"
            }
            Backend::Sqlite(_) => {
                "SELECT consumer_group, topic, count(*) FILTER (WHERE status = 'done') AS done,
                        count(*) FILTER (WHERE status = 'dead') AS dead,
                        CAST(unixepoch(min(processed_at), 'subsec') * 1000 AS INTEGER) AS oldest
                 FROM processed_events GROUP BY consumer_group, topic ORDER BY consumer_group, topic"
            }
        };
        let rows = self.fetch_all(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let oldest = Timestamp::from_millisecond(row.get("oldest")?);
                Ok(InboxShare {
                    group: row.get("consumer_group")?,
                    topic: row.get("topic")?,
                    done: row.get("done")?,
                    dead: row.get("dead")?,
                    oldest: oldest.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                })
            })
            .collect()
    }

    /// Where the inbox begins, by group, topic and partition. Reads the whole inbox.
    ///
    /// # Errors
    /// The database's.
    pub async fn inbox_begins(&self) -> Result<Vec<InboxBegin>, sqlx::Error> {
        let sql = "SELECT consumer_group, topic, partition_id, min(record_offset) AS record_offset
                   FROM processed_events GROUP BY consumer_group, topic, partition_id";
        let rows = self.fetch_all(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(InboxBegin {
                    group: row.get("consumer_group")?,
                    topic: row.get("topic")?,
                    partition: row.get("partition_id")?,
                    offset: row.get("record_offset")?,
                })
            })
            .collect()
    }

    /// Below which offsets of a partition rows were purged, by the id of the topic at that time.
    ///
    /// # Errors
    /// The database's.
    pub async fn purged_below(
        &self,
        claimant: &Claimant<'_>,
    ) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        let sql = "SELECT CAST(topic_id AS text) AS topic_id, record_offset FROM inbox_purged_below
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
        let rows = self.fetch_all(sql, &claimant.values()).await?;
        rows.iter()
            .map(|row| {
                let topic_id: String = row.get("topic_id")?;
                let topic_id =
                    topic_id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                Ok((topic_id, row.get("record_offset")?))
            })
            .collect()
    }

    /// Notes that what stands below the offset behind the last expired row took effect, whether it has a row or not.
    /// This comes before any row is removed. Gives the offset; `None` when no row is expired.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_expired(
        &self,
        expired: &Expired<'_>,
        topic_id: Uuid,
    ) -> Result<Option<i64>, sqlx::Error> {
        let mut tx = self.begin().await?;
        let Some(below) = tx.behind_expired(expired).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        if !Flaws::of_process().have(Flaw::PurgeTooEarly) {
            tx.note_purged_below(expired, topic_id, below).await?;
            tx.note_purged_reruns(expired, topic_id).await?;
        }
        tx.commit().await?;
        Ok(Some(below))
    }

    /// Removes the expired rows among the next of the inbox, in the order of event ids. Gives how many, and where to go on;
    /// `None` at the end of the inbox. Every batch is a transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn purge_batch(
        &self,
        expired: &Expired<'_>,
        behind: Option<Uuid>,
    ) -> Result<(u64, Option<Uuid>), sqlx::Error> {
        let behind = behind.unwrap_or(Uuid::nil()).to_string();
        let mut tx = self.begin().await?;
        let last = tx.last_of_batch(&behind).await?;
        // Behind the last batch nothing is left; rows that came meanwhile are not old.
        let upto = last.unwrap_or(Uuid::max()).to_string();
        let sql = match &tx.connection {
            Connection::Postgres(_) => on!(
                postgres,
                "DELETE FROM processed_events WHERE ",
                " AND event_id > CAST($6 AS uuid) AND event_id <= CAST($7 AS uuid)"
            ),
            Connection::Sqlite(_) => on!(
                sqlite,
                "DELETE FROM processed_events WHERE ",
                " AND event_id > $6 AND event_id <= $7"
            ),
        };
        let mut values = expired.values();
        values.extend([behind.into(), upto.into()]);
        let removed = tx.execute(sql, &values).await?;
        tx.commit().await?;
        Ok((removed, last))
    }
}

impl Tx {
    async fn behind_expired(&mut self, expired: &Expired<'_>) -> Result<Option<i64>, sqlx::Error> {
        let sql = match &self.connection {
            Connection::Postgres(_) => {
                on!(
                    postgres,
                    "SELECT max(record_offset) + 1 AS below FROM processed_events WHERE ",
                    ""
                )
            }
            Connection::Sqlite(_) => {
                on!(
                    sqlite,
                    "SELECT max(record_offset) + 1 AS below FROM processed_events WHERE ",
                    ""
                )
            }
        };
        let row = self.fetch_optional(sql, &expired.values()).await?;
        row.map_or(Ok(None), |row| row.get("below"))
    }

    async fn note_purged_below(
        &mut self,
        expired: &Expired<'_>,
        topic_id: Uuid,
        below: i64,
    ) -> Result<(), sqlx::Error> {
        let sql = match &self.connection {
            Connection::Postgres(_) => {
                "INSERT INTO inbox_purged_below AS known (consumer_group, topic, partition_id, topic_id, record_offset)
                 VALUES ($1, $2, $3, CAST($4 AS uuid), $5)
                 ON CONFLICT (consumer_group, topic, topic_id, partition_id)
                 DO UPDATE SET record_offset = greatest(known.record_offset, excluded.record_offset)"
            }
            Connection::Sqlite(_) => {
                "INSERT INTO inbox_purged_below AS known (consumer_group, topic, partition_id, topic_id, record_offset)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (consumer_group, topic, topic_id, partition_id)
                 DO UPDATE SET record_offset = max(known.record_offset, excluded.record_offset)"
            }
        };
        let values = [
            expired.group.as_ref().into(),
            expired.topic.as_ref().into(),
            expired.partition.into(),
            topic_id.to_string().into(),
            below.into(),
        ];
        self.execute(sql, &values).await.map(drop)
    }

    /// The same of each range that runs again, as far as rows of its epoch are expired.
    async fn note_purged_reruns(
        &mut self,
        expired: &Expired<'_>,
        topic_id: Uuid,
    ) -> Result<(), sqlx::Error> {
        macro_rules! note {
            ($database:ident) => {
                on!(
                    $database,
                    "UPDATE inbox_reruns SET purged_below = coalesce(
                       (SELECT max(record_offset) + 1 FROM processed_events WHERE epoch = inbox_reruns.seq AND ",
                    "), purged_below)
                     WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND CAST(topic_id AS text) = $6"
                )
            };
        }
        let sql = match &self.connection {
            Connection::Postgres(_) => note!(postgres),
            Connection::Sqlite(_) => note!(sqlite),
        };
        let mut values = expired.values();
        values.push(topic_id.to_string().into());
        self.execute(sql, &values).await.map(drop)
    }

    /// The event id that a batch of rows behind another ends with, if there are as many.
    async fn last_of_batch(&mut self, behind: &str) -> Result<Option<Uuid>, sqlx::Error> {
        let sql = match &self.connection {
            Connection::Postgres(_) => {
                "SELECT CAST(event_id AS text) AS event_id FROM processed_events
                 WHERE event_id > CAST($1 AS uuid) ORDER BY event_id LIMIT 1 OFFSET $2"
            }
            Connection::Sqlite(_) => {
                "SELECT event_id FROM processed_events WHERE event_id > $1 ORDER BY event_id LIMIT 1 OFFSET $2"
            }
        };
        let row = self.fetch_optional(sql, &[behind.into(), (BATCH - 1).into()]).await?;
        let id: Option<String> = row.map(|row| row.get("event_id")).transpose()?;
        id.map(|id| id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))).transpose()
    }
}
