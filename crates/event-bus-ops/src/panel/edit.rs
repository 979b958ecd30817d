//! A dead letter goes back with another value: written, compared, checked, sent.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use event_bus::dead_letters::Found;
use event_bus::kafka::Record;

use super::diff::{Change, diff};
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, show, show_as};
use super::text::filters;
use super::{Panel, pretty};
use crate::access::policy::Action;
use crate::desk::{DeskError, Edited};

#[derive(Template)]
#[template(path = "edit.html")]
struct Form {
    shell: Shell,
    found: Found,
    /// The text to change.
    text: String,
    reason: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "edit_check.html")]
struct Check {
    shell: Shell,
    found: Found,
    text: String,
    reason: String,
    changes: Vec<Change>,
    /// Where personal data becomes other data.
    personal: Vec<String>,
}

#[derive(Template)]
#[template(path = "done.html")]
pub(super) struct Done {
    pub shell: Shell,
    pub told: String,
    pub left_out: Vec<String>,
    pub back: String,
}

/// What may be changed of a dead letter, and what it was.
struct Original {
    found: Found,
    /// Its value without what is personal, in lines where it is JSON.
    text: String,
    is_compact: bool,
}

impl Original {
    /// The value that a form's text stands for. Browsers end lines in their own way; and a value without spaces between its
    /// tokens stays one.
    fn value_of(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        if self.is_compact { pretty::compact(&text).unwrap_or(text) } else { text }
    }
}

/// The value of a record as text.
fn text_of(record: Record) -> Result<String, DeskError> {
    String::from_utf8(record.value.unwrap_or_default().into()).map_err(|_| {
        let told = "the value is no text: `event-bus dlq edit` takes a file in its place";
        DeskError::Unclear(told.to_owned())
    })
}

impl Panel {
    async fn original(&self, signed: &Signed, id: &str) -> Result<Original, Refusal> {
        let found = self.known(signed, Action::Edit, id).await?.found;
        let Some(record) = self.desk.record(&found).await? else {
            let told = "retention has taken the dead letter's record, so it can't go back";
            return Err(DeskError::Unclear(told.to_owned()).into());
        };
        let shown = text_of(self.desk.personal(&found, &record).record(&record))?;
        let value = text_of(record)?;
        let is_compact = pretty::compact(&value).as_deref() == Some(&value);
        Ok(Original { text: in_lines(&shown), found, is_compact })
    }

    /// The form with the value of a record that was revealed.
    pub(super) fn form_of(&self, signed: &Signed, found: Found, record: Record) -> Shown {
        let (shell, text) =
            (Shell::of(signed, "dead-letters", "Edit a dead letter"), text_of(record)?);
        let (text, reason, problem) = (in_lines(&text), String::new(), String::new());
        show(&Form { shell, found, text, reason, problem })
    }
}

fn in_lines(value: &str) -> String {
    let lines = pretty::lines(value);
    lines.map_or(value.to_owned(), |lines| {
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    })
}

pub(super) async fn form(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let Original { found, text, .. } = panel.original(&signed, &id).await?;
    let shell = Shell::of(&signed, "dead-letters", "Edit a dead letter");
    show(&Form { shell, found, text, reason: String::new(), problem: String::new() })
}

pub(super) async fn check(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let original = panel.original(&signed, &id).await?;
    let (value, reason) = (original.value_of(fields.text("value")), fields.text("reason"));
    let edited = match panel.sends(&signed, &original.found, &value, reason, true).await? {
        Ok(edited) => edited,
        Err(problem) => return again(&signed, original.found, &fields, problem),
    };
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let changes = diff(&lines(&original.text), &lines(&in_lines(&edited.new)));
    let shell = Shell::of(&signed, "dead-letters", "Check an edit");
    let (found, text) = (original.found, fields.text("value").to_owned());
    let (reason, personal) = (reason.to_owned(), edited.personal);
    show(&Check { shell, found, text, reason, changes, personal })
}

pub(super) async fn edit(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let original = panel.original(&signed, &id).await?;
    let (value, reason) = (original.value_of(fields.text("value")), fields.text("reason"));
    let found = original.found;
    match panel.sends(&signed, &found, &value, reason, false).await? {
        Err(problem) => again(&signed, found, &fields, problem),
        Ok(edited) => show(&Done {
            shell: Shell::of(&signed, "dead-letters", "Sent back"),
            told: format!(
                "The edited event went back to {} as replay {}. Its state says what became of it.",
                found.letter.group,
                edited.replay.unwrap_or_default()
            ),
            left_out: Vec::new(),
            back: format!("/events/dead-letters/{}", found.letter.id),
        }),
    }
}

impl Panel {
    /// Sends an edited value, or only checks it. What is wrong with it is for whoever wrote it.
    async fn sends(
        &self,
        signed: &Signed,
        found: &Found,
        value: &str,
        reason: &str,
        dry_run: bool,
    ) -> Result<Result<Edited, String>, Refusal> {
        if reason.trim().is_empty() {
            return Ok(Err("Say why, for those who ask later.".to_owned()));
        }
        let (id, value) = (found.letter.id, value.to_owned());
        match self.desk.edit(&signed.actor, id, value, reason, dry_run).await {
            Ok(edited) => Ok(Ok(edited)),
            Err(DeskError::Unclear(problem)) => Ok(Err(problem)),
            Err(error) => Err(error.into()),
        }
    }
}

fn again(signed: &Signed, found: Found, fields: &Fields, problem: String) -> Shown {
    let shell = Shell::of(signed, "dead-letters", "Edit a dead letter");
    let (text, reason) = (fields.text("value").to_owned(), fields.text("reason").to_owned());
    show_as(StatusCode::UNPROCESSABLE_ENTITY, &Form { shell, found, text, reason, problem })
}
