//! Notes about failures: read, written, removed.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query as RawQuery, State};
use axum::{Extension, Json};
use event_bus::store::ops::Note;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::Desk;

/// Of which failure somebody asks for the notes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForNotes {
    /// Its fingerprint.
    pub fingerprint: String,
}

/// A note that somebody writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// About which failure.
    pub fingerprint: String,
    /// What it says.
    pub text: String,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    asked: Result<RawQuery<AskForNotes>, QueryRejection>,
) -> Result<Json<Vec<Note>>, ApiError> {
    let RawQuery(AskForNotes { fingerprint }) = asked?;
    Ok(Json(desk.notes(&actor, &fingerprint).await?))
}

pub(super) async fn write(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<NewNote>, JsonRejection>,
) -> Result<Json<Note>, ApiError> {
    let Json(NewNote { fingerprint, text }) = asked?;
    Ok(Json(desk.write_note(&actor, &fingerprint, &text).await?))
}

pub(super) async fn remove(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<Uuid>,
) -> Result<Json<Note>, ApiError> {
    Ok(Json(desk.remove_note(&actor, id).await?))
}
