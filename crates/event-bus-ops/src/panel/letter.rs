//! All that is known of one dead letter.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use event_bus::dead_letters::{Found, Moment, Reached, State as Standing};
use event_bus::kafka::Record;
use event_bus::store::ops::Note;
use uuid::Uuid;

use super::gate::{Fields, Signed};
use super::page::{HTMX, Refusal, Shell, Shown, show};
use super::query::LIST;
use super::text::{Clock, filters};
use super::{Panel, notes, pretty, query};
use crate::access::policy::Action;
use crate::desk::{Lineage, Seen};

/// So much of a value, key or header is shown; all of it is in the raw download.
const SHOWN_LINES: usize = 2_000;
const SHOWN_CHARACTERS: usize = 4_000;
/// So many characters of all lines together.
const SHOWN_TOTAL: usize = 200_000;
/// A value of more characters that is no JSON is cut.
const SHOWN_VALUE: usize = 60_000;

#[derive(Template)]
#[template(path = "letter.html")]
struct Letter {
    shell: Shell,
    clock: Clock,
    found: Found,
    lineage: Vec<Found>,
    notes: Vec<Note>,
    /// `None` where retention took it.
    record: Option<Shape>,
    doom: Option<String>,
    is_open: bool,
    may_restore: bool,
    /// Whether what is personal is shown, this once.
    is_revealed: bool,
}

impl Panel {
    /// The page of a dead letter.
    async fn letter_of(
        &self,
        signed: &Signed,
        family: Lineage,
        seen: Option<Seen>,
        is_revealed: bool,
    ) -> Shown {
        let Lineage { found, lineage } = family;
        let notes = self.desk.notes(&signed.actor, &found.letter.fingerprint).await?;
        show(&Letter {
            shell: Shell::of(signed, "dead-letters", "Dead letter"),
            clock: Clock::now(),
            doom: seen.as_ref().and_then(|seen| seen.doom.clone()),
            record: seen.map(Shape::of),
            is_open: found.state == Standing::Open,
            may_restore: matches!(found.state, Standing::Discarded | Standing::Replaying { .. }),
            is_revealed,
            lineage,
            notes,
            found,
        })
    }
}

impl Letter {
    fn key(&self) -> String {
        let key = self.found.letter.key.as_deref();
        key.map_or("none".to_owned(), |key| cut(&String::from_utf8_lossy(key), SHOWN_CHARACTERS).0)
    }

    /// The list of those that look alike.
    fn alike(&self) -> String {
        let fingerprint = self.found.letter.fingerprint.as_str();
        format!("{LIST}?{}", query::encoded([("fingerprint", fingerprint)]))
    }

    fn notes_at(&self) -> String {
        notes::address(&self.found.letter.fingerprint)
    }

    /// The replay that it is in.
    fn replay(&self) -> Option<Uuid> {
        match self.found.state {
            Standing::Replaying { replay } => Some(replay),
            _ => None,
        }
    }
}

/// How a record looks.
struct Shape {
    lines: Vec<Marked>,
    is_json: bool,
    is_cut: bool,
    is_masked: bool,
    bytes: usize,
    violations: Vec<(String, String)>,
    headers: Vec<(String, Option<String>)>,
}

/// A line of the value, and what its schema has against it.
struct Marked {
    text: String,
    wrong: Vec<String>,
}

impl Shape {
    fn of(seen: Seen) -> Self {
        let Seen { record, violations, is_masked, bytes, .. } = seen;
        let value = record.value.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(value);
        let pretty = std::str::from_utf8(value).ok().and_then(pretty::lines);
        let is_json = pretty.is_some();
        let (lines, is_cut) = match pretty {
            Some(lines) => {
                let is_cut = lines.len() > SHOWN_LINES;
                let (mut is_long, mut left) = (false, SHOWN_TOTAL);
                let lines = lines.into_iter().take(SHOWN_LINES).map_while(|line| {
                    if left == 0 {
                        is_long = true;
                        return None;
                    }
                    let (text, is_cut) = cut(&line.text, SHOWN_CHARACTERS.min(left));
                    is_long |= is_cut;
                    left = left.saturating_sub(text.chars().count());
                    let of = |pointer: &String| line.pointer.as_ref() == Some(pointer);
                    let wrong = violations.iter().filter(|(pointer, _)| of(pointer));
                    let wrong = wrong.map(|(_, message)| message.clone()).collect();
                    Some(Marked { text, wrong })
                });
                let lines: Vec<Marked> = lines.collect();
                (lines, is_cut || is_long)
            }
            None => {
                let (text, is_cut) = cut(&text, SHOWN_VALUE);
                (vec![Marked { text, wrong: Vec::new() }], is_cut)
            }
        };
        let headers = record.headers.iter().map(|header| {
            let value = header
                .value
                .as_deref()
                .map(|value| cut(&String::from_utf8_lossy(value), SHOWN_CHARACTERS).0);
            (header.name.to_string(), value)
        });
        let headers = headers.collect();
        Self { lines, is_json, is_cut, is_masked, bytes, violations, headers }
    }
}

/// The first characters of a text, and whether there are more.
fn cut(text: &str, characters: usize) -> (String, bool) {
    match text.char_indices().nth(characters) {
        Some((end, _)) => (format!("{}…", &text[..end]), true),
        None => (text.to_owned(), false),
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let family = panel.known(&signed, Action::See, &id).await?;
    let seen = panel.desk.seen(&family.found).await?;
    panel.letter_of(&signed, family, seen, false).await
}

/// What is personal in it, shown this once: on the page, in the form of an edit, or byte for byte.
pub(super) async fn reveal(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
    let (family, seen) = panel.desk.reveal(&signed.actor, id, fields.text("reason")).await?;
    match (fields.text("as"), seen) {
        ("", seen) => panel.letter_of(&signed, family, seen, true).await,
        ("edit", Some(seen)) => panel.form_of(&signed, family.found, seen.record),
        ("raw", Some(seen)) => Ok(download(id, seen.record)),
        _ => Err(Refusal::Nowhere),
    }
}

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    clock: Clock,
    moments: Vec<Moment>,
    reached: Vec<Reached>,
}

#[derive(Template)]
#[template(path = "history_page.html")]
struct HistoryPage {
    shell: Shell,
    id: Uuid,
    clock: Clock,
    moments: Vec<Moment>,
    reached: Vec<Reached>,
}

pub(super) async fn history(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Shown {
    let family = panel.known(&signed, Action::See, &id).await?;
    let (moments, reached) = panel.desk.history(&family).await?;
    let clock = Clock::now();
    if headers.contains_key(HTMX) {
        return show(&History { clock, moments, reached });
    }
    let shell = Shell::of(&signed, "dead-letters", "What happened");
    show(&HistoryPage { shell, id: family.found.letter.id, clock, moments, reached })
}

pub(super) async fn raw(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let Lineage { found, .. } = panel.known(&signed, Action::See, &id).await?;
    let Some(seen) = panel.desk.seen(&found).await? else { return Err(Refusal::Nowhere) };
    Ok(download(found.letter.id, seen.record))
}

/// The value as a file.
fn download(id: Uuid, record: Record) -> Response {
    let name = format!("attachment; filename=\"{id}.bin\"");
    let headers =
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)];
    (headers, record.value.unwrap_or_default()).into_response()
}

impl Panel {
    /// A dead letter for somebody who wants to do this with it.
    pub(super) async fn known(
        &self,
        signed: &Signed,
        action: Action,
        id: &str,
    ) -> Result<Lineage, Refusal> {
        let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
        Ok(self.desk.letter(&signed.actor, action, id).await?)
    }
}
