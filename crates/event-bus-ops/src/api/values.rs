//! What the records of dead letters say: without what is personal, and with it for those who say why.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use axum::{Extension, Json};
use event_bus::dead_letters::Filter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use super::query::{Query, place};
use crate::access::policy::Actor;
use crate::desk::{Contents, Desk, DeskError, Known, VALUES};

/// Somebody wants to see what is personal in a dead letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskToReveal {
    /// Why.
    pub reason: String,
}

/// Somebody wants to see what is personal in many.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForValues {
    /// In which.
    pub filter: Filter,
    /// Why.
    pub reason: String,
    /// As the page before said.
    #[serde(default)]
    pub after: Option<String>,
}

pub(super) async fn known(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
) -> Result<Json<Known>, ApiError> {
    Ok(Json(desk.known(&actor, id, None).await?))
}

pub(super) async fn reveal(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
    asked: Result<Json<AskToReveal>, JsonRejection>,
) -> Result<Json<Known>, ApiError> {
    let Json(AskToReveal { reason }) = asked?;
    Ok(Json(desk.known(&actor, id, Some(&reason)).await?))
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Contents>, ApiError> {
    let Query { filter, after, limit } = Query::of(pairs)?;
    Ok(Json(desk.contents(&actor, filter, after, limit, None).await?.0))
}

pub(super) async fn reveal_many(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<AskForValues>, JsonRejection>,
) -> Result<Json<Contents>, ApiError> {
    let Json(AskForValues { filter, reason, after }) = asked?;
    let unclear = || DeskError::Unclear("after: want a page's next".to_owned());
    let after = after.map(|after| place(&after).ok_or_else(unclear)).transpose()?;
    Ok(Json(desk.contents(&actor, filter, after, VALUES, Some(&reason)).await?.0))
}
