//! Notes about failures: written for those who come later. Who sees a failure sees what is written about it.

use event_bus::audit::{Action as Deeds, Deed};
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Filter;
use event_bus::store::StoreError;
use event_bus::store::ops::Note;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::access::trail::{self, Deed as Done};

impl Desk {
    /// What is written about a failure, the latest first.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn notes(&self, actor: &Actor, fingerprint: &str) -> Result<Vec<Note>, DeskError> {
        self.sees(actor, Action::See, fingerprint).await?;
        Ok(self.store.notes(&[fingerprint]).await?.remove(fingerprint).unwrap_or_default())
    }

    /// Writes a note about a failure.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn write_note(
        &self,
        actor: &Actor,
        fingerprint: &str,
        text: &str,
    ) -> Result<Note, DeskError> {
        self.sees(actor, Action::Note, fingerprint).await?;
        // Browsers end lines as mail does.
        let text = text.replace("\r\n", "\n").trim().to_owned();
        let unclear = |told: String| Err(DeskError::Unclear(told));
        if text.is_empty() {
            return unclear("a note says something".to_owned());
        }
        if text.chars().count() > Note::MAX_CHARACTERS {
            return unclear(format!("a note has at most {} characters", Note::MAX_CHARACTERS));
        }
        let notes = self.store.notes(&[fingerprint]).await?;
        if notes.get(fingerprint).is_some_and(|notes| notes.len() >= Note::MOST) {
            return unclear(format!(
                "there are {} notes about this failure: remove one first",
                Note::MOST
            ));
        }
        let deed = Deed::about_failure(Deeds::Note, fingerprint, &actor.name, &text);
        let (fingerprint, author) = (fingerprint.to_owned(), actor.name.clone());
        let note = Note { id: deed.id, fingerprint, author, text, at: Timestamp::now() };
        let row = trail::Note::of(Done::Note, &note.fingerprint).with(json!({ "note": note.id }));
        let written = self.audited(&deed, async || self.store.write_note(&note).await);
        self.does(actor, row, written).await?;
        Ok(note)
    }

    /// Removes a note: who wrote it may, and administrators.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn remove_note(&self, actor: &Actor, id: Uuid) -> Result<Note, DeskError> {
        decide(actor, Action::Note, Object::InScope)?;
        let note = self.store.note(id).await?.ok_or(DeskError::NoNote(id))?;
        let seen = self.sees(actor, Action::Note, &note.fingerprint).await;
        seen.map_err(|error| match error {
            DeskError::NoFailure(_) => DeskError::NoNote(id),
            error => error,
        })?;
        if note.author != actor.name {
            decide(actor, Action::RemoveNotes, Object::InScope)?;
        }
        let told = format!("of {}: {}", note.author, note.text);
        let deed = Deed::about_failure(Deeds::RemoveNote, &note.fingerprint, &actor.name, &told);
        let row = trail::Note::of(Done::RemoveNote, &note.fingerprint)
            .with(json!({ "note": id, "author": note.author }));
        let removed = self.audited(&deed, async || self.store.remove_note(id).await);
        self.does(actor, row, removed).await?;
        Ok(note)
    }

    /// Whether somebody may do this with a failure: no dead letter in scope is no failure.
    async fn sees(
        &self,
        actor: &Actor,
        action: Action,
        fingerprint: &str,
    ) -> Result<(), DeskError> {
        let fingerprints = vec![fingerprint.to_owned()];
        let filter =
            self.meant(actor, action, Filter { fingerprints, ..Filter::default() }).await?;
        match self.store.count(&filter).await? {
            None | Some(0) => Err(DeskError::NoFailure(fingerprint.to_owned())),
            Some(_) => Ok(()),
        }
    }

    /// Does what is on the topic of audit by then. What could not be done is told there, too.
    async fn audited(
        &self,
        deed: &Deed,
        act: impl AsyncFnOnce() -> Result<(), StoreError>,
    ) -> Result<(), DeskError> {
        let written = deed.write(&self.publisher).await;
        written.map_err(|error| DeskError::failed(&error))?;
        let Err(error) = act().await else { return Ok(()) };
        let not_done = deed.not_done(&error_chain(&error)).write(&self.publisher).await;
        if let Err(error) = not_done {
            tracing::warn!(error = error_chain(&error), deed = %deed.id, "what was not done is audited as done");
        }
        Err(error.into())
    }
}
