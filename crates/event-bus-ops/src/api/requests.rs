//! What one asks for and another one has to approve.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use event_bus::store::ops::RequestRow;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::Desk;

/// What somebody says who decides about a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Why so.
    #[serde(default)]
    pub reason: Option<String>,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<RequestRow>>, ApiError> {
    Ok(Json(desk.requests(&actor).await?))
}

pub(super) async fn approve(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
    verdict: Result<Json<Verdict>, JsonRejection>,
) -> Result<Json<RequestRow>, ApiError> {
    let Json(Verdict { reason }) = verdict?;
    Ok(Json(desk.approve(&actor, id, reason.as_deref()).await?))
}

pub(super) async fn deny(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
    verdict: Result<Json<Verdict>, JsonRejection>,
) -> Result<Json<RequestRow>, ApiError> {
    let Json(Verdict { reason }) = verdict?;
    Ok(Json(desk.deny(&actor, id, reason.as_deref()).await?))
}
