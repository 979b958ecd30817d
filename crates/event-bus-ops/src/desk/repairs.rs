//! Dead letters go back with other values, many at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_bus::Catalogue;
use event_bus::dead_letters::{Edit, Filter, Plan, Refusal, Repair};
use event_bus::kafka::Record;
use event_bus::personal::{Personal, is_touched};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Desk, DeskError, in_states};
use crate::access::policy::{Action, Actor, decide};
use crate::access::trail::{Deed, Note};
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
    fn of(edit: &Edit<'_>, mask: Option<&Catalogue>) -> Self {
        let shown = |value: &Bytes| {
            let personal = mask.map(|catalogue| {
                let record = Record { value: Some(value.clone()), ..edit.original.clone() };
                Personal::of_record(catalogue, &record).value(value)
            });
            String::from_utf8_lossy(personal.as_ref().unwrap_or(value)).into_owned()
        };
        let old = edit.original.value.clone().unwrap_or_default();
        Self { id: edit.id(), old: shown(&old), new: shown(&edit.value) }
    }
}

impl Repaired {
    /// What a repair would do: without what is personal by this catalogue, if it is given.
    #[must_use]
    pub fn would(plan: &Plan<'_>, repair: &Repair<'_>, mask: Option<&Catalogue>) -> Self {
        Self {
            letters: repair.edits.len() as u64,
            refused: plan.refused.clone(),
            left_out: repair.left_out.iter().cloned().collect(),
            samples: repair.edits.iter().take(SAMPLES).map(|edit| Sample::of(edit, mask)).collect(),
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
        let note = Note::about(Deed::Repair, &filter);
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
        self.reads_nothing_personal(&plan, patch)?;
        let repair =
            Repair::plan(&self.admin, &self.catalogue, &plan, |value| patch.change(value)).await;
        let repair = repair.map_err(|error| DeskError::failed(&error))?;
        let mut repaired = Repaired::would(&plan, &repair, Some(&self.catalogue));
        if !dry_run && repaired.letters > 0 {
            self.needs_nobody_else(repaired.letters)?;
            let said = json!({ "letters": repaired.letters, "patch": patch.without_values() });
            let note = note.because(Some(reason)).with(said);
            let sent = async {
                let done = repair.carry_out(&self.publisher, &actor.name, reason).await;
                done.map_err(|error| DeskError::failed(&error))
            };
            let done = self.does(actor, note, sent).await?;
            (repaired.letters, repaired.replay) = (done.letters, Some(done.id));
        }
        Ok(repaired)
    }

    /// Refuses a change that would tell, or move elsewhere, what is personal: nobody gave a reason to see it.
    fn reads_nothing_personal(&self, plan: &Plan<'_>, patch: &Patch) -> Result<(), DeskError> {
        let read = patch.read();
        for found in &plan.letters {
            let event = self.catalogue.event_of_topic(found.letter.topic.as_str());
            let touched = |pointer: &&String| event.is_none_or(|event| is_touched(event, pointer));
            if let Some(pointer) = read.iter().find(touched) {
                return Err(DeskError::Unclear(format!(
                    "{pointer} is personal data of {}: a repair replaces it, and neither tests, moves nor copies it",
                    found.letter.topic
                )));
            }
        }
        Ok(())
    }
}
