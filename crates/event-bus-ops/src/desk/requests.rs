//! What one asks for and another one has to approve: many dead letters at once, where an ops process is told that this takes
//! two.

use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::guarded::Guard;
use event_bus::dead_letters::{Filter, Plan};
use event_bus::store::ops::{Asked, Frozen, RequestRow, RequestStage, RequestedAction};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Decided, Desk, DeskError, MOST};
use crate::access::policy::{Action, Actor, Denied, Object, decide};
use crate::access::trail::{Deed, Note};

/// So many of the latest requests are listed.
const LISTED: u32 = 100;

impl Desk {
    /// Has more dead letters than this be replayed or discarded at once only where a second one approves it.
    #[must_use]
    pub fn with_second_person_above(mut self, letters: Option<u64>) -> Self {
        self.second_person_above = letters;
        self
    }

    /// Refuses what changes values and is of so many that it would take two: it is asked for in smaller parts.
    pub(super) fn needs_nobody_else(&self, letters: u64) -> Result<(), DeskError> {
        match self.second_person_above {
            Some(most) if letters > most => Err(DeskError::Unclear(format!(
                "to change more than {most} dead letters at once takes two, and edits are not asked for: change fewer at once"
            ))),
            _ => Ok(()),
        }
    }

    /// Freezes what is asked for where that may take two, and asks for a second one where it does. `None` where it never does.
    pub(super) async fn frozen(
        &self,
        actor: &Actor,
        action: RequestedAction,
        asked: &Asked,
    ) -> Result<Option<Frozen>, DeskError> {
        let Some(most) = self.second_person_above else { return Ok(None) };
        let frozen = self.store.freeze_request(action, asked, Timestamp::now()).await?;
        let frozen = frozen.ok_or_else(|| of_another(asked.id))?;
        let letters = match frozen {
            Frozen::Listed(letters) if letters > most => letters,
            frozen => return Ok(Some(frozen)),
        };
        let note = Note::of(Deed::Request, asked.id).because(asked.reason.as_deref());
        let note = note.with(json!({ "action": action, "letters": letters }));
        let asks = async { Ok(self.store.ask_second(asked.id).await?) };
        if let Err(error) = self.does(actor, note, asks).await {
            self.forget_list(asked.id).await;
            return Err(error);
        }
        Ok(Some(Frozen::Asked(letters)))
    }

