//! Dead letters for other tools, as long as there are some.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query as RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use event_bus::dead_letters::{Filter, Found};
use event_bus::store::ops::Place;
use futures_util::stream::try_unfold;
use serde_json::json;

use super::gate::Signed;
use super::page::Shown;
use super::{Panel, query};
use crate::access::policy::Action;
use crate::desk::{Desk, DeskError};
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

    fn head(self) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(String::new()),
            Self::Csv => csv(COLUMNS.map(str::to_owned)),
        }
    }

    fn line(self, found: &Found) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(format!("{}\n", json!(found))),
            Self::Csv => csv(cells(found)),
        }
    }
}

fn csv(cells: [String; COLUMNS.len()]) -> Result<String, DeskError> {
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
        let mut text = if is_first { self.format.head()? } else { String::new() };
        for found in &shown.letters {
            text.push_str(&self.format.line(found)?);
        }
        (self.after, self.is_over) = (shown.next, shown.next.is_none());
        Ok(Some((text.into(), self)))
    }
}

pub(super) async fn export(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(mut pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let format = pairs.iter().position(|(name, _)| name == "format");
    let format = format.map(|at| pairs.remove(at).1).unwrap_or_default();
    let (name, format) = (format.clone(), Format::of(&format)?);
    let filter = query::read(pairs)?.filter;
    let filter = panel.desk.meant(&signed.actor, Action::See, filter).await?;
    let kind = match format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let desk = panel.desk.clone();
    let rest = Rest { desk, filter, format, after: None, is_over: false };
    let body = Body::from_stream(try_unfold(rest, Rest::next));
    let file = format!("attachment; filename=\"dead-letters.{name}\"");
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, file)], body).into_response())
}
