//! What one asks for and another one has to approve: about an exact list of dead letters.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::sql::{Row, Value};
use super::super::tx::Tx;
use super::letters::{moment, parsed, stamp};
use super::replays::Asked;
use super::search::{code, unsigned};
use super::{OpsStore, in_turn};
use crate::dead_letters::guarded::Guard;
use crate::dead_letters::{Scope, State};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestedAction {
    /// They go back.
    Replay,
    /// Nothing is to be done about them.
    Discard,
}

impl RequestedAction {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestStage {
    /// A second one has to decide.
    Waiting,
    /// A second one let it be done.
    Approved,
    /// A second one did not.
    Denied,
    /// Nobody decided in time.
    Expired,
}

impl RequestStage {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// What one asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// Names it, and the replay that it becomes.
    pub id: Uuid,
    /// What is to be done.
    pub action: RequestedAction,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Until then it can be approved.
    pub expires_at: Timestamp,
    /// About so many dead letters.
    pub letters: u64,
    /// Where it stands.
    pub stage: RequestStage,
    /// What a replay is guarded by.
    pub guard: Guard,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Why so.
    pub why: Option<String>,
}

/// What became of the list of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// So few need nobody else: the request is there for as long as they are dealt with.
    Few(u64),
    /// So many wait for a second one.
    Waiting(u64),
}

/// A request can be approved for so long.
pub const REQUEST_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

const REQUEST: &str =
    "SELECT request.id, request.action, request.asked_by, request.asked_at, request.expires_at,
    request.reason, request.guard, request.letters, request.stage, request.decided_by, request.why
    FROM ops_requests AS request";
/// The stage of those that need nobody else. They are told of to nobody.
const FEW: &str = "few";

impl OpsStore {
    /// Freezes what is meant into a list, unless that was done under this id. More than `most` wait for a second one. `None`
    /// where the id names what somebody else asked for: it is not told of to others.
    ///
    /// # Errors
    /// The database's.
    pub async fn freeze_request(
        &self,
        action: RequestedAction,
        asked: &Asked,
        most: u64,
        now: Timestamp,
    ) -> Result<Option<Frozen>, sqlx::Error> {
        let mut conditions = self.conditions(&asked.filter).await?;
        conditions.also(format!("state = {}", code(State::Open)));
        if action == RequestedAction::Replay {
            conditions.also(self.consumed_by(asked).await?);
        }
        let mut values = conditions.values.clone();
        values.push(asked.id.to_string().into());
        let freeze = format!(
            "INSERT INTO ops_request_letters (request, letter) SELECT ${}, id FROM ops_letters{}",
            values.len(),
            conditions.text()
        );
        let mut tx = self.write.begin().await?;
        in_turn(&mut tx).await?;
        let id = Value::from(asked.id.to_string());
        let known = "SELECT letters, stage, asked_by FROM ops_requests WHERE id = $1";
        if let Some(row) = tx.fetch_optional(known, std::slice::from_ref(&id)).await? {
            if row.get::<String>("asked_by")? != asked.by {
                return Ok(None);
            }
            return Ok(Some(frozen(&row.get::<String>("stage")?, unsigned(&row, "letters")?)));
        }
        let expires = i64::try_from(REQUEST_LASTS.as_nanos()).unwrap_or(i64::MAX);
        let guard = serde_json::to_string(&asked.guard)
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let insert = "INSERT INTO ops_requests (id, action, asked_by, asked_at, expires_at, reason, guard, letters, stage)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)";
        let row = [
            id.clone(),
            action.as_str().into(),
            asked.by.as_str().into(),
            stamp(now).into(),
            stamp(now).saturating_add(expires).into(),
            asked.reason.clone().into(),
            guard.into(),
            FEW.into(),
        ];
        tx.execute(insert, &row).await?;
        let letters = tx.execute_made(freeze, &values).await?;
        let stage = if letters > most { RequestStage::Waiting.as_str() } else { FEW };
        let count = i64::try_from(letters).unwrap_or(i64::MAX);
        let update = "UPDATE ops_requests SET letters = $2, stage = $3 WHERE id = $1";
        tx.execute(update, &[id.clone(), count.into(), stage.into()]).await?;
        let parts = "INSERT INTO ops_request_parts (request, service, tenant)
            SELECT DISTINCT asked.request, letter.service, letter.tenant FROM ops_request_letters AS asked
            JOIN ops_letters AS letter ON letter.id = asked.letter WHERE asked.request = $1";
        tx.execute(parts, &[id]).await?;
        tx.commit().await?;
        Ok(Some(frozen(stage, letters)))
    }

