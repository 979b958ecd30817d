//! Outboxes: listed, shown, and what is decided about their rows.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{AskAboutRow, Desk, Lifted, OutboxOf, OutboxPage, RowDecision};

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<OutboxOf>>, ApiError> {
    Ok(Json(desk.outboxes(&actor).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(service): Path<String>,
) -> Result<Json<OutboxPage>, ApiError> {
    Ok(Json(desk.outbox(&actor, &service).await?))
}

pub(super) async fn retry(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(service): Path<String>,
    asked: Result<Json<AskAboutRow>, JsonRejection>,
) -> Result<Json<Lifted>, ApiError> {
    let Json(asked) = asked?;
    Ok(Json(desk.decide_row(&actor, &service, RowDecision::Retry, asked).await?))
}

pub(super) async fn discard(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(service): Path<String>,
    asked: Result<Json<AskAboutRow>, JsonRejection>,
) -> Result<Json<Lifted>, ApiError> {
    let Json(asked) = asked?;
    Ok(Json(desk.decide_row(&actor, &service, RowDecision::Discard, asked).await?))
}
