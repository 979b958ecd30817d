//! The contract, and how much of it is going on.

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{Desk, EventPage, EventRow};

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<EventRow>>, ApiError> {
    Ok(Json(desk.events(&actor)?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(event): Path<String>,
) -> Result<Json<EventPage>, ApiError> {
    Ok(Json(desk.event(&actor, &event)?))
}
