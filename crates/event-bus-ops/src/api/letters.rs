//! Dead letters: found, shown, discarded and restored.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use event_bus::audit::Action;
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::{Edit, EditError, Failure, Filter, Found, Plan, Refusal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::query::Query;
use super::{Api, ApiError, MOST, Operator, Viewer};

/// A page of dead letters, the latest failure first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    /// They.
    pub letters: Vec<Found>,
    /// What `after` says for the next page; none behind the last one.
    pub next: Option<String>,
    /// How many there are on all pages, where that is known without looking at each.
    pub total: Option<u64>,
}

/// A dead letter and its family.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// It.
    #[serde(flatten)]
    pub found: Found,
    /// The dead letters of its event and group, in the order in which they died.
    pub lineage: Vec<Found>,
}

/// A decision about dead letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Which.
    pub filter: Filter,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Another value for a dead letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForEdit {
    /// The whole value.
    pub value: String,
    /// Why.
    pub reason: String,
    /// Only check it.
    #[serde(default)]
    pub dry_run: bool,
}

/// A dead letter that went back with another value, or would.
#[derive(Debug, Serialize, Deserialize)]
pub struct Edited {
    /// What its value was.
    pub old: Option<String>,
    /// Names the replay, if it was sent.
    pub replay: Option<Uuid>,
}

/// What was decided.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decided {
    /// About how many.
    pub letters: u64,
    /// How many were left out, and why.
    pub refused: BTreeMap<Refusal, u64>,
}

pub(super) async fn list(
    State(api): State<Api>,
    _: Viewer,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Page>, ApiError> {
    let Query { filter, after, limit } = Query::of(pairs)?;
    let filter = api.judged(filter).await?;
    let shown = api.store.letters(&filter, after, limit).await?;
    let total = api.store.count(&filter).await?;
    let next = shown.next.map(|place| format!("{}-{}", place.failed_at, place.seq));
    Ok(Json(Page { letters: shown.letters, next, total }))
}

pub(super) async fn failures(
    State(api): State<Api>,
    _: Viewer,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Vec<Failure>>, ApiError> {
    let filter = api.judged(Query::of(pairs)?.filter).await?;
    Ok(Json(api.store.failures(&filter).await?))
}

pub(super) async fn show(
    State(api): State<Api>,
    _: Viewer,
    Path(id): Path<Uuid>,
) -> Result<Json<Lineage>, ApiError> {
    let (found, lineage) = api.store.lineage(id).await?.ok_or(ApiError::NoLetter(id))?;
    Ok(Json(Lineage { found, lineage }))
}

pub(super) async fn edit(
    State(api): State<Api>,
    Operator(by): Operator,
    Path(id): Path<Uuid>,
    asked: Result<Json<AskForEdit>, JsonRejection>,
) -> Result<Json<Edited>, ApiError> {
    let Json(AskForEdit { value, reason, dry_run }) = asked?;
    let (found, _) = api.store.lineage(id).await?.ok_or(ApiError::NoLetter(id))?;
    let edit = Edit::plan(&api.kafka, &api.catalogue, &found, value.into()).await;
    let edit = edit.map_err(|error| edit_error(&error))?;
    let old = edit.original.value.as_deref();
    let old = old.map(|old| String::from_utf8_lossy(old).into_owned());
    if dry_run {
        return Ok(Json(Edited { old, replay: None }));
    }
    let replay = edit.carry_out(&api.publisher, &by.name, &reason).await;
    let replay = replay.map_err(|error| edit_error(&error))?;
    Ok(Json(Edited { old, replay: Some(replay) }))
}

fn edit_error(error: &EditError) -> ApiError {
    let told = error_chain(error);
    match error {
        EditError::Read(_) | EditError::NotWritten(_) | EditError::NotSent(_) => {
            ApiError::Failed(told)
        }
        EditError::NotOpen(_)
        | EditError::Gone
        | EditError::Unchanged
        | EditError::Another { .. }
        | EditError::Doomed(_) => ApiError::Unclear(told),
    }
}

pub(super) async fn discard(
    State(api): State<Api>,
    Operator(by): Operator,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Decided>, ApiError> {
    let Json(decision) = decision?;
    if decision.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(ApiError::Unclear("a reason is needed to discard dead letters".to_owned()));
    }
    decide(&api, Action::Discard, &decision, &by.name).await
}

pub(super) async fn restore(
    State(api): State<Api>,
    Operator(by): Operator,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Decided>, ApiError> {
    decide(&api, Action::Restore, &decision?.0, &by.name).await
}

/// The filter, which means these states where it names none.
pub(super) fn in_states(mut filter: Filter, states: &[&str]) -> Filter {
    if filter.states.is_empty() && filter.ids.is_empty() {
        filter.states = states.iter().map(|state| (*state).to_owned()).collect();
    }
    filter
}

async fn decide(
    api: &Api,
    action: Action,
    decision: &Decision,
    by: &str,
) -> Result<Json<Decided>, ApiError> {
    let state = if action == Action::Discard { "open" } else { "discarded" };
    let filter = api.judged(in_states(decision.filter.clone(), &[state])).await?;
    let shown = api.store.letters(&filter, None, MOST).await?;
    if shown.next.is_some() {
        return Err(ApiError::Unclear(format!(
            "these are more than {MOST} dead letters: decide about fewer at once"
        )));
    }
    let plan = match action {
        Action::Discard => Plan::discard(&shown.letters),
        _ => Plan::restore(&shown.letters),
    };
    let done = plan.carry_out(&api.kafka, &api.publisher, by, decision.reason.as_deref()).await;
    let done = done.map_err(|error| ApiError::Failed(error_chain(&error)))?;
    Ok(Json(Decided { letters: done.letters, refused: plan.refused }))
}