    /// The latest requests about what is in scope.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn requests(&self, actor: &Actor) -> Result<Vec<RequestRow>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        Ok(self.store.requests(&actor.scope, LISTED, Timestamp::now()).await?)
    }

    /// A request that waits for this one to decide.
    async fn waiting(&self, actor: &Actor, id: Uuid) -> Result<RequestRow, DeskError> {
        decide(actor, Action::Approve, Object::InScope)?;
        let row = self.store.request(&actor.scope, id, Timestamp::now()).await?;
        let row = row.ok_or(DeskError::NoRequest(id))?;
        if row.by == actor.name {
            return Err(Denied::OwnRequest { name: actor.name.clone() }.into());
        }
        match row.stage {
            RequestStage::Waiting => Ok(row),
            stage => Err(DeskError::Unclear(format!("the request is {}", stage.as_str()))),
        }
    }

    /// Lets be done what another one asked for: with the dead letters that it was asked for, as far as they are open.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn approve(
        &self,
        actor: &Actor,
        id: Uuid,
        why: Option<&str>,
    ) -> Result<RequestRow, DeskError> {
        let row = self.waiting(actor, id).await?;
        let note = verdict(Deed::Approve, &row, why);
        let approved = async {
            match row.action {
                RequestedAction::Replay => self.begin(actor, &row, why).await,
                RequestedAction::Discard => self.discard_asked(actor, &row, why).await,
            }
        };
        self.does(actor, note, approved).await?;
        self.request_row(actor, id).await
    }

    async fn begin(
        &self,
        actor: &Actor,
        row: &RequestRow,
        why: Option<&str>,
    ) -> Result<(), DeskError> {
        let asked = Asked {
            id: row.id,
            filter: listed(actor, row.id),
            consumed: self.consumed(),
            guard: row.guard.clone(),
            by: row.by.clone(),
            reason: row.reason.clone(),
        };
        let begun = self.store.approve_replay(&asked, &actor.name, why, Timestamp::now()).await?;
        begun.map(drop).ok_or_else(decided_meanwhile)
    }

    async fn discard_asked(
        &self,
        actor: &Actor,
        row: &RequestRow,
        why: Option<&str>,
    ) -> Result<(), DeskError> {
        // A process that ends meanwhile leaves it begun, and whoever approves it once more discards the rest.
        if !self.store.begin_request(row.id, &actor.name, Timestamp::now()).await? {
            return Err(decided_meanwhile());
        }
        let reason = row.reason.as_deref().unwrap_or_default();
        let reason = format!("{reason} (approved by {})", actor.name);
        let discarded = self.discard_frozen(actor, row.id, &row.by, &reason).await;
        let (is_done, now) = (discarded.is_ok(), Timestamp::now());
        let ended = self.store.end_request(row.id, is_done, &actor.name, why, now).await;
        discarded?;
        Ok(ended?)
    }

    /// Forgets a list that is done with. What was done, or why it was not, is told also where that fails: then the list goes
    /// by itself, once its time is over.
    pub(super) async fn forget_list(&self, id: Uuid) {
        if let Err(error) = self.store.forget_list(id).await {
            tracing::warn!(error = error_chain(&error), %id, "a list that is done with was not forgotten");
        }
    }

    /// Discards the list of a request, as far as it is in scope.
    pub(super) async fn discard_frozen(
        &self,
        actor: &Actor,
        request: Uuid,
        by: &str,
        reason: &str,
    ) -> Result<Decided, DeskError> {
        let filter = listed(actor, request);
        let shown = self.store.letters(&filter, None, MOST).await?;
        let plan = Plan::discard(&shown.letters);
        let done = plan.carry_out(&self.admin, &self.publisher, by, Some(reason)).await;
        let done = done.map_err(|error| DeskError::failed(&error))?;
        Ok(Decided { letters: done.letters, refused: plan.refused, request: None })
    }

    /// Does not let be done what another one asked for.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn deny(
        &self,
        actor: &Actor,
        id: Uuid,
        why: Option<&str>,
    ) -> Result<RequestRow, DeskError> {
        let row = self.waiting(actor, id).await?;
        let note = verdict(Deed::Deny, &row, why);
        let denied = async {
            let now = Timestamp::now();
            let stage = RequestStage::Denied;
            match self.store.decide_request(id, stage, &actor.name, why, now).await? {
                true => Ok(()),
                false => Err(decided_meanwhile()),
            }
        };
        self.does(actor, note, denied).await?;
        self.request_row(actor, id).await
    }

    async fn request_row(&self, actor: &Actor, id: Uuid) -> Result<RequestRow, DeskError> {
        let row = self.store.request(&actor.scope, id, Timestamp::now()).await?;
        row.ok_or(DeskError::NoRequest(id))
    }

    /// What is asked for about dead letters that are to be discarded.
    pub(super) fn asked_to_discard(actor: &Actor, filter: Filter, reason: Option<&str>) -> Asked {
        Asked {
            id: Uuid::now_v7(),
            filter,
            consumed: Vec::new(),
            guard: Guard::default(),
            by: actor.name.clone(),
            reason: reason.map(str::to_owned),
        }
    }
}

/// What stands on the list of a request, as far as it is in scope.
pub(super) fn listed(actor: &Actor, request: Uuid) -> Filter {
    Filter { request: Some(request), scope: actor.scope.clone(), ..Filter::default() }
}

/// What is written about a request that somebody decides about.
fn verdict(deed: Deed, row: &RequestRow, why: Option<&str>) -> Note {
    let said = json!({ "action": row.action, "letters": row.letters, "asked_by": row.by });
    Note::of(deed, row.id).because(why).with(said)
}

fn of_another(id: Uuid) -> DeskError {
    DeskError::Conflict(format!("{id} names what somebody else asked for: ask under another id"))
}

fn decided_meanwhile() -> DeskError {
    DeskError::Unclear(
        "the request does not wait any more: somebody decided, or it is too old".to_owned(),
    )
}
