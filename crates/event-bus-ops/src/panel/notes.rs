//! What operators write about a failure.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query as RawQuery, State};
use axum::http::StatusCode;
use event_bus::store::ops::Note;
use uuid::Uuid;

use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, see_other, show, show_as};
use super::query::LIST;
use super::text::{Clock, filters};
use super::{Panel, query};
use crate::access::policy::{Action, Object, decide};
use crate::desk::DeskError;

const NOTES: &str = "/events/dead-letters/notes";

#[derive(Template)]
#[template(path = "notes.html")]
struct Notes {
    shell: Shell,
    clock: Clock,
    fingerprint: String,
    notes: Vec<Note>,
    /// The list of its dead letters.
    alike: String,
    text: String,
    problem: String,
    most: usize,
}

impl Notes {
    /// Whether who looks at it may remove this one.
    fn may_remove(&self, note: &&Note) -> bool {
        self.shell.signed.as_ref().is_some_and(|signed| {
            let may = |action| decide(&signed.actor, action, Object::InScope).is_ok();
            may(Action::RemoveNotes) || may(Action::Note) && note.author == signed.actor.name
        })
    }
}

/// The address of the notes about a failure.
pub(super) fn address(fingerprint: &str) -> String {
    format!("{NOTES}?{}", query::encoded([("fingerprint", fingerprint)]))
}

impl Panel {
    async fn notes_page(
        &self,
        signed: &Signed,
        fingerprint: &str,
        text: &str,
        problem: String,
    ) -> Result<Notes, Refusal> {
        Ok(Notes {
            shell: Shell::of(signed, "dead-letters", "Notes"),
            clock: Clock::now(),
            notes: self.desk.notes(&signed.actor, fingerprint).await?,
            alike: format!("{LIST}?{}", query::encoded([("fingerprint", fingerprint)])),
            fingerprint: fingerprint.to_owned(),
            text: text.to_owned(),
            problem,
            most: Note::MAX_CHARACTERS,
        })
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let fingerprint = pairs.into_iter().find(|(name, _)| name == "fingerprint");
    let (_, fingerprint) = fingerprint.ok_or(Refusal::Nowhere)?;
    show(&panel.notes_page(&signed, &fingerprint, "", String::new()).await?)
}

pub(super) async fn write(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let (fingerprint, text) = (fields.text("fingerprint"), fields.text("text"));
    match panel.desk.write_note(&signed.actor, fingerprint, text).await {
        Ok(note) => Ok(see_other(&address(&note.fingerprint))),
        Err(DeskError::Unclear(problem)) => {
            let page = panel.notes_page(&signed, fingerprint, text, problem).await?;
            show_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn remove(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
    let note = panel.desk.remove_note(&signed.actor, id).await?;
    Ok(see_other(&address(&note.fingerprint)))
}
