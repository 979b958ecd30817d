//! What was read from the topics is taken in.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::sql::{Row, Value, rows_of};
use super::super::tx::Tx;
use super::names::NOTHING;
use super::sums::{Sum, Sums};
use super::{OpsStore, in_turn, replays, search};
use crate::audit::{Action, Deed};
use crate::dead_letters::{Histories, Letter, State};
use crate::kafka::admin::TopicPartition;
use crate::limits::MAX_KEY_BYTES;
use crate::replay::{Outcome, OutcomeReport};

/// So many dead letters are looked up by one statement.
const AT_ONCE: usize = 250;

/// What is written of each dead letter.
const COLUMNS: usize = 25;

/// What was read, together with how far.
#[derive(Debug, Default)]
pub struct Batch {
    /// New dead letters.
    pub letters: Vec<Letter>,
    /// Decisions, in their order.
    pub deeds: Vec<Deed>,
    /// What services reported.
    pub outcomes: Vec<OutcomeReport>,
    /// Of each partition that was read from: how far the store said that it was, and the offset after the last record.
    pub read: BTreeMap<TopicPartition, (Option<i64>, i64)>,
}

/// A batch that was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// Another process reads for this store as well, and was first: go on from where it is.
    #[error("{topic} partition {partition} was read by another process meanwhile")]
    Overtaken {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The database's.
    #[error("the ops store could not be written")]
    Store(#[from] sqlx::Error),
}

impl OpsStore {
    /// How far each partition was read: the offset to go on with.
    ///
    /// # Errors
    /// The database's.
    pub async fn positions(&self) -> Result<BTreeMap<TopicPartition, i64>, sqlx::Error> {
        let sql = "SELECT topic, CAST(partition_id AS bigint) AS partition_id, next_offset FROM ops_positions";
        // Not by those who only read, who would know nothing of `analyze` from then on.
        let rows = self.write.read_all(sql.to_owned(), &[]).await?;
        let mut positions = BTreeMap::new();
        for row in rows {
            let topic: String = row.get("topic")?;
            let partition: i64 = row.get("partition_id")?;
            let decode = |error| sqlx::Error::Decode(error);
            let topic = topic.parse().map_err(|error| decode(Box::from(format!("{error}"))))?;
            let partition = i32::try_from(partition).map_err(|error| decode(error.into()))?;
            positions.insert(TopicPartition { topic, partition }, row.get("next_offset")?);
        }
        Ok(positions)
    }

    /// Forgets how far a partition was read, so that it is read from its start.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_position(&self, at: &TopicPartition) -> Result<(), sqlx::Error> {
        let delete = "DELETE FROM ops_positions WHERE topic = $1 AND partition_id = $2";
        self.write.execute(delete, &[at.topic.as_str().into(), at.partition.into()]).await
    }

    /// Forgets all that is read from Kafka, so that it is read again. Replays and tokens stay.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_index(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        for sql in [
            "DELETE FROM ops_positions",
            "DELETE FROM ops_letters",
            "DELETE FROM ops_histories",
            "DELETE FROM ops_idle",
            "DELETE FROM ops_sums",
            "DELETE FROM ops_hours",
        ] {
            tx.execute(sql, &[]).await?;
        }
        tx.commit().await
    }

    /// Takes in what was read, and notes how far that is, at once.
    ///
    /// # Errors
    /// See [`TakeInError`]; then nothing is taken in.
    pub async fn take_in(&self, batch: &Batch) -> Result<(), TakeInError> {
        self.names.keep(&self.write, batch.letters.iter().flat_map(names_of)).await?;
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        for (at, (from, to)) in &batch.read {
            move_on(&mut tx, at, *from, *to).await?;
        }
        let mut affected = BTreeSet::new();
        let mut sums = Sums::default();
        self.insert(&mut tx, &batch.letters, &mut sums).await?;
        let ids: Vec<Uuid> = batch.letters.iter().map(|letter| letter.id).collect();
        affected.extend(told_of_before(&mut tx, &ids).await?);
        affected.extend(decide(&mut tx, &batch.deeds).await?);
        affected.extend(tell(&mut tx, &batch.outcomes).await?);
        let affected: Vec<Uuid> = affected.into_iter().collect();
        for letters in affected.chunks(AT_ONCE) {
            settle_states(&mut tx, letters, &mut sums).await?;
        }
        sums.write(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn insert(
        &self,
        tx: &mut Tx,
        letters: &[Letter],
        sums: &mut Sums,
    ) -> Result<(), sqlx::Error> {
        let id = |name: &str| self.names.id(&clean(name)).unwrap_or(NOTHING);
        let optional = |name: &Option<String>| name.as_deref().map_or(NOTHING, id);
        let row = |letter: &Letter| -> [Value; COLUMNS] {
            let key = letter.key.as_deref().map(|key| &key[..key.len().min(MAX_KEY_BYTES)]);
            let key = key.map(|key| clean(&String::from_utf8_lossy(key)));
            [
                letter.id.to_string().into(),
                letter.event_id.to_string().into(),
                id(letter.dead_letter_topic.as_str()).into(),
                letter.dead_letter_partition.into(),
                letter.dead_letter_offset.into(),
                id(letter.topic.as_str()).into(),
                letter.partition.into(),
                letter.offset.into(),
                id(letter.group.as_str()).into(),
                id(&letter.service).into(),
                optional(&letter.tenant).into(),
                optional(&letter.event).into(),
                optional(&letter.version).into(),
                id(&letter.reason).into(),
                id(&letter.error_type).into(),
                id(&letter.fingerprint).into(),
                clean(&letter.message).into(),
                key.into(),
                letter.attempts.into(),
                letter.replays.into(),
                letter.previous.map(|id| id.to_string()).into(),
                letter.chain_seq.into(),
                stamp(letter.first_failed_at).into(),
                stamp(letter.failed_at).into(),
                search::code(State::Open).into(),
            ]
        };
        let rows: Vec<[Value; COLUMNS]> = letters.iter().map(row).collect();
        let inserted = tx.with_rows(&rows, |list| {
            format!(
                "INSERT INTO ops_letters (id, event_id, dlq_topic, dlq_partition, dlq_offset, topic, partition_id,
                   record_offset, consumer_group, service, tenant, event, version, reason, error_type, fingerprint,
                   message, record_key, attempts, replays, previous, chain_seq, first_failed_at, failed_at, state)
                 VALUES {list} ON CONFLICT (id) DO NOTHING
                 RETURNING {SUMMED}"
            )
        });
        for row in inserted.await? {
            sums.add(&summed(&row)?, 1);
        }
        Ok(())
    }
}

