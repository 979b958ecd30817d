//! Dead letters go back with other values, many at once.

use std::collections::BTreeMap;

use event_bus::dead_letters::{Edit, Filter, Plan, Refusal, Repair};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Desk, DeskError, in_states};
use crate::access::policy::{Action, Actor, decide};
use crate::patch::Patch;

/// So many dead letters are repaired by one request: their values are held in memory.
const MOST_REPAIRED: u32 = 10_000;
/// So many of them are shown, before and after.
const SAMPLES: usize = 5;

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

impl Desk {
    /// Changes all that is meant in the same way, and sends it back unless it is a dry run.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn repair(
        &self,
        actor: &Actor,
        filter: Filter,
        patch: &Patch,
        reason: &str,
        dry_run: bool,
    ) -> Result<Repaired, DeskError> {
        let filter = self.meant(actor, Action::Edit, in_states(filter, &["open"])).await?;
        let shown = self.store.letters(&filter, None, MOST_REPAIRED).await?;
        if shown.next.is_some() {
            return Err(DeskError::Unclear(format!(
                "these are more than {MOST_REPAIRED} dead letters: repair fewer at once"
            )));
        }
        let allowed = shown
            .letters
            .iter()
            .filter(|found| decide(actor, Action::Edit, (*found).into()).is_ok());
        let plan = Plan::replay(&self.catalogue, allowed);
        let repair =
            Repair::plan(&self.kafka, &self.catalogue, &plan, |value| patch.change(value)).await;
        let repair = repair.map_err(|error| DeskError::failed(&error))?;
        let mut repaired = Repaired::would(&plan, &repair);
        if !dry_run && repaired.letters > 0 {
            let done = repair.carry_out(&self.publisher, &actor.name, reason).await;
            let done = done.map_err(|error| DeskError::failed(&error))?;
            (repaired.letters, repaired.replay) = (done.letters, Some(done.id));
        }
        Ok(repaired)
    }
}
