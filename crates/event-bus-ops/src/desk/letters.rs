//! Dead letters: found, shown, edited, discarded and restored.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_bus::audit::Action as Decision;
use event_bus::dead_letters::{Edit, EditError, Filter, Found, Plan, Refusal};
use event_bus::personal::Personal;
use event_bus::store::ops::{Frozen, Place, RequestedAction};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Desk, DeskError, MOST, in_states};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::access::trail::{Deed, Note};

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

/// A dead letter that went back with another value, or would.
#[derive(Debug, Serialize, Deserialize)]
pub struct Edited {
    /// What its value was, without what is personal.
    pub old: Option<String>,
    /// What it is, without what is personal.
    pub new: String,
    /// Where personal data became other data, as pointers.
    pub personal: Vec<String>,
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
    /// The request that waits for somebody else to approve it; nothing is decided before.
    #[serde(default)]
    pub request: Option<Uuid>,
}

impl Desk {
    /// A page of what is meant.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn letters(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Page, DeskError> {
        let filter = self.meant(actor, Action::See, filter).await?;
        let shown = self.store.letters(&filter, after, limit).await?;
        let total = self.store.count(&filter).await?;
        let next = shown.next.map(|place| format!("{}-{}", place.failed_at, place.seq));
        Ok(Page { letters: shown.letters, next, total })
    }

    /// A dead letter for somebody who wants to do this with it. One that is out of scope does not exist.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn letter(
        &self,
        actor: &Actor,
        action: Action,
        id: Uuid,
    ) -> Result<Lineage, DeskError> {
        decide(actor, action, Object::InScope)?;
        let known = self.store.lineage(id).await?.ok_or(DeskError::NoLetter(id))?;
        let (found, mut lineage) = known;
        decide(actor, action, (&found).into()).map_err(|_| DeskError::NoLetter(id))?;
        lineage.retain(|found| decide(actor, action, found.into()).is_ok());
        Ok(Lineage { found, lineage })
    }

    /// Checks another value for a dead letter, and sends it back with that unless it is a dry run.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn edit(
        &self,
        actor: &Actor,
        id: Uuid,
        value: String,
        reason: &str,
        dry_run: bool,
    ) -> Result<Edited, DeskError> {
        let Lineage { found, .. } = self.letter(actor, Action::Edit, id).await?;
        let record = self.record(&found).await?.ok_or(EditError::Gone)?;
        let was = self.personal(&found, &record);
        let value = was.restored(&value).map_err(|error| DeskError::Unclear(error.to_string()))?;
        let topic = found.letter.topic.as_str();
        let is = Personal::of(&self.catalogue, topic, Some(value.as_bytes()));
        // What is wrong with it may quote what it says, and what of that is hidden is what was.
        let told = |error: EditError| match DeskError::from(error) {
            DeskError::Unclear(told) => DeskError::Unclear(was.text(&told)),
            error => error,
        };
        let value = Bytes::from(value);
        let edit = Edit::plan(&self.admin, &self.catalogue, &found, value.clone()).await;
        let edit = edit.map_err(told)?;
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        let old = edit.original.value.as_ref().map(|old| text(&was.value(old)));
        let (new, personal) = (text(&is.value(&value)), was.changed(&is));
        if dry_run {
            return Ok(Edited { old, new, personal, replay: None });
        }
        self.needs_nobody_else(1)?;
        let note = Note::of(Deed::Edit, id).because(Some(reason));
        let note = note.with(json!({ "group": found.letter.group, "personal": personal }));
        let sent = async { Ok(edit.carry_out(&self.publisher, &actor.name, reason).await?) };
        let replay = self.does(actor, note, sent).await?;
        Ok(Edited { old, new, personal, replay: Some(replay) })
    }

    /// Decides that nothing is to be done.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn discard(
        &self,
        actor: &Actor,
        filter: Filter,
        reason: &str,
    ) -> Result<Decided, DeskError> {
        if reason.trim().is_empty() {
            let told = "a reason is needed to discard dead letters";
            return Err(DeskError::Unclear(told.to_owned()));
        }
        let filter = in_states(filter, &["open"]);
        self.decide(actor, (Action::Discard, Decision::Discard), filter, Some(reason)).await
    }

    /// Takes back that some were discarded, or a replay whose outcome nobody tells.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn restore(
        &self,
        actor: &Actor,
        filter: Filter,
        reason: Option<&str>,
    ) -> Result<Decided, DeskError> {
        let filter = in_states(filter, &["discarded"]);
        self.decide(actor, (Action::Restore, Decision::Restore), filter, reason).await
    }

    async fn decide(
        &self,
        actor: &Actor,
        (action, decision): (Action, Decision),
        filter: Filter,
        reason: Option<&str>,
    ) -> Result<Decided, DeskError> {
        let deed = if decision == Decision::Discard { Deed::Discard } else { Deed::Restore };
        let note = Note::about(deed, &filter).because(reason);
        let filter = self.meant(actor, action, filter).await?;
        let shown = self.store.letters(&filter, None, MOST).await?;
        if shown.next.is_some() {
            return Err(DeskError::Unclear(format!(
                "these are more than {MOST} dead letters: decide about fewer at once"
            )));
        }
        if decision == Decision::Discard {
            let asked = Self::asked_to_discard(actor, filter.clone(), reason);
            match self.frozen(actor, RequestedAction::Discard, &asked).await? {
                Some(Frozen::Asked(letters)) => {
                    let (refused, request) = (BTreeMap::new(), Some(asked.id));
                    return Ok(Decided { letters, refused, request });
                }
                Some(Frozen::Listed(letters)) => {
                    let note = note.with(json!({ "letters": letters }));
                    let reason = reason.unwrap_or_default();
                    let discards = self.discard_frozen(actor, asked.id, &actor.name, reason);
                    let decided = self.does(actor, note, discards).await;
                    self.forget_list(asked.id).await;
                    return decided;
                }
                None => {}
            }
        }
        let allowed =
            shown.letters.iter().filter(|found| decide(actor, action, (*found).into()).is_ok());
        let plan = match decision {
            Decision::Discard => Plan::discard(allowed),
            _ => Plan::restore(allowed),
        };
        let note = note.with(json!({ "letters": plan.letters.len() }));
        let decided = async {
            let done = plan.carry_out(&self.admin, &self.publisher, &actor.name, reason).await;
            done.map_err(|error| DeskError::failed(&error))
        };
        let done = self.does(actor, note, decided).await?;
        Ok(Decided { letters: done.letters, refused: plan.refused, request: None })
    }
}
