//! All that is known of one dead letter.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use event_bus::Catalogue;
use event_bus::dead_letters::{Found, Moment, Reached, State as Standing, reached, timeline};
use event_bus::envelope::Envelope;
use event_bus::kafka::Record;
use event_bus::store::ops::Note;
use uuid::Uuid;

use super::gate::Signed;
use super::page::{HTMX, Refusal, Shell, Shown, show};
use super::query::LIST;
use super::text::{Clock, filters};
use super::{Panel, notes, pretty, query};
use crate::access::policy::Action;
use crate::desk::{DeskError, Lineage};

/// So much of a value, key or header is shown; all of it is in the raw download.
const SHOWN_LINES: usize = 2_000;
const SHOWN_CHARACTERS: usize = 4_000;
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
    fn of(catalogue: &Catalogue, found: &Found, record: &Record) -> Self {
        let value = record.value.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(value);
        let violations = violations(catalogue, found, value);
        let pretty = std::str::from_utf8(value).ok().and_then(pretty::lines);
        let is_json = pretty.is_some();
        let (lines, is_cut) = match pretty {
            Some(lines) => {
                let is_cut = lines.len() > SHOWN_LINES;
                let mut is_long = false;
                let lines = lines.into_iter().take(SHOWN_LINES).map(|line| {
                    let (text, is_cut) = cut(&line.text, SHOWN_CHARACTERS);
                    is_long |= is_cut;
                    let of = |pointer: &String| line.pointer.as_ref() == Some(pointer);
                    let wrong = violations.iter().filter(|(pointer, _)| of(pointer));
                    Marked { text, wrong: wrong.map(|(_, message)| message.clone()).collect() }
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
        Self { lines, is_json, is_cut, bytes: value.len(), violations, headers }
    }
}

/// The first characters of a text, and whether there are more.
fn cut(text: &str, characters: usize) -> (String, bool) {
    match text.char_indices().nth(characters) {
        Some((end, _)) => (format!("{}…", &text[..end]), true),
        None => (text.to_owned(), false),
    }
}

/// What the schema of its event has against a value, by pointers into the envelope.
fn violations(catalogue: &Catalogue, found: &Found, value: &[u8]) -> Vec<(String, String)> {
    let event = catalogue.event_of_topic(found.letter.topic.as_str());
    let (Some(event), Ok(envelope)) = (event, Envelope::parse(value)) else { return Vec::new() };
    let Ok(schema) = event.schema_for(&envelope.version) else { return Vec::new() };
    let violations = schema.violations(&envelope.payload).into_iter();
    violations.map(|wrong| (format!("/payload{}", wrong.pointer), wrong.message)).collect()
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let Lineage { found, lineage } = panel.known(&signed, Action::See, &id).await?;
    let record = panel.record(&found).await?;
    let (desk, state) = (&panel.desk, found.state);
    let notes = desk.notes(&signed.actor, &found.letter.fingerprint).await?;
    let catalogue = &desk.catalogue;
    show(&Letter {
        shell: Shell::of(&signed, "dead-letters", "Dead letter"),
        clock: Clock::now(),
        doom: record.as_ref().and_then(|record| found.doom(catalogue, record)),
        record: record.map(|record| Shape::of(catalogue, &found, &record)),
        is_open: state == Standing::Open,
        may_restore: matches!(state, Standing::Discarded | Standing::Replaying { .. }),
        lineage,
        notes,
        found,
    })
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
    let Lineage { found, lineage } = panel.known(&signed, Action::See, &id).await?;
    let record = panel.record(&found).await?;
    let (kafka, catalogue) = (&panel.desk.kafka, &panel.desk.catalogue);
    let kin: Vec<&Found> = lineage.iter().collect();
    let moments = timeline(kafka, catalogue, &kin, record.as_ref()).await;
    let moments = moments.map_err(|error| DeskError::failed(&error))?;
    // Of the event as it was published, and not of a replay that died.
    let first = lineage.first().unwrap_or(&found);
    let reached = reached(kafka, catalogue, first).await;
    let reached = reached.map_err(|error| DeskError::failed(&error))?;
    let clock = Clock::now();
    if headers.contains_key(HTMX) {
        return show(&History { clock, moments, reached });
    }
    let shell = Shell::of(&signed, "dead-letters", "What happened");
    show(&HistoryPage { shell, id: found.letter.id, clock, moments, reached })
}

pub(super) async fn raw(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let Lineage { found, .. } = panel.known(&signed, Action::See, &id).await?;
    let Some(record) = panel.record(&found).await? else { return Err(Refusal::Nowhere) };
    let name = format!("attachment; filename=\"{}.bin\"", found.letter.id);
    let headers =
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, record.value.unwrap_or_default()).into_response())
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

    pub(super) async fn record(&self, found: &Found) -> Result<Option<Record>, DeskError> {
        found.record(&self.desk.kafka).await.map_err(|error| DeskError::failed(&error))
    }
}
