//! Dead letters: found, shown, edited, discarded and restored.

use std::collections::BTreeMap;

use event_bus::audit::Action as Deed;
use event_bus::dead_letters::{Edit, Filter, Found, Plan, Refusal};
use event_bus::store::ops::Place;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Desk, DeskError, MOST, in_states};
use crate::access::policy::{Action, Actor, Object, decide};

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
        let edit = Edit::plan(&self.kafka, &self.catalogue, &found, value.into()).await?;
        let old = edit.original.value.as_deref();
        let old = old.map(|old| String::from_utf8_lossy(old).into_owned());
        if dry_run {
            return Ok(Edited { old, replay: None });
        }
        let replay = edit.carry_out(&self.publisher, &actor.name, reason).await?;
        Ok(Edited { old, replay: Some(replay) })
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
        self.decide(actor, (Action::Discard, Deed::Discard), filter, Some(reason)).await
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
        self.decide(actor, (Action::Restore, Deed::Restore), filter, reason).await
    }

    async fn decide(
        &self,
        actor: &Actor,
        (action, deed): (Action, Deed),
        filter: Filter,
        reason: Option<&str>,
    ) -> Result<Decided, DeskError> {
        let filter = self.meant(actor, action, filter).await?;
        let shown = self.store.letters(&filter, None, MOST).await?;
        if shown.next.is_some() {
            return Err(DeskError::Unclear(format!(
                "these are more than {MOST} dead letters: decide about fewer at once"
            )));
        }
        let allowed =
            shown.letters.iter().filter(|found| decide(actor, action, (*found).into()).is_ok());
        let plan = match deed {
            Deed::Discard => Plan::discard(allowed),
            _ => Plan::restore(allowed),
        };
        let done = plan.carry_out(&self.kafka, &self.publisher, &actor.name, reason).await;
        let done = done.map_err(|error| DeskError::failed(&error))?;
        Ok(Decided { letters: done.letters, refused: plan.refused })
    }
}
