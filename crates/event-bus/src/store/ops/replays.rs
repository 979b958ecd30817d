//! Replays of an exact list, as they stand in the ops store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::super::sql::Value;
use super::super::tx::Tx;
use super::letters::{parsed, stamp, summed};
use super::replay_rows::note_parts;
use super::requests::{RequestStage, decide};
use super::search::{code, unsigned};
use super::stage::Stage;
use super::sums::{Sum, Sums};
use super::{OpsStore, in_turn};
use crate::dead_letters::guarded::Guard;
use crate::dead_letters::{Filter, State};
use crate::kafka::admin::TopicPartition;
use crate::names::{GroupName, TopicName};

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Names the replay. Whoever asks twice under one id has asked once.
    pub id: Uuid,
    /// Which dead letters. Only open ones are taken.
    pub filter: Filter,
    /// The groups that are handled, with their topics. Nobody else's dead letters are taken.
    pub consumed: Vec<(TopicName, GroupName)>,
    /// What it is guarded by.
    pub guard: Guard,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// How far the lanes of a replay are, since it was told last.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// Of each lane, the place after the last one that is done with.
    pub sent: BTreeMap<TopicPartition, i64>,
    /// Those that retention took.
    pub gone: Vec<Uuid>,
    /// Those that Kafka refused.
    pub refused: Vec<Uuid>,
}

