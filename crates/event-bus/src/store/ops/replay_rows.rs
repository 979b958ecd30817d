//! Replays as they are told of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::sql::Row;
use super::super::tx::Tx;
use super::OpsStore;
use super::letters::{moment, parsed};
use super::search::unsigned;
use super::stage::Stage;
use crate::dead_letters::Scope;
use crate::dead_letters::guarded::{Guard, Progress};

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRow {
    /// Names it, also on the topics.
    pub id: Uuid,
    /// Where it stands.
    pub stage: Stage,
    /// Why it stopped by itself.
    pub why_stopped: Option<String>,
    /// Who asked for it.
    pub by: String,
    /// Who cancelled it.
    pub ended_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What it is guarded by.
    pub guard: Guard,
    /// How far it is.
    pub progress: Progress,
}

const REPLAY: &str =
    "SELECT replay.id, replay.stage, replay.why_stopped, replay.asked_by, replay.reason,
    replay.asked_at, replay.guard, replay.letters, replay.ended_by,
    (SELECT CAST(coalesce(sum(lane.sent), 0) AS bigint) FROM ops_replay_lanes AS lane
     WHERE lane.replay = replay.id) AS sent
    FROM ops_replays AS replay";

impl OpsStore {
    /// The latest replays, the last one first, of nothing but what is in scope.
    ///
    /// # Errors
    /// The database's.
    pub async fn replays(&self, scope: &Scope, most: u32) -> Result<Vec<ReplayRow>, sqlx::Error> {
        let within = self.replays_within(scope).await?;
        let select = format!(
            "{REPLAY} WHERE 1 = 1{within} ORDER BY replay.asked_at DESC, replay.id LIMIT $1"
        );
        let rows = self.read.read_all(select, &[most.into()]).await?;
        let mut replays = Vec::with_capacity(rows.len());
        for row in &rows {
            replays.push(self.replay_of(row).await?);
        }
        Ok(replays)
    }

    /// A replay; `None` also where some of it is not in scope.
    ///
    /// # Errors
    /// The database's.
    pub async fn replay(&self, scope: &Scope, id: Uuid) -> Result<Option<ReplayRow>, sqlx::Error> {
        let select = format!("{REPLAY} WHERE replay.id = $1{}", self.replays_within(scope).await?);
        let rows = self.read.read_all(select, &[id.to_string().into()]).await?;
        match rows.first() {
            Some(row) => Ok(Some(self.replay_of(row).await?)),
            None => Ok(None),
        }
    }

    async fn replay_of(&self, row: &Row) -> Result<ReplayRow, sqlx::Error> {
        let id: String = row.get("id")?;
        let mut progress = Progress {
            letters: unsigned(row, "letters")?,
            sent: unsigned(row, "sent")?,
            ..Progress::default()
        };
        let outcomes = "SELECT outcome, count(*) AS letters FROM ops_replay_letters
            WHERE replay = $1 AND outcome IS NOT NULL GROUP BY outcome";
        for row in self.read.read_all(outcomes.to_owned(), &[id.as_str().into()]).await? {
            let letters = unsigned(&row, "letters")?;
            match row.get::<String>("outcome")?.as_str() {
                "processed" => progress.processed = letters,
                "duplicate" => progress.duplicate = letters,
                "dead-again" => progress.dead_again = letters,
                "gone" => progress.gone = letters,
                "refused" => progress.refused = letters,
                _ => progress.out_of_turn = letters,
            }
        }
        let guard = serde_json::from_str(&row.get::<String>("guard")?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(ReplayRow {
            id: parsed(&id)?,
            stage: parsed(&row.get::<String>("stage")?)?,
            why_stopped: row.get("why_stopped")?,
            by: row.get("asked_by")?,
            ended_by: row.get("ended_by")?,
            reason: row.get("reason")?,
            at: moment(row.get("asked_at")?)?,
            guard,
            progress,
        })
    }

    /// ` AND …` that leaves replays all of whose dead letters are in scope. Of those that are older than their parts it is not
    /// known.
    async fn replays_within(&self, scope: &Scope) -> Result<String, sqlx::Error> {
        if scope.is_all() {
            return Ok(String::new());
        }
        let within = self.within(scope, "part.").await?;
        let parts = "SELECT 1 FROM ops_replay_parts AS part WHERE part.replay = replay.id";
        Ok(format!(" AND EXISTS ({parts}) AND NOT EXISTS ({parts} AND NOT (1 = 1{within}))"))
    }
}

/// Notes whose dead letters are in a replay, for those who may not see all.
pub(super) async fn note_parts(tx: &mut Tx, id: Uuid) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO ops_replay_parts (replay, service, tenant)
        SELECT DISTINCT planned.replay, letter.service, letter.tenant FROM ops_replay_letters AS planned
        JOIN ops_letters AS letter ON letter.id = planned.letter WHERE planned.replay = $1";
    tx.execute(insert, &[id.to_string().into()]).await.map(drop)
}
