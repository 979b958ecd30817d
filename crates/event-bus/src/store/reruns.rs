//! `inbox_reruns`: ranges of the log that a group reads once more.

use std::collections::BTreeMap;

use sqlx::types::Uuid;

use super::connect::Store;
use super::inbox::{Claim, Claimant};
use super::tx::{Connection, Tx};
use super::{Row, Value, postgres};
use crate::names::{GroupName, TopicName};
use crate::rerun::{InboxState, Only, Opening, Rerun, Span};

/// Why a range is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Keys are parked there, and the dead letters of their chains would be written twice.
    #[error(
        "{keys} keys of {group} are parked behind dead letters in partition {partition}: replay those first (`event-bus dlq list \
         --group {group}`), and then run the range again"
    )]
    Parked {
        /// The group.
        group: GroupName,
        /// The partition.
        partition: i32,
        /// How many.
        keys: i64,
    },
    /// The database's.
    #[error("the range could not be written into the inbox")]
    Store(#[from] sqlx::Error),
}

impl Store {
    /// Has a group run ranges again when it reads them once more. Nobody may be in the group: who has a partition does not
    /// look for ranges that come later.
    ///
    /// # Errors
    /// Where keys are parked and all is to run again, and the database's.
    pub async fn open_rerun(
        &self,
        (group, topic, topic_id): (&GroupName, &TopicName, Uuid),
        opening: &Opening,
    ) -> Result<(), OpenError> {
        let mut tx = self.begin().await?;
        let mut spans = opening.spans.clone();
        // In one order, so that two who open at once don't wait for each other in a ring.
        spans.sort_unstable_by_key(|span| span.partition);
        for span in &spans {
            let claimant = Claimant::of(group, topic, span.partition);
            if let Connection::Postgres(connection) = &mut tx.connection {
                postgres::lock_partition(connection, &claimant).await?;
            }
            let keys = if opening.is_anew { tx.count_parked(&claimant).await? } else { 0 };
            if keys > 0 {
                let (group, partition) = (group.clone(), span.partition);
                return Err(OpenError::Parked { group, partition, keys });
            }
        }
        let last = "SELECT CAST(coalesce(max(seq), 0) AS bigint) AS seq FROM inbox_reruns
            WHERE consumer_group = $1";
        let row = tx.fetch_optional(last, &[group.as_ref().into()]).await?;
        let last: i64 = row.map_or(Ok(0), |row| row.get("seq"))?;
        for span in &spans {
            tx.open_span((group, topic, topic_id), opening, span, last + 1).await?;
            // Whoever took the partition over without knowing of the range commits nothing more, and takes over anew.
            let fence = "UPDATE partition_owners SET token = token + 1
                WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
            tx.execute(fence, &Claimant::of(group, topic, span.partition).values()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// What has to be known of a group's inbox before a range of this topic runs again; `None` where the group never
    /// worked on this database.
    ///
    /// # Errors
    /// The database's.
    pub async fn inbox_state(
        &self,
        group: &GroupName,
        topic: &TopicName,
        topic_id: Uuid,
    ) -> Result<Option<InboxState>, sqlx::Error> {
        let values = [group.as_ref().into(), topic.as_ref().into()];
        let owned =
            "SELECT token FROM partition_owners WHERE consumer_group = $1 AND topic = $2 LIMIT 1";
        if self.fetch_all(owned, &values).await?.is_empty() {
            return Ok(None);
        }
        let purged = "SELECT CAST(partition_id AS bigint) AS partition_id, record_offset AS number FROM inbox_purged_below
            WHERE consumer_group = $1 AND topic = $2 AND CAST(topic_id AS text) = $3";
        let parked = "SELECT CAST(partition_id AS bigint) AS partition_id, count(*) AS number FROM parked_keys
            WHERE consumer_group = $1 AND topic = $2 GROUP BY partition_id";
        let of_topic = [&values[..], &[topic_id.to_string().into()]].concat();
        Ok(Some(InboxState {
            purged_below: by_partition(&self.fetch_all(purged, &of_topic).await?)?,
            parked: by_partition(&self.fetch_all(parked, &values).await?)?,
        }))
    }

    /// The ranges of a partition, by the id of the topic at that time, the last one first. Those that end at `from` or
    /// before are over.
    ///
    /// # Errors
    /// The database's.
    pub async fn reruns(
        &self,
        claimant: &Claimant<'_>,
        from: Option<i64>,
    ) -> Result<Vec<(Uuid, Rerun)>, sqlx::Error> {
        let select = "SELECT CAST(topic_id AS text) AS topic_id, CAST(seq AS bigint) AS seq, first_offset, upto_offset,
              end_offset, record_key, tenant_id, CASE WHEN is_anew THEN 1 ELSE 0 END AS is_anew,
              CASE WHEN emits THEN 1 ELSE 0 END AS emits, purged_below, CASE WHEN is_over THEN 1 ELSE 0 END AS is_over
            FROM inbox_reruns WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 ORDER BY seq DESC";
        let rows = self.fetch_all(select, &claimant.values()).await?;
        let reruns: Result<Vec<_>, _> =
            rows.iter().map(|row| rerun_of(row, claimant.partition)).collect();
        let mut reruns = reruns?;
        let from = from.unwrap_or(0);
        let mut ended = reruns.iter_mut().filter(|(_, one)| !one.is_over && one.span.end <= from);
        if ended.by_ref().map(|(_, one)| one.is_over = true).count() > 0 {
            let mut tx = self.begin().await?;
            tx.end_reruns(claimant, from).await?;
            tx.commit().await?;
        }
        Ok(reruns)
    }
}

impl Tx {
    async fn count_parked(&mut self, claimant: &Claimant<'_>) -> Result<i64, sqlx::Error> {
        let count = "SELECT count(*) AS keys FROM parked_keys
            WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
        let row = self.fetch_optional(count, &claimant.values()).await?;
        row.map_or(Ok(0), |row| row.get("keys"))
    }

    async fn open_span(
        &mut self,
        (group, topic, topic_id): (&GroupName, &TopicName, Uuid),
        opening: &Opening,
        span: &Span,
        seq: i64,
    ) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO inbox_reruns (consumer_group, topic, topic_id, partition_id, rerun_id, seq,
              first_offset, upto_offset, end_offset, record_key, tenant_id, is_anew, emits)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 = 1, $13 = 1)
            ON CONFLICT DO NOTHING";
        let values: [Value; 13] = [
            group.as_ref().into(),
            topic.as_ref().into(),
            Value::Uuid(Some(topic_id)),
            span.partition.into(),
            Value::Uuid(Some(opening.id)),
            seq.into(),
            span.first.into(),
            span.upto.into(),
            span.end.into(),
            opening.only.key.clone().into(),
            opening.only.tenant.clone().into(),
            i64::from(opening.is_anew).into(),
            i64::from(opening.emits).into(),
        ];
        self.execute(insert, &values).await.map(drop)
    }

    /// Notes that the group has passed the ranges that end at this offset or before.
    pub(crate) async fn end_reruns(
        &mut self,
        claimant: &Claimant<'_>,
        behind: i64,
    ) -> Result<(), sqlx::Error> {
        let over = "UPDATE inbox_reruns SET is_over = (1 = 1)
            WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND end_offset <= $4";
        let mut values = claimant.values();
        values.push(behind.into());
        self.execute(over, &values).await.map(drop)
    }

    /// What runs again died again: the dead letter of an earlier epoch is this one from now on. Says whether there was one.
    pub(crate) async fn dies_anew(
        &mut self,
        claimant: &Claimant<'_>,
        claim: &Claim,
        dlq_id: Uuid,
    ) -> Result<bool, sqlx::Error> {
        let update = "UPDATE processed_events SET dlq_id = $6
            WHERE consumer_group = $1 AND topic = $2 AND tenant_id = $3 AND event_id = $4 AND epoch < $5
              AND status = 'dead'";
        let values = [
            claimant.group.as_ref().into(),
            claimant.topic.as_ref().into(),
            (&claim.tenant).into(),
            Value::Uuid(Some(claim.event_id.as_uuid())),
            claimant.epoch.into(),
            Value::Uuid(Some(dlq_id)),
        ];
        Ok(self.execute(update, &values).await? > 0)
    }

    /// What runs again took effect: in earlier epochs it is not dead any more, and no replay takes it there. The row keeps
    /// its dead letter's name, and so stays when others are purged: that one may be replayed at any time.
    pub(super) async fn outlive(
        &mut self,
        claimant: &Claimant<'_>,
        tenant: &str,
        event_id: Uuid,
    ) -> Result<(), sqlx::Error> {
        let update = "UPDATE processed_events SET status = 'done'
            WHERE consumer_group = $1 AND topic = $2 AND tenant_id = $3 AND event_id = $4 AND epoch < $5
              AND status = 'dead'";
        let values = [
            claimant.group.as_ref().into(),
            claimant.topic.as_ref().into(),
            tenant.into(),
            Value::Uuid(Some(event_id)),
            claimant.epoch.into(),
        ];
        self.execute(update, &values).await.map(drop)
    }

    /// How many rows the transaction wrote, changed or removed so far, by table; on SQLite those of all tables, and of
    /// earlier transactions too.
    pub(crate) async fn rows_changed(&mut self) -> Result<BTreeMap<String, u64>, sqlx::Error> {
        let select = match &self.connection {
            Connection::Postgres(_) => {
                "SELECT CAST(relname AS text) AS name, CAST(n_tup_ins + n_tup_upd + n_tup_del AS bigint) AS changed
                 FROM pg_stat_xact_user_tables"
            }
            Connection::Sqlite(_) => "SELECT 'all tables' AS name, total_changes() AS changed",
        };
        let rows = self.fetch_all(select, &[]).await?;
        let rows = rows
            .iter()
            .map(|row| Ok((row.get("name")?, row.get::<i64>("changed")?.unsigned_abs())));
        rows.collect()
    }

    /// Whether the event has a row in any epoch.
    pub(crate) async fn has_any_row(
        &mut self,
        claimant: &Claimant<'_>,
        tenant: &str,
        event_id: Uuid,
    ) -> Result<bool, sqlx::Error> {
        let select = "SELECT status FROM processed_events
            WHERE consumer_group = $1 AND topic = $2 AND tenant_id = $3 AND event_id = $4";
        let values = [
            claimant.group.as_ref().into(),
            claimant.topic.as_ref().into(),
            tenant.into(),
            Value::Uuid(Some(event_id)),
        ];
        Ok(self.fetch_optional(select, &values).await?.is_some())
    }
}

fn by_partition(rows: &[Row]) -> Result<BTreeMap<i32, i64>, sqlx::Error> {
    let rows = rows.iter().map(|row| {
        let partition = i32::try_from(row.get::<i64>("partition_id")?)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((partition, row.get("number")?))
    });
    rows.collect()
}

fn rerun_of(row: &Row, partition: i32) -> Result<(Uuid, Rerun), sqlx::Error> {
    let topic_id: String = row.get("topic_id")?;
    let topic_id = topic_id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let is = |column: &str| Ok::<_, sqlx::Error>(row.get::<i32>(column)? == 1);
    let seq = i32::try_from(row.get::<i64>("seq")?)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let rerun = Rerun {
        seq,
        span: Span {
            partition,
            first: row.get("first_offset")?,
            upto: row.get("upto_offset")?,
            end: row.get("end_offset")?,
        },
        only: Only { key: row.get("record_key")?, tenant: row.get("tenant_id")? },
        is_anew: is("is_anew")?,
        emits: is("emits")?,
        purged_below: row.get("purged_below")?,
        is_over: is("is_over")?,
    };
    Ok((topic_id, rerun))
}
