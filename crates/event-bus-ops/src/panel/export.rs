//! Dead letters for other tools, as long as there are some.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query as RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use event_bus::dead_letters::{Filter, Found};
use event_bus::store::ops::{OpsStore, Place};
use futures_util::stream::try_unfold;
use jiff::Timestamp;

use super::gate::{Fields, Signed};
use super::page::Shown;
use super::{Panel, query};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::access::trail::{Deed, Note};
use crate::desk::{Desk, DeskError, VALUES};
use crate::export::{Along, csv_line, head, json_line};

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

    fn head(self, has_values: bool) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(String::new()),
            Self::Csv => head(has_values).map_err(|error| DeskError::failed(&error)),
        }
    }

    fn line(self, found: &Found, along: Option<Along>) -> Result<String, DeskError> {
        match self {
            Self::Ndjson => Ok(format!("{}\n", json_line(found, along))),
            Self::Csv => csv_line(found, along).map_err(|error| DeskError::failed(&error)),
        }
    }
}

/// Who asks, as that one may now: nobody once the session is over, however long the file is.
async fn asking(store: &OpsStore, session: &str) -> Result<Actor, DeskError> {
    let session = store.session(session, Timestamp::now()).await?;
    let over = || DeskError::Unclear("the session is over, and so is the export".to_owned());
    session.map(|session| Actor::from(&session.user)).ok_or_else(over)
}

/// What is still to be sent.
struct Rest {
    desk: Desk,
    /// Names the session of who asks.
    session: String,
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
        let actor = asking(&self.desk.store, &self.session).await?;
        decide(&actor, Action::See, Object::InScope)?;
        self.filter.scope = actor.scope;
        let is_first = self.after.is_none();
        let shown = self.desk.store.letters(&self.filter, self.after, AT_ONCE).await?;
        let mut text = if is_first { self.format.head(false)? } else { String::new() };
        for found in &shown.letters {
            text.push_str(&self.format.line(found, None)?);
        }
        (self.after, self.is_over) = (shown.next, shown.next.is_none());
        Ok(Some((text.into(), self)))
    }
}

/// What is still to be sent as it is, for somebody who said why.
struct Revealed {
    rest: Rest,
    reason: String,
}

impl Revealed {
    /// The next piece, which is written to the audit before.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, DeskError> {
        let rest = &mut self.rest;
        if rest.is_over {
            return Ok(None);
        }
        let mut text = if rest.after.is_none() { rest.format.head(true)? } else { String::new() };
        let actor = asking(&rest.desk.store, &rest.session).await?;
        let (filter, reason) = (rest.filter.clone(), Some(self.reason.as_str()));
        let page = rest.desk.contents(&actor, filter, rest.after, VALUES, reason).await?;
        let (contents, next) = page;
        for (found, content) in contents.letters {
            text.push_str(&rest.format.line(&found, Some(Along::of_content(content)))?);
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
    let (desk, session) = (panel.desk.clone(), signed.session);
    let rest = Rest { desk, session, filter, format, after: None, is_over: false };
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
    let (desk, session) = (panel.desk.clone(), signed.session);
    let rest = Rest { desk, session, filter, format, after: None, is_over: false };
    let revealed = Revealed { rest, reason };
    Ok(file(name, format, Body::from_stream(try_unfold(revealed, Revealed::next))))
}

fn file(name: &str, format: Format, body: Body) -> Response {
    let file = format!("attachment; filename=\"dead-letters.{name}\"");
    ([(CONTENT_TYPE, format.kind().to_owned()), (CONTENT_DISPOSITION, file)], body).into_response()
}

#[cfg(test)]
mod tests {
    use event_bus::dead_letters::Scope;
    use event_bus::store::ops::{Role, UserName};

    use super::*;

    #[tokio::test]
    async fn a_file_ends_with_the_session_of_who_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("ops.db").display());
        let store = OpsStore::open(&url).await.unwrap();
        let ann: UserName = "ann".parse().unwrap();
        assert!(store.make_user(&ann, Role::Operator, &Scope::default(), None).await.unwrap());
        let session = store.open_session(&ann, Timestamp::now()).await.unwrap();
        assert_eq!(asking(&store, &session).await.unwrap().role, Role::Operator);
        assert!(store.set_disabled(&ann, true).await.unwrap());
        assert!(matches!(asking(&store, &session).await, Err(DeskError::Unclear(_))));
        store.close().await;
    }
}
