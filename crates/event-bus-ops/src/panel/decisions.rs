//! Dead letters are discarded, or that is taken back.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use axum::http::StatusCode;
use event_bus::dead_letters::Filter;

use super::edit::Done;
use super::gate::{Fields, Signed};
use super::page::{Shell, Shown, show, show_as};
use super::query::LIST;
use super::replays::REPLAYS;
use super::text::{count, filters};
use super::{Panel, query};
use crate::desk::{Decided, DeskError, in_states};

/// So many are counted one by one, where the index has no sum for it.
const COUNTED: u32 = 1_000;

#[derive(Template)]
#[template(path = "decision.html")]
struct Decision {
    shell: Shell,
    verb: &'static str,
    explanation: &'static str,
    /// How many it is about; `None` for more than were counted.
    letters: Option<u64>,
    query: String,
    back: String,
    needs_reason: bool,
    problem: String,
}

impl Decision {
    fn counted(&self, letters: &u64) -> String {
        counted(*letters)
    }
}

/// What is decided.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Discard,
    Restore,
}

impl Kind {
    fn verb(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Restore => "restore",
        }
    }

    /// Where nothing else is said, it is about those.
    fn state(self) -> &'static str {
        match self {
            Self::Discard => "open",
            Self::Restore => "discarded",
        }
    }
}

impl Panel {
    async fn decision(
        &self,
        signed: &Signed,
        kind: Kind,
        filter: Filter,
        problem: String,
    ) -> Result<Decision, DeskError> {
        let meant = in_states(filter.clone(), &[kind.state()]);
        let page = self.desk.letters(&signed.actor, meant, None, COUNTED).await?;
        let all = Some(page.letters.len() as u64).filter(|_| page.next.is_none());
        let query = query::of(&filter);
        let (title, explanation) = match kind {
            Kind::Discard => (
                "Discard dead letters",
                "Nothing will be done about them. They stay on their topics, and can be restored.",
            ),
            Kind::Restore => (
                "Restore dead letters",
                "They will be open again. What is being replayed is restored only if its outcome is told by nobody: \
                 choose such dead letters by their state.",
            ),
        };
        Ok(Decision {
            shell: Shell::of(signed, "dead-letters", title),
            verb: kind.verb(),
            explanation,
            letters: page.total.or(all),
            back: format!("{LIST}?{query}"),
            query,
            needs_reason: matches!(kind, Kind::Discard),
            problem,
        })
    }

    async fn decide(&self, signed: &Signed, kind: Kind, fields: &Fields) -> Shown {
        let filter = query::parse(fields.text("query"))?;
        let reason = Some(fields.text("reason").trim()).filter(|reason| !reason.is_empty());
        let decided = match kind {
            Kind::Discard => {
                let reason = reason.unwrap_or_default();
                self.desk.discard(&signed.actor, filter.clone(), reason).await
            }
            Kind::Restore => self.desk.restore(&signed.actor, filter.clone(), reason).await,
        };
        let Decided { letters, refused, request } = match decided {
            Ok(decided) => decided,
            Err(DeskError::Unclear(problem)) => {
                let page = self.decision(signed, kind, filter, problem).await?;
                return show_as(StatusCode::UNPROCESSABLE_ENTITY, &page);
            }
            Err(error) => return Err(error.into()),
        };
        if request.is_some() {
            return show(&Done {
                shell: Shell::of(signed, "dead-letters", "Waits for somebody else"),
                told: format!("{} are discarded once somebody else approves it.", counted(letters)),
                left_out: Vec::new(),
                back: REPLAYS.to_owned(),
            });
        }
        let (title, verb) = match kind {
            Kind::Discard => ("Discarded", "discarded"),
            Kind::Restore => ("Restored", "restored"),
        };
        let left_out = refused
            .iter()
            .map(|(why, letters)| format!("{} left out: each {why}", count(*letters)));
        show(&Done {
            shell: Shell::of(signed, "dead-letters", title),
            told: format!(
                "{} {verb}. The index shows it as soon as it has read the decision.",
                counted(letters)
            ),
            left_out: left_out.collect(),
            back: format!("{LIST}?{}", query::of(&filter)),
        })
    }
}

/// So many dead letters, in words.
pub(super) fn counted(letters: u64) -> String {
    match letters {
        1 => "1 dead letter".to_owned(),
        letters => format!("{} dead letters", count(letters)),
    }
}

pub(super) async fn form(
    kind: Kind,
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let filter = query::read(pairs)?.filter;
    show(&panel.decision(&signed, kind, filter, String::new()).await?)
}

pub(super) async fn decide(
    kind: Kind,
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    panel.decide(&signed, kind, &fields).await
}