impl OpsStore {
    /// Completes once somebody asked for a replay in this process, also if that was before.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Freezes what is meant into a list: the open dead letters, each of which says from now on that it is being replayed,
    /// so that no other replay takes it. Nothing is sent yet. Says how many there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn ask_for_replay(&self, asked: &Asked) -> Result<u64, sqlx::Error> {
        Ok(self.begin_replay(asked, None).await?.unwrap_or(0))
    }

    /// Lets a replay begin that another one asked for, at this time; `None` where there is no such request that waits and
    /// that this one may approve.
    ///
    /// # Errors
    /// The database's.
    pub async fn approve_replay(
        &self,
        asked: &Asked,
        by: &str,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<u64>, sqlx::Error> {
        self.begin_replay(asked, Some((by, why, now))).await
    }

    async fn begin_replay(
        &self,
        asked: &Asked,
        approved: Option<(&str, Option<&str>, Timestamp)>,
    ) -> Result<Option<u64>, sqlx::Error> {
        let (freeze, values) = self.freezing(asked).await?;
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        let id = asked.id.to_string();
        let known = "SELECT letters FROM ops_replays WHERE id = $1";
        if let Some(row) = tx.fetch_optional(known, &[id.as_str().into()]).await? {
            return unsigned(&row, "letters").map(Some);
        }
        if let Some((by, why, now)) = approved
            && !decide(&mut tx, asked.id, RequestStage::Approved, by, why, now).await?
        {
            return Ok(None);
        }
        let guard = serde_json::to_string(&asked.guard)
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let now = stamp(Timestamp::now());
        let insert =
            "INSERT INTO ops_replays (id, stage, asked_by, reason, asked_at, guard, letters)
            VALUES ($1, 'running', $2, $3, $4, $5, 0)";
        let by = asked.by.as_str();
        let values_of_replay: [Value; 5] =
            [id.as_str().into(), by.into(), asked.reason.clone().into(), now.into(), guard.into()];
        tx.execute(insert, &values_of_replay).await?;
        let letters = tx.execute_made(freeze, &values).await?;
        let count = i64::try_from(letters).unwrap_or(i64::MAX);
        let sum = "UPDATE ops_replays SET letters = $2 WHERE id = $1";
        tx.execute(sum, &[id.as_str().into(), count.into()]).await?;
        let lanes = "INSERT INTO ops_replay_lanes (replay, dlq_topic, dlq_partition, letters)
            SELECT replay, dlq_topic, dlq_partition, count(*) FROM ops_replay_letters
            WHERE replay = $1 GROUP BY replay, dlq_topic, dlq_partition";
        tx.execute(lanes, &[id.as_str().into()]).await?;
        if letters == 0 {
            let finish = "UPDATE ops_replays SET stage = 'finished' WHERE id = $1";
            tx.execute(finish, &[id.as_str().into()]).await?;
        }
        note_parts(&mut tx, asked.id).await?;
        mark_as_replaying(&mut tx, asked.id).await?;
        tx.commit().await?;
        self.asked.notify_one();
        Ok(Some(letters))
    }

    /// The condition that leaves what the groups handle which this is asked for.
    pub(super) async fn consumed_by(&self, asked: &Asked) -> Result<String, sqlx::Error> {
        let mut pairs = Vec::with_capacity(asked.consumed.len());
        for (topic, group) in &asked.consumed {
            let topic = self.names.find(&self.read, topic.as_str()).await?;
            let group = self.names.find(&self.read, group.as_str()).await?;
            if let (Some(topic), Some(group)) = (topic, group) {
                pairs.push(format!("({topic}, {group})"));
            }
        }
        Ok(if pairs.is_empty() {
            "1 = 0".to_owned()
        } else {
            format!("(topic, consumer_group) IN (VALUES {})", pairs.join(", "))
        })
    }

    /// The statement that writes the list of a replay.
    async fn freezing(&self, asked: &Asked) -> Result<(String, Vec<Value>), sqlx::Error> {
        let mut conditions = self.conditions(&asked.filter).await?;
        conditions.also(format!("state = {}", code(State::Open)));
        conditions.also(self.consumed_by(asked).await?);
        let mut values = conditions.values.clone();
        values.push(asked.id.to_string().into());
        // Those of a parked key go in the order of their chain, also where one died again and so stands behind the next.
        let freeze = format!(
            "INSERT INTO ops_replay_letters (replay, dlq_topic, dlq_partition, place, dlq_offset, letter, topic,
               partition_id, consumer_group, event_id, chain_seq)
             SELECT ${}, dlq_topic, dlq_partition,
               row_number() OVER (PARTITION BY dlq_topic, dlq_partition
                                  ORDER BY stands_at, coalesce(chain_seq, 0), dlq_offset) - 1,
               dlq_offset, id, topic, partition_id, consumer_group, event_id, chain_seq
             FROM (SELECT id, dlq_topic, dlq_partition, dlq_offset, chain_seq, topic, partition_id, consumer_group,
                     event_id,
                     CASE WHEN chain_seq IS NULL THEN dlq_offset
                     ELSE max(dlq_offset) OVER (PARTITION BY dlq_topic, dlq_partition, consumer_group, record_key,
                            chain_seq IS NULL ORDER BY chain_seq, dlq_offset) END AS stands_at
                   FROM ops_letters{}) AS chosen",
            values.len(),
            conditions.text()
        );
        Ok((freeze, values))
    }

    /// Cancels a replay that runs. What was sent stays sent.
    ///
    /// # Errors
    /// The database's.
    pub async fn cancel_replay(&self, id: Uuid, by: &str) -> Result<(), sqlx::Error> {
        let update = "UPDATE ops_replays SET stage = 'cancelling', ended_by = $2
            WHERE id = $1 AND stage = 'running'";
        self.write.execute(update, &[id.to_string().into(), by.into()]).await
    }

    /// The replays that are not over.
    ///
    /// # Errors
    /// The database's.
    pub async fn replays_to_work_on(&self) -> Result<Vec<Uuid>, sqlx::Error> {
        let select =
            "SELECT id FROM ops_replays WHERE stage IN ('running', 'cancelling', 'stopping')
            ORDER BY asked_at";
        let rows = self.read.read_all(select.to_owned(), &[]).await?;
        rows.iter().map(|row| parsed(&row.get::<String>("id")?)).collect()
    }

    /// Has this process work on a replay for a while, unless another one does. Again and again while it goes on.
    ///
    /// # Errors
    /// The database's.
    pub async fn hold_replay(
        &self,
        id: Uuid,
        holder: Uuid,
        time: Duration,
    ) -> Result<bool, sqlx::Error> {
        let now = stamp(Timestamp::now());
        let until = now.saturating_add(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
        let update = "UPDATE ops_replays SET holder = $2, held_until = $3
            WHERE id = $1 AND stage IN ('running', 'cancelling', 'stopping')
              AND (holder = $2 OR holder IS NULL OR held_until < $4)";
        let values = [id.to_string().into(), holder.to_string().into(), until.into(), now.into()];
        let mut tx = self.write.begin().await?;
        let held = tx.execute(update, &values).await?;
        tx.commit().await?;
        Ok(held == 1)
    }

    /// Notes how far the lanes are. Only the process that holds the replay may; another one is told so.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_sent(
        &self,
        id: Uuid,
        holder: Uuid,
        moved: &Moved,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let lock = "UPDATE ops_replays SET holder = $2 WHERE id = $1 AND holder = $2";
        let held = [id.to_string().into(), holder.to_string().into()];
        if tx.execute(lock, &held).await? == 0 {
            return Ok(false);
        }
        for (letters, why) in [(&moved.gone, "gone"), (&moved.refused, "refused")] {
            for letter in letters {
                let update =
                    "UPDATE ops_replay_letters SET outcome = $3 WHERE replay = $1 AND letter = $2";
                let unsent = [id.to_string().into(), letter.to_string().into(), why.into()];
                tx.execute(update, &unsent).await?;
            }
        }
        for (TopicPartition { topic, partition }, sent) in &moved.sent {
            let update = "UPDATE ops_replay_lanes SET sent = $4
                WHERE replay = $1 AND dlq_topic = (SELECT id FROM ops_names WHERE name = $2) AND dlq_partition = $3";
            let lane =
                [id.to_string().into(), topic.as_str().into(), (*partition).into(), (*sent).into()];
            tx.execute(update, &lane).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Moves a replay from one stage to another. Says whether it was there.
    ///
    /// # Errors
    /// The database's.
    pub async fn move_replay(
        &self,
        id: Uuid,
        from: Stage,
        to: Stage,
        why: Option<&str>,
    ) -> Result<bool, sqlx::Error> {
        let update = "UPDATE ops_replays SET stage = $3, why_stopped = coalesce($4, why_stopped)
            WHERE id = $1 AND stage = $2";
        let why = why.map(str::to_owned);
        let values = [id.to_string().into(), from.as_str().into(), to.as_str().into(), why.into()];
        let mut tx = self.write.begin().await?;
        let moved = tx.execute(update, &values).await?;
        tx.commit().await?;
        Ok(moved == 1)
    }
}

/// Whether this is a replay of this store, and the last decision about each of its dead letters: their number may be large, and
/// this is told by one statement.
pub(super) async fn is_known(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    let select = "SELECT replay.letters,
          (SELECT count(*) FROM ops_replay_letters AS planned
           JOIN ops_histories AS history ON history.letter = planned.letter
           WHERE planned.replay = replay.id AND history.action = 'replay' AND history.deed = replay.id) AS decided
        FROM ops_replays AS replay WHERE replay.id = $1";
    match tx.fetch_optional(select, &[id.to_string().into()]).await? {
        Some(row) => Ok(row.get::<i64>("letters")? == row.get::<i64>("decided")?),
        None => Ok(false),
    }
}

/// What a replay's dead letters say of themselves before its deed is read from the topic of audit. They were open, so that
/// nothing else is known of them that counts more.
async fn mark_as_replaying(tx: &mut Tx, id: Uuid) -> Result<(), sqlx::Error> {
    let decide = "INSERT INTO ops_histories (letter, action, deed)
        SELECT letter, 'replay', replay FROM ops_replay_letters WHERE replay = $1
        ON CONFLICT (letter) DO UPDATE SET action = excluded.action, deed = excluded.deed";
    tx.execute(decide, &[id.to_string().into()]).await?;
    let id = id.to_string();
    let (open, replaying) = (code(State::Open), code(State::Replaying { replay: Uuid::nil() }));
    let taken = "(SELECT letter FROM ops_replay_letters WHERE replay = $1)";
    let select = format!(
        "SELECT fingerprint, consumer_group, topic, service, tenant, event, version, reason, state,
           min(first_failed_at) AS first_failed_at, max(failed_at) AS failed_at, min(resolved_at) AS resolved_at,
           count(*) AS letters
         FROM ops_letters WHERE state = {open} AND id IN {taken}
         GROUP BY fingerprint, consumer_group, topic, service, tenant, event, version, reason, state"
    );
    let mut sums = Sums::default();
    for row in tx.fetch_made(select, &[id.as_str().into()]).await? {
        let (sum, letters) = (summed(&row)?, row.get::<i64>("letters")?);
        sums.add(&sum, -letters);
        sums.add(&Sum { state: replaying, ..sum }, letters);
    }
    sums.write(tx).await?;
    let update = format!(
        "UPDATE ops_letters SET state = {replaying}, replay = $1 WHERE state = {open} AND id IN {taken}"
    );
    tx.execute_made(update, &[id.as_str().into()]).await.map(drop)
}
