//! Dead letters go back with other values, many at once.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::{Edit, Filter, Plan, Refusal, Repair};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::letters::in_states;
use super::{Api, ApiError, Operator};
use crate::patch::Patch;

/// So many dead letters are repaired by one request: their values are held in memory.
const MOST_REPAIRED: u32 = 10_000;
/// So many of them are shown, before and after.
const SAMPLES: usize = 5;

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

/// What was changed, or would be.
#[derive(Debug, Serialize, Deserialize)]
pub struct Repaired {
    /// How many went back, or would.
    pub letters: u64,
    /// How many are not open, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// Those that stay as they are, and why.
    pub left_out: BTreeMap<Uuid, String>,
    /// The first ones.
    pub samples: Vec<Sample>,
    /// Names the replay, if they went back.
    pub replay: Option<Uuid>,
}

/// A value before and after.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Of which dead letter.
    pub id: Uuid,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

impl Sample {
    fn of(edit: &Edit<'_>) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let old = edit.original.value.as_deref().unwrap_or_default();
        Self { id: edit.id(), old: text(old), new: text(&edit.value) }
    }
}

impl Repaired {
    /// What a repair would do.
    #[must_use]
    pub fn would(plan: &Plan<'_>, repair: &Repair<'_>) -> Self {
        Self {
            letters: repair.edits.len() as u64,
            refused: plan.refused.clone(),
            left_out: repair.left_out.iter().cloned().collect(),
            samples: repair.edits.iter().take(SAMPLES).map(Sample::of).collect(),
            replay: None,
        }
    }
}

pub(super) async fn repair(
    State(api): State<Api>,
    Operator(by): Operator,
    asked: Result<Json<AskForRepair>, JsonRejection>,
) -> Result<Json<Repaired>, ApiError> {
    let Json(AskForRepair { filter, patch, reason, dry_run }) = asked?;
    let filter = api.judged(in_states(filter, &["open"])).await?;
    let shown = api.store.letters(&filter, None, MOST_REPAIRED).await?;
    if shown.next.is_some() {
        return Err(ApiError::Unclear(format!(
            "these are more than {MOST_REPAIRED} dead letters: repair fewer at once"
        )));
    }
    let plan = Plan::replay(&api.catalogue, &shown.letters);
    let repair = Repair::plan(&api.kafka, &api.catalogue, &plan, |value| patch.change(value)).await;
    let repair = repair.map_err(|error| ApiError::Failed(error_chain(&error)))?;
    let mut repaired = Repaired::would(&plan, &repair);
    if !dry_run && repaired.letters > 0 {
        let done = repair.carry_out(&api.publisher, &by.name, &reason).await;
        let done = done.map_err(|error| ApiError::Failed(error_chain(&error)))?;
        (repaired.letters, repaired.replay) = (done.letters, Some(done.id));
    }
    Ok(Json(repaired))
}
