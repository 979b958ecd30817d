//! Dead letters: found, shown, edited, discarded and restored.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use axum::{Extension, Json};
use event_bus::dead_letters::Filter;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use super::query::Query;
use crate::access::policy::{Action, Actor};
use crate::desk::{Decided, Desk, Edited, FailureRow, Lineage, Page};

/// A decision about dead letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Which.
    pub filter: Filter,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Another value for a dead letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForEdit {
    /// The whole value.
    pub value: String,
    /// Why.
    pub reason: String,
    /// Only check it.
    #[serde(default)]
    pub dry_run: bool,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Page>, ApiError> {
    let Query { filter, after, limit } = Query::of(pairs)?;
    Ok(Json(desk.letters(&actor, filter, after, limit).await?))
}

pub(super) async fn failures(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Vec<FailureRow>>, ApiError> {
    let failures = desk.failures(&actor, Query::of(pairs)?.filter).await?;
    Ok(Json(desk.rows_of(&actor, failures, Timestamp::now()).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
) -> Result<Json<Lineage>, ApiError> {
    Ok(Json(desk.letter(&actor, Action::See, id).await?))
}

pub(super) async fn edit(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
    asked: Result<Json<AskForEdit>, JsonRejection>,
) -> Result<Json<Edited>, ApiError> {
    let Json(AskForEdit { value, reason, dry_run }) = asked?;
    Ok(Json(desk.edit(&actor, id, value, &reason, dry_run).await?))
}

pub(super) async fn discard(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Decided>, ApiError> {
    let Json(Decision { filter, reason }) = decision?;
    Ok(Json(desk.discard(&actor, filter, reason.as_deref().unwrap_or_default()).await?))
}

pub(super) async fn restore(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Decided>, ApiError> {
    let Json(Decision { filter, reason }) = decision?;
    Ok(Json(desk.restore(&actor, filter, reason.as_deref()).await?))
}
