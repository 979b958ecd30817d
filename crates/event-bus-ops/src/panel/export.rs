//! Dead letters for other tools, as long as there are some.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query as RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use event_bus::dead_letters::{Filter, Found};
use event_bus::store::ops::Place;
use futures_util::stream::try_unfold;
use serde_json::json;

use super::gate::{Fields, Signed};
use super::page::Shown;
use super::{Panel, query};
use crate::access::policy::{Action, Actor};
use crate::access::trail::{Deed, Note};
use crate::desk::{Content, Desk, DeskError, VALUES};
use crate::export::{COLUMNS, cells, row};

/// So many are read and sent at once.
const AT_ONCE: u32 = 1_000;

#[derive(Clone, Copy)]
enum Format {
    Ndjson,
    Csv,
}

impl Format {
    fn of(name: &str) -> Result<Self, DeskError> {
        match name {
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err(DeskError::Unclear("a format is ndjson or csv".to_owned())),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    fn head(self, value: Option<&str>) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(String::new()),
            Self::Csv => csv(COLUMNS.into_iter().chain(value).map(str::to_owned)),
        }
    }

    fn line(self, found: &Found) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(format!("{}\n", json!(found))),
            Self::Csv => csv(cells(found)),
        }
    }

    fn line_with(self, found: &Found, content: Option<&Content>) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => {
                let mut line = json!(found);
                line["headers"] = json!(content.map(|content| &content.headers));
                line["value"] = json!(content.and_then(|content| content.value.as_deref()));
                Ok(format!("{line}\n"))
            }
            Self::Csv => {
                let value = content.and_then(|content| content.value.clone()).unwrap_or_default();
                csv(cells(found).into_iter().chain([value]))
            }
        }
    }
}

fn csv(cells: impl IntoIterator<Item = String>) -> Result<String, DeskError> {
    row(cells).map_err(|error| DeskError::failed(&error))
}

/// What is still to be sent.
struct Rest {
    desk: Desk,
    filter: Filter,
    format: Format,
    after: Option<Place>,
    is_over: bool,
}

impl Rest {
    /// The next piece.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, DeskError> {
        if self.is_over {
            return Ok(None);
        }
        let is_first = self.after.is_none();
        let shown = self.desk.store.letters(&self.filter, self.after, AT_ONCE).await?;
        let mut text = if is_first { self.format.head(None)? } else { String::new() };
        for found in &shown.letters {
            text.push_str(&self.format.line(found)?);
        }
        (self.after, self.is_over) = (shown.next, shown.next.is_none());
        Ok(Some((text.into(), self)))
    }
}

/// What is still to be sent as it is, for somebody who said why.
struct Revealed {
    rest: Rest,
    actor: Actor,
    reason: String,
}

impl Revealed {
    /// The next piece, which is written to the audit before.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, DeskError> {
        let rest = &mut self.rest;
        if rest.is_over {
            return Ok(None);
        }
        let mut text =
            if rest.after.is_none() { rest.format.head(Some("value"))? } else { String::new() };
        let (filter, reason) = (rest.filter.clone(), Some(self.reason.as_str()));
        let page = rest.desk.contents(&self.actor, filter, rest.after, VALUES, reason).await?;
        let (contents, next) = page;
        for (found, content) in &contents.letters {
            text.push_str(&rest.format.line_with(found, content.as_ref())?);
        }
        (rest.after, rest.is_over) = (next, next.is_none());
        Ok(Some((text.into(), self)))
    }
}

pub(super) async fn export(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(mut pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let format = pairs.iter().position(|(name, _)| name == "format");
    let name = format.map(|at| pairs.remove(at).1).unwrap_or_default();
    let format = Format::of(&name)?;
    let filter = query::read(pairs)?.filter;
    let note = Note::about(Deed::Export, &filter);
    let filter = panel.desk.meant(&signed.actor, Action::See, filter).await?;
    note.write(&panel.desk.store, (&signed.actor).into()).await?;
    let desk = panel.desk.clone();
    let rest = Rest { desk, filter, format, after: None, is_over: false };
    Ok(file(&name, format, Body::from_stream(try_unfold(rest, Rest::next))))
}

/// The same with what is personal and with values, for somebody who says why.
pub(super) async fn reveal(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let (name, reason) = (fields.text("format"), fields.text("reason").trim().to_owned());
    let format = Format::of(name)?;
    if reason.is_empty() {
        return Err(DeskError::Unclear("say why, for those who ask later".to_owned()).into());
    }
    let filter = query::parse(fields.text("query"))?;
    // What is meant is found out once, and not for each piece anew.
    let filter = panel.desk.meant(&signed.actor, Action::Reveal, filter).await?;
    let rest = Rest { desk: panel.desk.clone(), filter, format, after: None, is_over: false };
    let revealed = Revealed { rest, actor: signed.actor, reason };
    Ok(file(name, format, Body::from_stream(try_unfold(revealed, Revealed::next))))
}

fn file(name: &str, format: Format, body: Body) -> Response {
    let file = format!("attachment; filename=\"dead-letters.{name}\"");
    ([(CONTENT_TYPE, format.kind().to_owned()), (CONTENT_DISPOSITION, file)], body).into_response()
}
