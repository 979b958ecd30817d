//! What everybody did, and whether it is still what was written.

use axum::extract::{Query as RawQuery, State};
use axum::{Extension, Json};
use event_bus::store::ops::AuditFilter;

use super::ApiError;
use crate::access::policy::Actor;
use crate::desk::{AuditPage, ChainState, Desk, DeskError};

/// So many rows are on a page where nobody says otherwise, and so many at most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// What a query asks for: `actor action object since until before limit`.
pub(crate) fn asked(pairs: Vec<(String, String)>) -> Result<(AuditFilter, u32), DeskError> {
    let (mut filter, mut limit) = (AuditFilter::default(), PAGE);
    for (name, value) in pairs {
        let bad = |why: &str| DeskError::Unclear(format!("{name}={value}: {why}"));
        match name.as_str() {
            // A field of a form that was left empty.
            _ if value.is_empty() => {}
            "actor" => filter.actor = Some(value),
            "action" => filter.action = Some(value),
            "object" => filter.object = Some(value),
            "since" => filter.since = Some(value.parse().map_err(|_| bad("want a time"))?),
            "until" => filter.until = Some(value.parse().map_err(|_| bad("want a time"))?),
            "before" => filter.before = Some(value.parse().map_err(|_| bad("want a page's next"))?),
            "limit" => {
                let asked = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                limit = asked.ok_or_else(|| bad("want 1 to 1000"))?;
            }
            _ => return Err(bad("no such condition")),
        }
    }
    Ok((filter, limit))
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<AuditPage>, ApiError> {
    let (filter, limit) = asked(pairs)?;
    Ok(Json(desk.audit_page(&actor, &filter, limit).await?))
}

pub(super) async fn verify(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<ChainState>, ApiError> {
    Ok(Json(desk.verify_audit(&actor).await?))
}
