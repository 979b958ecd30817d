//! Replays: asked for, watched, cancelled.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query as RawQuery, State};
use axum::http::StatusCode;
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::guarded::Guard;
use event_bus::dead_letters::{Filter, Plan, Refusal};
use event_bus::kafka::reader::ReadError;
use event_bus::store::ops::{Asked, PlannedRow, ReplayRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::letters::in_states;
use super::query::Query;
use super::{Api, ApiError, Operator, Viewer};

/// So many of the latest replays are listed.
const LISTED: u32 = 100;
/// So many dead letters are looked into by a preview.
const LOOKED_INTO: u32 = 1_000;

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

/// A replay that goes on from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskedFor {
    /// Names it.
    pub id: Uuid,
    /// Of how many dead letters it is.
    pub letters: u64,
}

/// What a replay would do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// How many it would send.
    pub would_replay: u64,
    /// Of what kinds these are.
    pub rows: Vec<PlannedRow>,
    /// How many it would leave out, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// Those that no handler would see, so that they would be dead at once, and why: of the first ones that were looked into.
    pub unusable: BTreeMap<Uuid, String>,
    /// Those that would come behind newer events of their keys, and how many of these their groups have settled: of those
    /// that were looked into.
    pub overtaken: BTreeMap<Uuid, u64>,
    /// Whether so many events stand behind them that not all were looked at for that.
    pub overtaken_is_cut_off: bool,
    /// How many were looked into.
    pub looked_into: u64,
}

pub(super) async fn ask(
    State(api): State<Api>,
    Operator(by): Operator,
    asked: Result<Json<AskForReplay>, JsonRejection>,
) -> Result<(StatusCode, Json<AskedFor>), ApiError> {
    let Json(asked) = asked?;
    if asked.guard.max_dead_percent > 100 || asked.guard.canary.contains(&0) {
        return Err(ApiError::Unclear(
            "max_dead_percent is at most 100, and each step of canary at least 1".to_owned(),
        ));
    }
    let id = asked.id.unwrap_or_else(Uuid::now_v7);
    let filter = match asked.filter.condition {
        None => asked.filter,
        Some(_) => api.judged(in_states(asked.filter, &["open"])).await?,
    };
    let asked = Asked {
        id,
        filter,
        consumed: api.consumed(),
        guard: asked.guard,
        by: by.name,
        reason: asked.reason,
    };
    let letters = api.store.ask_for_replay(&asked).await?;
    Ok((StatusCode::ACCEPTED, Json(AskedFor { id, letters })))
}

pub(super) async fn preview(
    State(api): State<Api>,
    _: Viewer,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Preview>, ApiError> {
    let filter = api.judged(Query::of(pairs)?.filter).await?;
    let planned = api.store.plan_replay(&filter, &api.consumed()).await?;
    let open = in_states(filter, &["open"]);
    let first = api.store.letters(&open, None, LOOKED_INTO).await?;
    let plan = Plan::replay(&api.catalogue, &first.letters);
    let failed = |error: ReadError| ApiError::Failed(error_chain(&error));
    let unusable = plan.doomed(&api.kafka, &api.catalogue).await.map_err(failed)?;
    let overtaken = plan.overtaken(&api.kafka).await.map_err(failed)?;
    Ok(Json(Preview {
        would_replay: planned.rows.iter().map(|row| row.letters).sum(),
        rows: planned.rows,
        refused: planned.refused,
        unusable: unusable.into_iter().collect(),
        overtaken: overtaken.letters,
        overtaken_is_cut_off: overtaken.is_cut_off,
        looked_into: plan.letters.len() as u64,
    }))
}

pub(super) async fn list(
    State(api): State<Api>,
    _: Viewer,
) -> Result<Json<Vec<ReplayRow>>, ApiError> {
    Ok(Json(api.store.replays(LISTED).await?))
}

pub(super) async fn show(
    State(api): State<Api>,
    _: Viewer,
    Path(id): Path<Uuid>,
) -> Result<Json<ReplayRow>, ApiError> {
    Ok(Json(api.store.replay(id).await?.ok_or(ApiError::NoReplay(id))?))
}

pub(super) async fn cancel(
    State(api): State<Api>,
    Operator(by): Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<ReplayRow>, ApiError> {
    // What is over, or ends already, stays as it is.
    api.store.cancel_replay(id, &by.name).await?;
    show(State(api), Viewer, Path(id)).await
}

impl Api {
    /// The groups of the catalogue, with the topics that they consume.
    fn consumed(&self) -> Vec<(event_bus::names::TopicName, event_bus::names::GroupName)> {
        let of = |event: &event_bus::catalogue::Event| {
            let topic = event.topic.clone();
            let groups = event.consumers.iter().map(|consumer| consumer.group.clone());
            groups.map(|group| (topic.clone(), group)).collect::<Vec<_>>()
        };
        self.catalogue.events().flat_map(|event| of(event)).collect()
    }
}
