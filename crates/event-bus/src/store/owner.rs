//! Who owns a partition: the token that fences former owners, attempts that were noted, keys that are parked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::connect::Store;
use super::inbox::{Claimant, ReplayClaim};
use super::tx::{Connection, Tx};
use super::{Value, postgres};
use crate::rerun::Past;

/// A statement on the row of [`Claimant::values_of_key`].
macro_rules! of_parked_key {
    ($before:literal, $behind:literal) => {
        concat!(
            $before,
            " WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3
                AND is_keyless = ($4 = 1) AND record_key = $5",
            $behind
        )
    };
}

/// What an owner found when it took a partition over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Greater than that of every earlier owner.
    pub token: i64,
    /// Whether the last owner never let go: it died, or is about to be fenced.
    pub is_dirty: bool,
    /// Attempts that were noted before they began, by offset.
    pub attempts: BTreeMap<i64, u32>,
    /// Keys whose later events follow a dead letter.
    pub parked: BTreeSet<Option<Bytes>>,
    /// What the inbox knows beside its rows. The store does not know which of the topics that had this name it is about,
    /// so whoever takes over sets it.
    pub past: Past,
}

/// A transaction that was to begin under a token.
#[derive(Debug)]
pub enum Begun {
    /// The token is the partition's, and no other is given out before the transaction ends.
    Owned(Tx),
    /// Somebody else has taken the partition over.
    Fenced,
}

impl Claimant<'_> {
    pub(super) fn values(&self) -> Vec<Value> {
        vec![self.group.as_ref().into(), self.topic.as_ref().into(), self.partition.into()]
    }

    fn values_and(&self, more: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let mut values = self.values();
        values.extend(more);
        values
    }

    fn values_of_key(&self, key: Option<&[u8]>) -> Vec<Value> {
        self.values_and([i64::from(key.is_none()).into(), key.unwrap_or_default().into()])
    }
}

impl Store {
    /// Takes a partition over: waits for the transactions of the last owner and fences what it still begins. Attempts
    /// noted before `from` are forgotten, for those events are settled.
    ///
    /// # Errors
    /// The database's; a lock time-out when a transaction of the last owner does not end.
    pub async fn take_over(
        &self,
        claimant: &Claimant<'_>,
        from: Option<i64>,
    ) -> Result<Holding, sqlx::Error> {
        let mut tx = self.begin().await?;
        if let Connection::Postgres(connection) = &mut tx.connection {
            postgres::lock_partition(connection, claimant).await?;
        }
        let holding = tx.take_over(claimant, from).await?;
        tx.commit().await?;
        Ok(holding)
    }

    /// Notes that an owner lets go in good order, unless somebody else has taken over.
    ///
    /// # Errors
    /// The database's.
    pub async fn release(&self, claimant: &Claimant<'_>, token: i64) -> Result<(), sqlx::Error> {
        let sql = "UPDATE partition_owners SET is_dirty = false
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND token = $4";
        self.execute(sql, &claimant.values_and([token.into()])).await
    }

    /// Begins a transaction of a partition's owner. PostgreSQL ends it when one of its statements takes longer than `limit`,
    /// or when nothing comes for so long: a process that is frozen in it must not keep the next owner waiting for ever. On
    /// SQLite nobody ends what a frozen process began, and the file stays locked until that process is.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_owned(
        &self,
        claimant: &Claimant<'_>,
        token: i64,
        limit: Duration,
    ) -> Result<Begun, sqlx::Error> {
        let mut tx = self.begin().await?;
        let present = match &mut tx.connection {
            Connection::Postgres(connection) => {
                postgres::share_partition(connection, claimant, limit).await?
            }
            Connection::Sqlite(_) => tx.token(claimant).await?,
        };
        if present == Some(token) {
            return Ok(Begun::Owned(tx));
        }
        tx.rollback().await?;
        Ok(Begun::Fenced)
    }

    /// Notes how many attempts an event has had with the one that is about to begin. A former owner notes nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_attempt(
        &self,
        claimant: &Claimant<'_>,
        token: i64,
        offset: i64,
        attempts: u32,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        tx.note_attempts(claimant, token, offset, attempts).await?;
        tx.commit().await
    }

    /// Takes back an attempt that was noted and cut off. The event has had `attempts` without it; `None` where none was
    /// noted. A former owner takes back nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_attempt_back(
        &self,
        claimant: &Claimant<'_>,
        token: i64,
        offset: i64,
        attempts: Option<u32>,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        // The commit of the note may be under way when its task is aborted. This waits for it; a deletion alone would
        // not see its row yet.
        tx.note_attempts(claimant, token, offset, attempts.unwrap_or(0)).await?;
        let sql = "DELETE FROM noted_attempts
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND record_offset = $4
                     AND attempts = 0";
        tx.execute(sql, &claimant.values_and([offset.into()])).await?;
        tx.commit().await
    }
}

impl Tx {
    async fn take_over(
        &mut self,
        claimant: &Claimant<'_>,
        from: Option<i64>,
    ) -> Result<Holding, sqlx::Error> {
        let was_dirty = self.is_dirty(claimant).await?;
        let sql = "INSERT INTO partition_owners AS owner (consumer_group, topic, partition_id, token, is_dirty)
                   VALUES ($1, $2, $3, 1, true)
                   ON CONFLICT (consumer_group, topic, partition_id)
                   DO UPDATE SET token = owner.token + 1, is_dirty = true, taken_at = excluded.taken_at";
        self.execute(sql, &claimant.values()).await?;
        let sql = "DELETE FROM noted_attempts
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND record_offset < $4";
        self.execute(sql, &claimant.values_and([from.unwrap_or(0).into()])).await?;
        Ok(Holding {
            token: self.token(claimant).await?.ok_or(sqlx::Error::RowNotFound)?,
            is_dirty: was_dirty,
            attempts: self.noted_attempts(claimant).await?,
            parked: self.parked_keys(claimant).await?,
            past: Past::default(),
        })
    }

