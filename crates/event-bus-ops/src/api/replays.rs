//! Replays: looked at beforehand, asked for, watched, cancelled.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use event_bus::dead_letters::Filter;
use event_bus::dead_letters::guarded::Guard;
use event_bus::store::ops::ReplayRow;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use super::query::Query;
use crate::access::policy::Actor;
use crate::desk::{AskedFor, Desk, Preview};

/// What somebody asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForReplay {
    /// Names the replay. Whoever asks twice under one id has asked once; none asks for a new one each time.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// Which dead letters. Only open ones are taken.
    pub filter: Filter,
    /// What it is guarded by.
    #[serde(default)]
    pub guard: Guard,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

pub(super) async fn ask(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<AskForReplay>, JsonRejection>,
) -> Result<(StatusCode, Json<AskedFor>), ApiError> {
    let Json(AskForReplay { id, filter, guard, reason }) = asked?;
    let id = id.unwrap_or_else(Uuid::now_v7);
    let asked = desk.replay(&actor, id, filter, guard, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

pub(super) async fn preview(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Preview>, ApiError> {
    Ok(Json(desk.preview(&actor, Query::of(pairs)?.filter).await?))
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<ReplayRow>>, ApiError> {
    Ok(Json(desk.replays(&actor).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
) -> Result<Json<ReplayRow>, ApiError> {
    Ok(Json(desk.replay_row(&actor, id).await?))
}

pub(super) async fn cancel(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
) -> Result<Json<ReplayRow>, ApiError> {
    Ok(Json(desk.cancel(&actor, id).await?))
}
