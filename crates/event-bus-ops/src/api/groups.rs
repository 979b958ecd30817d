//! Consumer groups: listed, shown, and reset as it was planned.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use axum::{Extension, Json};
use event_bus::reset::Target;

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{
    AskForReset, Desk, DeskError, GroupPage, GroupRow, PlannedReset, ResetDone, target,
};

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<GroupRow>>, ApiError> {
    Ok(Json(desk.groups(&actor).await?))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(group): Path<String>,
) -> Result<Json<GroupPage>, ApiError> {
    Ok(Json(desk.group(&actor, &group).await?))
}

pub(super) async fn plan_reset(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(group): Path<String>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<PlannedReset>, ApiError> {
    let (target, partitions) = meant(pairs)?;
    Ok(Json(desk.plan_reset(&actor, &group, target, partitions).await?))
}

pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Path(group): Path<String>,
    asked: Result<Json<AskForReset>, JsonRejection>,
) -> Result<Json<ResetDone>, ApiError> {
    let Json(asked) = asked?;
    Ok(Json(desk.reset(&actor, &group, asked).await?))
}

/// Where to, and in which partitions, as a query says it.
fn meant(pairs: Vec<(String, String)>) -> Result<(Target, Vec<i32>), DeskError> {
    let (mut to, mut partitions) = (None, Vec::new());
    for (name, value) in pairs {
        let bad = |why: &str| DeskError::Unclear(format!("{name}={value}: {why}"));
        match name.as_str() {
            "to" => to = Some(target(&value)?),
            "partition" => {
                partitions.push(value.parse().map_err(|_| bad("want a partition's number"))?);
            }
            _ => return Err(bad("no such condition")),
        }
    }
    let to = to.ok_or_else(|| DeskError::Unclear("to is missing: where to?".to_owned()))?;
    Ok((to, partitions))
}