    /// Whether the last owner never let go. Nobody has owned a partition without a row.
    async fn is_dirty(&mut self, claimant: &Claimant<'_>) -> Result<bool, sqlx::Error> {
        let sql = "SELECT token FROM partition_owners
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND is_dirty";
        Ok(self.fetch_optional(sql, &claimant.values()).await?.is_some())
    }

    async fn token(&mut self, claimant: &Claimant<'_>) -> Result<Option<i64>, sqlx::Error> {
        let sql = "SELECT token FROM partition_owners
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
        let row = self.fetch_optional(sql, &claimant.values()).await?;
        row.map(|row| row.get("token")).transpose()
    }

    async fn noted_attempts(
        &mut self,
        claimant: &Claimant<'_>,
    ) -> Result<BTreeMap<i64, u32>, sqlx::Error> {
        let sql = "SELECT record_offset, attempts FROM noted_attempts
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
        let rows = self.fetch_all(sql, &claimant.values()).await?;
        rows.iter()
            .map(|row| {
                let attempts: i64 = row.get("attempts")?;
                Ok((row.get("record_offset")?, u32::try_from(attempts).unwrap_or(u32::MAX)))
            })
            .collect()
    }

    async fn note_attempts(
        &mut self,
        claimant: &Claimant<'_>,
        token: i64,
        offset: i64,
        attempts: u32,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO noted_attempts (consumer_group, topic, partition_id, record_offset, attempts)
                   SELECT consumer_group, topic, partition_id, $5, $6 FROM partition_owners
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND token = $4
                   ON CONFLICT (consumer_group, topic, partition_id, record_offset)
                   DO UPDATE SET attempts = excluded.attempts";
        let values = claimant.values_and([token.into(), offset.into(), attempts.into()]);
        self.execute(sql, &values).await.map(drop)
    }

    async fn parked_keys(
        &mut self,
        claimant: &Claimant<'_>,
    ) -> Result<BTreeSet<Option<Bytes>>, sqlx::Error> {
        let sql = "SELECT CASE WHEN is_keyless THEN NULL ELSE record_key END AS record_key FROM parked_keys
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3";
        let rows = self.fetch_all(sql, &claimant.values()).await?;
        rows.iter()
            .map(|row| Ok(row.get::<Option<Vec<u8>>>("record_key")?.map(Bytes::from)))
            .collect()
    }

    /// Forgets the attempts that were noted of an event.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_attempts(
        &mut self,
        claimant: &Claimant<'_>,
        offset: i64,
    ) -> Result<(), sqlx::Error> {
        let sql = "DELETE FROM noted_attempts
                   WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3 AND record_offset = $4";
        self.execute(sql, &claimant.values_and([offset.into()])).await.map(drop)
    }

    /// Parks a key behind a dead letter, or adds one to those that follow. Gives its number, from 1.
    ///
    /// # Errors
    /// The database's.
    pub async fn park(
        &mut self,
        claimant: &Claimant<'_>,
        key: Option<&[u8]>,
    ) -> Result<i64, sqlx::Error> {
        let sql = "INSERT INTO parked_keys AS parked
                     (consumer_group, topic, partition_id, is_keyless, record_key, tail_seq)
                   VALUES ($1, $2, $3, $4 = 1, $5, 1)
                   ON CONFLICT (consumer_group, topic, partition_id, is_keyless, record_key)
                   DO UPDATE SET tail_seq = parked.tail_seq + 1
                   RETURNING tail_seq";
        let row = self.fetch_optional(sql, &claimant.values_of_key(key)).await?;
        row.ok_or(sqlx::Error::RowNotFound)?.get("tail_seq")
    }

    /// Whether it is the turn of a replay: the dead letters of a parked key come back in the order in which they died. No
    /// other transaction changes that meanwhile, for the partition has one owner.
    pub(super) async fn is_next_in_chain(
        &mut self,
        claimant: &Claimant<'_>,
        replay: &ReplayClaim,
    ) -> Result<bool, sqlx::Error> {
        let Some(seq) = replay.chain_seq else { return Ok(true) };
        let sql = of_parked_key!("SELECT applied_seq FROM parked_keys", "");
        let row = self.fetch_optional(sql, &claimant.values_of_key(replay.key.as_deref())).await?;
        let applied: Option<i64> = row.map(|row| row.get("applied_seq")).transpose()?;
        Ok(applied.is_none_or(|applied| applied + 1 == seq))
    }

    /// Notes that the dead letter of this place in a parked key's chain took effect. The last one releases the key; says
    /// whether it did.
    ///
    /// # Errors
    /// The database's.
    pub async fn advance_chain(
        &mut self,
        claimant: &Claimant<'_>,
        key: Option<&[u8]>,
        seq: i64,
    ) -> Result<bool, sqlx::Error> {
        let mut values = claimant.values_of_key(key);
        values.push(seq.into());
        self.execute(of_parked_key!("UPDATE parked_keys SET applied_seq = $6", ""), &values)
            .await?;
        let release = of_parked_key!("DELETE FROM parked_keys", " AND tail_seq <= $6");
        Ok(self.execute(release, &values).await? == 1)
    }

    /// Whether a key is parked.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_parked(
        &mut self,
        claimant: &Claimant<'_>,
        key: Option<&[u8]>,
    ) -> Result<bool, sqlx::Error> {
        let sql = of_parked_key!("SELECT tail_seq FROM parked_keys", "");
        Ok(self.fetch_optional(sql, &claimant.values_of_key(key)).await?.is_some())
    }
}
