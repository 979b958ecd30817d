//! Topics.

use axum::extract::State;
use axum::{Extension, Json};

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{Desk, Topics};

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Topics>, ApiError> {
    Ok(Json(desk.topics(&actor).await?))
}