/// What a row of `ops_letters` is summed by.
const SUMMED: &str =
    "fingerprint, consumer_group, topic, service, tenant, event, version, reason, state,
    first_failed_at, failed_at, resolved_at";

pub(super) fn summed(row: &Row) -> Result<Sum, sqlx::Error> {
    Ok(Sum {
        names: [
            row.get("fingerprint")?,
            row.get("consumer_group")?,
            row.get("topic")?,
            row.get("service")?,
            row.get("tenant")?,
            row.get("event")?,
            row.get("version")?,
            row.get("reason")?,
        ],
        state: row.get("state")?,
        first_failed_at: row.get("first_failed_at")?,
        failed_at: row.get("failed_at")?,
        resolved_at: row.get("resolved_at")?,
    })
}

/// What is kept once of a dead letter.
fn names_of(letter: &Letter) -> impl Iterator<Item = String> {
    let said = [
        Some(letter.dead_letter_topic.as_str()),
        Some(letter.topic.as_str()),
        Some(letter.group.as_str()),
        Some(letter.service.as_str()),
        letter.tenant.as_deref(),
        letter.event.as_deref(),
        letter.version.as_deref(),
        Some(letter.reason.as_str()),
        Some(letter.error_type.as_str()),
        Some(letter.fingerprint.as_str()),
    ];
    said.into_iter().flatten().map(clean).collect::<Vec<_>>().into_iter()
}

/// PostgreSQL's text has no zero.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

async fn move_on(
    tx: &mut Tx,
    at: &TopicPartition,
    from: Option<i64>,
    to: i64,
) -> Result<(), TakeInError> {
    let (topic, partition) = (at.topic.as_str(), at.partition);
    let moved = match from {
        Some(from) => {
            let update = "UPDATE ops_positions SET next_offset = $4
                WHERE topic = $1 AND partition_id = $2 AND next_offset = $3";
            let places = [topic.into(), partition.into(), from.into(), to.into()];
            tx.execute(update, &places).await?
        }
        None => {
            let insert =
                "INSERT INTO ops_positions (topic, partition_id, next_offset) VALUES ($1, $2, $3)
                ON CONFLICT (topic, partition_id) DO NOTHING";
            tx.execute(insert, &[topic.into(), partition.into(), to.into()]).await?
        }
    };
    match moved {
        1 => Ok(()),
        _ => Err(TakeInError::Overtaken { topic: topic.to_owned(), partition }),
    }
}

/// Those of which something was told before they were read.
async fn told_of_before(tx: &mut Tx, letters: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut told_of = Vec::new();
    for letters in letters.chunks(AT_ONCE) {
        let ids: Vec<Value> = letters.iter().map(|letter| letter.to_string().into()).collect();
        let select =
            format!("SELECT letter FROM ops_histories WHERE letter IN ({})", rows_of(ids.len(), 1));
        for row in tx.fetch_made(select, &ids).await? {
            told_of.push(parsed(&row.get::<String>("letter")?)?);
        }
    }
    Ok(told_of)
}

