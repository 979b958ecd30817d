//! Dead letters go back with other values, many at once.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use event_bus::dead_letters::Filter;
use serde::{Deserialize, Serialize};

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{Desk, Repaired};
use crate::patch::Patch;

/// A change of many dead letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForRepair {
    /// Which. Only open ones are changed.
    pub filter: Filter,
    /// How.
    pub patch: Patch,
    /// Why.
    pub reason: String,
    /// Only check it.
    #[serde(default)]
    pub dry_run: bool,
}

pub(super) async fn repair(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<AskForRepair>, JsonRejection>,
) -> Result<Json<Repaired>, ApiError> {
    let Json(AskForRepair { filter, patch, reason, dry_run }) = asked?;
    Ok(Json(desk.repair(&actor, filter, &patch, &reason, dry_run).await?))
}
