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
    /// So many stand on it, and nobody is asked for anything yet: few are dealt with at once, and more of them have to
    /// [wait](OpsStore::ask_second).
    Listed(u64),
    /// So many wait for a second one, or did.
    Asked(u64),
}

/// A request can be approved for so long.
pub const REQUEST_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// It is told for so long that there was one; the audit has it for ever.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const REQUEST: &str =
    "SELECT request.id, request.action, request.asked_by, request.asked_at, request.expires_at,
    request.reason, request.guard, request.letters, request.stage, request.decided_by, request.why
    FROM ops_requests AS request";
/// The stage of a list by which nobody was asked. It is told of to nobody.
const LISTED: &str = "listed";
/// The stage of a request that was approved and is being carried out by whoever approved it. Where that one's process ended
/// before it was done, it is told as waiting, and another one may approve it again.
const APPROVING: &str = "approving";

impl OpsStore {
    /// Freezes what is meant into a list, unless that was done under this id. `None` where the id names what somebody else
    /// asked for: it is not told of to others.
    ///
    /// # Errors
    /// The database's.
    pub async fn freeze_request(
        &self,
        action: RequestedAction,
        asked: &Asked,
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
        purge(&mut tx, now).await?;
        let guard = serde_json::to_string(&asked.guard)
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let insert = "INSERT INTO ops_requests (id, action, asked_by, asked_at, expires_at, reason, guard, letters, stage)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)";
        let row = [
            id.clone(),
            action.as_str().into(),
            asked.by.as_str().into(),
            stamp(now).into(),
            stamp(now).saturating_add(nanos(REQUEST_LASTS)).into(),
            asked.reason.clone().into(),
            guard.into(),
            LISTED.into(),
        ];
        tx.execute(insert, &row).await?;
        let letters = tx.execute_made(freeze, &values).await?;
        let count = i64::try_from(letters).unwrap_or(i64::MAX);
        let update = "UPDATE ops_requests SET letters = $2 WHERE id = $1";
        tx.execute(update, &[id.clone(), count.into()]).await?;
        let parts = "INSERT INTO ops_request_parts (request, service, tenant)
            SELECT DISTINCT asked.request, letter.service, letter.tenant FROM ops_request_letters AS asked
            JOIN ops_letters AS letter ON letter.id = asked.letter WHERE asked.request = $1";
        tx.execute(parts, &[id]).await?;
        tx.commit().await?;
        Ok(Some(Frozen::Listed(letters)))
    }

    /// Has a list wait for a second one.
    ///
    /// # Errors
    /// The database's.
    pub async fn ask_second(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let update = "UPDATE ops_requests SET stage = $2 WHERE id = $1 AND stage = $3";
        let stage = RequestStage::Waiting.as_str();
        self.write.execute(update, &[id.to_string().into(), stage.into(), LISTED.into()]).await
    }

    /// Forgets a list by which nobody was asked.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_list(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let mut tx = self.write.begin().await?;
        remove(&mut tx, &format!("id = $1 AND stage = '{LISTED}'"), id.to_string().into()).await?;
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
            "{REQUEST} WHERE request.stage <> '{LISTED}'{within} ORDER BY request.asked_at DESC, request.id LIMIT $1"
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
            format!("{REQUEST} WHERE request.id = $1 AND request.stage <> '{LISTED}'{within}");
        let rows = self.read.read_all(select, &[id.to_string().into()]).await?;
        rows.first().map(|row| request_of(row, now)).transpose()
    }

    /// Begins to carry out what was asked for, which [`Self::end_request`] ends: also once more, where somebody began and did
    /// not come to the end. Only another one than who asked may. Says whether it is to be done.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_request(
        &self,
        id: Uuid,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write.begin().await?;
        let update = "UPDATE ops_requests SET stage = $2
            WHERE id = $1 AND stage IN ($2, $3) AND asked_by <> $4 AND expires_at > $5";
        let waiting = RequestStage::Waiting.as_str();
        let values =
            [id.to_string().into(), APPROVING.into(), waiting.into(), by.into(), stamp(now).into()];
        let is_begun = tx.execute(update, &values).await? == 1;
        tx.commit().await?;
        Ok(is_begun)
    }

    /// Notes of a request that was begun that it is done, or that it could not be and waits again: whatever its time was.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_request(
        &self,
        id: Uuid,
        is_done: bool,
        by: &str,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let (id, waiting) = (id.to_string().into(), RequestStage::Waiting.as_str().into());
        if !is_done {
            let update = "UPDATE ops_requests SET stage = $2 WHERE id = $1 AND stage = $3";
            return self.write.execute(update, &[id, waiting, APPROVING.into()]).await;
        }
        // One that began as well and could not do it may have had it wait again.
        let update =
            "UPDATE ops_requests SET stage = $2, decided_by = $3, decided_at = $4, why = $5
            WHERE id = $1 AND stage IN ($6, $7)";
        let stage = RequestStage::Approved.as_str().into();
        let (by, why) = (by.into(), why.map(str::to_owned).into());
        let values = [id, stage, by, stamp(now).into(), why, waiting, APPROVING.into()];
        self.write.execute(update, &values).await
    }

    /// Decides about a request that waits: `Approved` or `Denied`. Only another one than who asked may. Says whether it was
    /// decided.
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
    let values = [
        id.to_string().into(),
        stage.as_str().into(),
        by.into(),
        stamp(now).into(),
        why.map(str::to_owned).into(),
        RequestStage::Waiting.as_str().into(),
    ];
    Ok(tx.execute(update, &values).await? == 1)
}

fn frozen(stage: &str, letters: u64) -> Frozen {
    if stage == LISTED { Frozen::Listed(letters) } else { Frozen::Asked(letters) }
}

/// The nanoseconds of a time.
fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Removes what nobody needs: lists that can't be approved any more, those by which nobody was asked with all that is known
/// of them, and requests of long ago.
async fn purge(tx: &mut Tx, now: Timestamp) -> Result<(), sqlx::Error> {
    let lists = "DELETE FROM ops_request_letters
        WHERE request IN (SELECT id FROM ops_requests WHERE expires_at <= $1)";
    tx.execute(lists, &[stamp(now).into()]).await?;
    remove(tx, &format!("expires_at <= $1 AND stage = '{LISTED}'"), stamp(now).into()).await?;
    remove(tx, "asked_at <= $1", stamp(now).saturating_sub(nanos(KEPT)).into()).await
}

/// Removes the requests of which this is true, with their lists.
async fn remove(tx: &mut Tx, which: &str, value: Value) -> Result<(), sqlx::Error> {
    let of_them = format!("request IN (SELECT id FROM ops_requests WHERE {which})");
    for delete in [
        format!("DELETE FROM ops_request_letters WHERE {of_them}"),
        format!("DELETE FROM ops_request_parts WHERE {of_them}"),
        format!("DELETE FROM ops_requests WHERE {which}"),
    ] {
        tx.execute_made(delete, std::slice::from_ref(&value)).await?;
    }
    Ok(())
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