/// Those about which this is the last decision already: what an ops process decided it knows before it reads it.
async fn known(
    tx: &mut Tx,
    (action, deed): (Action, Uuid),
    letters: &[Uuid],
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let mut known = BTreeSet::new();
    for letters in letters.chunks(AT_ONCE) {
        let mut values: Vec<Value> =
            letters.iter().map(|letter| letter.to_string().into()).collect();
        let places = rows_of(values.len(), 1);
        values.extend([action.as_str().into(), deed.to_string().into()]);
        let select = format!(
            "SELECT letter FROM ops_histories WHERE letter IN ({places}) AND action = ${} AND deed = ${}",
            letters.len() + 1,
            letters.len() + 2
        );
        for row in tx.fetch_made(select, &values).await? {
            known.insert(parsed(&row.get::<String>("letter")?)?);
        }
    }
    Ok(known)
}

/// Writes decisions, and says about which dead letters they are.
async fn decide(tx: &mut Tx, deeds: &[Deed]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut last: BTreeMap<Uuid, (Action, Uuid)> = BTreeMap::new();
    // A long list is several records.
    let mut of_store: BTreeMap<Uuid, bool> = BTreeMap::new();
    for deed in deeds {
        let decision = (deed.action, deed.id);
        let is_known = match of_store.get(&deed.id) {
            Some(is_known) => *is_known,
            None if deed.action == Action::Replay => replays::is_known(tx, deed.id).await?,
            None => false,
        };
        of_store.insert(deed.id, is_known);
        let unknown = if is_known { &[][..] } else { &deed.letters };
        let known = known(tx, decision, unknown).await?;
        for letter in &deed.letters {
            // An earlier one of the same batch is not written yet.
            if last.contains_key(letter) || !(is_known || known.contains(letter)) {
                last.insert(*letter, decision);
            }
        }
    }
    let rows: Vec<[Value; 3]> = last
        .iter()
        .map(|(letter, (action, deed))| {
            [letter.to_string().into(), action.as_str().into(), deed.to_string().into()]
        })
        .collect();
    tx.with_rows(&rows, |list| {
        format!(
            "INSERT INTO ops_histories (letter, action, deed) VALUES {list}
             ON CONFLICT (letter) DO UPDATE SET action = excluded.action, deed = excluded.deed"
        )
    })
    .await?;
    Ok(last.into_keys().collect())
}

/// Writes what was reported, also for the replays of this store, and says of which dead letters.
async fn tell(tx: &mut Tx, reports: &[OutcomeReport]) -> Result<Vec<Uuid>, sqlx::Error> {
    let (mut ended, mut idle) = (BTreeMap::new(), BTreeMap::new());
    let mut of_replays: BTreeMap<(Uuid, Uuid), Outcome> = BTreeMap::new();
    for report in reports {
        let at = stamp(report.at);
        let told = of_replays.entry((report.replay_id, report.dlq_id)).or_insert(report.outcome);
        if weight(report.outcome) > weight(*told) {
            *told = report.outcome;
        }
        match report.outcome {
            Outcome::Processed | Outcome::DeadAgain => {
                ended.insert(report.dlq_id, (report.outcome, at));
            }
            Outcome::Duplicate => {
                idle.insert((report.dlq_id, report.replay_id), (report.outcome, at));
            }
            Outcome::OutOfTurn => {
                idle.entry((report.dlq_id, report.replay_id)).or_insert((report.outcome, at));
            }
        }
    }
    let ended: Vec<[Value; 3]> = ended
        .iter()
        .map(|(letter, (outcome, at))| {
            [letter.to_string().into(), outcome.as_str().into(), (*at).into()]
        })
        .collect();
    tx.with_rows(&ended, |list| {
        format!(
            "INSERT INTO ops_histories (letter, outcome, ended_at) VALUES {list}
             ON CONFLICT (letter) DO UPDATE SET outcome = excluded.outcome, ended_at = excluded.ended_at"
        )
    })
    .await?;
    let idle: Vec<[Value; 4]> = idle
        .iter()
        .map(|((letter, replay), (outcome, at))| {
            let (letter, replay) = (letter.to_string(), replay.to_string());
            [letter.into(), replay.into(), outcome.as_str().into(), (*at).into()]
        })
        .collect();
    // That there was nothing to do outlasts that it was not the turn.
    tx.with_rows(&idle, |list| {
        format!(
            "INSERT INTO ops_idle (letter, replay, outcome, at) VALUES {list}
             ON CONFLICT (letter, replay) DO UPDATE SET outcome = excluded.outcome, at = excluded.at
             WHERE ops_idle.outcome = 'out-of-turn'"
        )
    })
    .await?;
    let of_replays: Vec<[Value; 3]> = of_replays
        .iter()
        .map(|((replay, letter), outcome)| {
            [replay.to_string().into(), letter.to_string().into(), outcome.as_str().into()]
        })
        .collect();
    // A replay that was sent twice is told of twice: what was done counts, and not that it was done before.
    tx.with_rows(&of_replays, |list| {
        format!(
            "UPDATE ops_replay_letters SET outcome = told.column3
             FROM (VALUES {list}) AS told
             WHERE ops_replay_letters.replay = told.column1 AND ops_replay_letters.letter = told.column2
               AND (ops_replay_letters.outcome IS NULL OR ops_replay_letters.outcome = 'out-of-turn'
                    OR (ops_replay_letters.outcome = 'duplicate' AND told.column3 <> 'out-of-turn'))"
        )
    })
    .await?;
    Ok(reports.iter().map(|report| report.dlq_id).collect())
}