    /// Forgets the list of a request that needed nobody else.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_few(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let few = "SELECT id FROM ops_requests WHERE id = $1 AND stage = 'few'";
        let id = [Value::from(id.to_string())];
        if tx.fetch_optional(few, &id).await?.is_some() {
            for delete in [
                "DELETE FROM ops_request_letters WHERE request = $1",
                "DELETE FROM ops_request_parts WHERE request = $1",
                "DELETE FROM ops_requests WHERE id = $1",
            ] {
                tx.execute(delete, &id).await?;
            }
        }
        tx.commit().await
    }

    /// The latest requests, the last one first, of nothing but what is in scope.
    ///
    /// # Errors
    /// The database's.
    pub async fn requests(
        &self,
        scope: &Scope,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<RequestRow>, sqlx::Error> {
        let within = self.requests_within(scope).await?;
        let select = format!(
            "{REQUEST} WHERE request.stage <> '{FEW}'{within} ORDER BY request.asked_at DESC, request.id LIMIT $1"
        );
        let rows = self.read.read_all(select, &[most.into()]).await?;
        rows.iter().map(|row| request_of(row, now)).collect()
    }

    /// A request; `None` also where some of it is not in scope.
    ///
    /// # Errors
    /// The database's.
    pub async fn request(
        &self,
        scope: &Scope,
        id: Uuid,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, sqlx::Error> {
        let within = self.requests_within(scope).await?;
        let select =
            format!("{REQUEST} WHERE request.id = $1 AND request.stage <> '{FEW}'{within}");
        let rows = self.read.read_all(select, &[id.to_string().into()]).await?;
        rows.first().map(|row| request_of(row, now)).transpose()
    }

    /// Decides about a request that waits: `Approved`, `Denied`, or `Waiting` again where what was approved could not be
    /// done. Only another one than who asked may. Says whether it was decided.
    ///
    /// # Errors
    /// The database's.
    pub async fn decide_request(
        &self,
        id: Uuid,
        stage: RequestStage,
        by: &str,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let is_decided = decide(&mut tx, id, stage, by, why, now).await?;
        tx.commit().await?;
        Ok(is_decided)
    }

    /// ` AND …` that leaves requests all of whose dead letters are in scope.
    async fn requests_within(&self, scope: &Scope) -> Result<String, sqlx::Error> {
        if scope.is_all() {
            return Ok(String::new());
        }
        let within = self.within(scope, "part.").await?;
        let parts = "SELECT 1 FROM ops_request_parts AS part WHERE part.request = request.id";
        Ok(format!(" AND EXISTS ({parts}) AND NOT EXISTS ({parts} AND NOT (1 = 1{within}))"))
    }
}

/// Decides within a transaction, so that what follows is done by whoever decided, and by nobody twice.
pub(super) async fn decide(
    tx: &mut Tx,
    id: Uuid,
    stage: RequestStage,
    by: &str,
    why: Option<&str>,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let update = "UPDATE ops_requests SET stage = $2, decided_by = $3, decided_at = $4, why = $5
        WHERE id = $1 AND stage = $6 AND asked_by <> $3 AND expires_at > $4";
    let from = match stage {
        RequestStage::Waiting => RequestStage::Approved,
        _ => RequestStage::Waiting,
    };
    let values = [
        id.to_string().into(),
        stage.as_str().into(),
        by.into(),
        stamp(now).into(),
        why.map(str::to_owned).into(),
        from.as_str().into(),
    ];
    Ok(tx.execute(update, &values).await? == 1)
}

fn frozen(stage: &str, letters: u64) -> Frozen {
    if stage == FEW { Frozen::Few(letters) } else { Frozen::Waiting(letters) }
}

fn request_of(row: &Row, now: Timestamp) -> Result<RequestRow, sqlx::Error> {
    let expires_at = moment(row.get("expires_at")?)?;
    let action = match row.get::<String>("action")?.as_str() {
        "replay" => RequestedAction::Replay,
        _ => RequestedAction::Discard,
    };
    let stage = match row.get::<String>("stage")?.as_str() {
        "approved" => RequestStage::Approved,
        "denied" => RequestStage::Denied,
        _ if expires_at <= now => RequestStage::Expired,
        _ => RequestStage::Waiting,
    };
    let guard = serde_json::from_str(&row.get::<String>("guard")?);
    Ok(RequestRow {
        id: parsed(&row.get::<String>("id")?)?,
        action,
        by: row.get("asked_by")?,
        reason: row.get("reason")?,
        at: moment(row.get("asked_at")?)?,
        expires_at,
        letters: unsigned(row, "letters")?,
        stage,
        guard: guard.map_err(|error| sqlx::Error::Decode(error.into()))?,
        decided_by: row.get("decided_by")?,
        why: row.get("why")?,
    })
}