/// Of what is told of one replay of a dead letter that was sent twice, what counts most.
fn weight(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Processed | Outcome::DeadAgain => 2,
        Outcome::Duplicate => 1,
        Outcome::OutOfTurn => 0,
    }
}

/// Writes how these dead letters stand, as far as they were read.
async fn settle_states(tx: &mut Tx, letters: &[Uuid], sums: &mut Sums) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let ids: Vec<Value> = letters.iter().map(|letter| letter.to_string().into()).collect();
    let places = rows_of(ids.len(), 1);
    let histories = histories(tx, &ids, &places).await?;
    let select =
        format!("SELECT seq, id, replay, {SUMMED} FROM ops_letters WHERE id IN ({places})");
    let mut changes: Vec<[Value; 4]> = Vec::new();
    for row in tx.fetch_made(select, &ids).await? {
        let sum = summed(&row)?;
        let id: String = row.get("id")?;
        let replay: Option<String> = row.get("replay")?;
        let state = histories.state_of(parsed(&id)?);
        let (new_replay, resolved_at) = match state {
            State::Replaying { replay } => (Some(replay.to_string()), None),
            State::Resolved { at } => (None, Some(stamp(at))),
            _ => (None, None),
        };
        let new = Sum { state: search::code(state), resolved_at, ..sum };
        if new == sum && new_replay == replay {
            continue;
        }
        sums.add(&sum, -1);
        sums.add(&new, 1);
        let seq: i64 = row.get("seq")?;
        changes.push([seq.into(), new.state.into(), new_replay.into(), resolved_at.into()]);
    }
    tx.with_rows(&changes, |list| {
        format!(
            "UPDATE ops_letters SET state = changed.column2, replay = changed.column3, resolved_at = changed.column4
             FROM (VALUES {list}) AS changed WHERE ops_letters.seq = changed.column1"
        )
    })
    .await
    .map(drop)
}

/// What was decided and told of these.
async fn histories(tx: &mut Tx, ids: &[Value], places: &str) -> Result<Histories, sqlx::Error> {
    let mut histories = Histories::default();
    let select = format!(
        "SELECT letter, action, deed, outcome, ended_at FROM ops_histories WHERE letter IN ({places})"
    );
    for row in tx.fetch_made(select, ids).await? {
        let letter = parsed(&row.get::<String>("letter")?)?;
        if let (Some(action), Some(deed)) =
            (row.get::<Option<String>>("action")?, row.get::<Option<String>>("deed")?)
        {
            histories.decided_as(letter, parsed(&action)?, parsed(&deed)?);
        }
        if let (Some(outcome), Some(at)) =
            (row.get::<Option<String>>("outcome")?, row.get::<Option<i64>>("ended_at")?)
        {
            histories.ended_as(letter, parsed(&outcome)?, moment(at)?);
        }
    }
    let select =
        format!("SELECT letter, replay, outcome, at FROM ops_idle WHERE letter IN ({places})");
    for row in tx.fetch_made(select, ids).await? {
        let (letter, replay): (String, String) = (row.get("letter")?, row.get("replay")?);
        let outcome = parsed(&row.get::<String>("outcome")?)?;
        histories.idled_as((parsed(&letter)?, parsed(&replay)?), outcome, moment(row.get("at")?)?);
    }
    Ok(histories)
}

/// What a column says, or that it can't be read.
pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| sqlx::Error::Decode(format!("{text:?} can't be read").into()))
}

/// A time as a column says it: nanoseconds since 1970, which last until 2262.
pub(super) fn stamp(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

pub(super) fn moment(nanoseconds: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_err(|error| sqlx::Error::Decode(error.into()))
}
