//! Outboxes of services, and one with its rows that can never be sent as they are.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::Panel;
use super::edit::Done;
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, show, show_as};
use super::text::{Clock, When, count, filters};
use crate::access::policy::Action;
use crate::desk::{
    AskAboutRow, DeskError, OutboxOf, OutboxPage, OutboxStanding, RelayOf, RowDecision,
};

/// The navigation's part.
const PART: &str = "outbox";
const LIST: &str = "/events/outbox";

#[derive(Template)]
#[template(path = "outboxes.html")]
struct Outboxes {
    shell: Shell,
    clock: Clock,
    rows: Vec<OutboxOf>,
}

#[derive(Template)]
#[template(path = "outbox.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    page: OutboxPage,
    may_decide: bool,
    /// The row that nothing could be decided about, and what was said of it.
    refused: Option<(i64, String)>,
    problem: String,
}

impl Outboxes {
    fn oldest(&self, standing: &OutboxStanding) -> Option<When> {
        oldest(self.clock, standing)
    }
}

impl Page {
    fn oldest(&self, standing: &OutboxStanding) -> Option<When> {
        oldest(self.clock, standing)
    }

    fn shards(&self, relay: &RelayOf) -> String {
        let shards: Vec<String> = relay.shards.iter().map(i32::to_string).collect();
        if shards.is_empty() { "none".to_owned() } else { shards.join(", ") }
    }

    /// What was said of a row before.
    fn reason_of(&self, row: &i64) -> &str {
        let said = self.refused.as_ref().filter(|(refused, _)| refused == row);
        said.map_or("", |(_, reason)| reason)
    }

    /// Quarantined rows that are not shown: there are too many, or they are others'.
    fn not_shown(&self) -> u64 {
        let all = self.page.outbox.standing.as_ref().map_or(0, |standing| standing.quarantined);
        all.saturating_sub(self.page.rows.len() as u64)
    }
}

/// Since when the first row that is to be sent has waited.
fn oldest(clock: Clock, standing: &OutboxStanding) -> Option<When> {
    let waited = i64::try_from(standing.oldest_ms?).ok().map(SignedDuration::from_millis);
    let since = waited.and_then(|waited| clock.0.checked_sub(waited).ok());
    Some(clock.tell(&since.unwrap_or(Timestamp::UNIX_EPOCH)))
}

fn address(service: &str) -> String {
    format!("{LIST}/{service}")
}

impl Panel {
    async fn outbox_page(
        &self,
        signed: &Signed,
        service: &str,
        refused: Option<(i64, String)>,
        problem: String,
    ) -> Result<Page, Refusal> {
        let page = self.desk.outbox(&signed.actor, service).await?;
        Ok(Page {
            shell: Shell::of(signed, PART, format!("Outbox of {service}")),
            clock: Clock::now(),
            may_decide: self.desk.outbox_of(&signed.actor, Action::Lift, service).is_ok(),
            page,
            refused,
            problem,
        })
    }
}

pub(super) async fn list(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let rows = panel.desk.outboxes(&signed.actor).await?;
    show(&Outboxes { shell: Shell::of(&signed, PART, "Outbox"), clock: Clock::now(), rows })
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(service): Path<String>,
) -> Shown {
    show(&panel.outbox_page(&signed, &service, None, String::new()).await?)
}

pub(super) async fn retry(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(service): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    decide(&panel, &signed, &service, RowDecision::Retry, &fields).await
}

pub(super) async fn discard(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(service): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    decide(&panel, &signed, &service, RowDecision::Discard, &fields).await
}

async fn decide(
    panel: &Panel,
    signed: &Signed,
    service: &str,
    decision: RowDecision,
    fields: &Fields,
) -> Shown {
    // Who may not is told so before what was sent is looked at.
    panel.desk.outbox_of(&signed.actor, Action::Lift, service)?;
    let text = |name| fields.text(name).to_owned();
    let row = fields.text("row").parse().map_err(|_| {
        DeskError::Unclear("row is missing: use the forms of the service's page".to_owned())
    })?;
    let asked = AskAboutRow { row, event_id: text("event_id"), reason: text("reason") };
    match panel.desk.decide_row(&signed.actor, service, decision, asked).await {
        Ok(lifted) => {
            let (title, told) = match decision {
                RowDecision::Retry => ("Sent again", "is sent again"),
                RowDecision::Discard => ("Discarded", "is never sent, and kept with the reason"),
            };
            let rows = count(lifted.rows);
            show(&Done {
                shell: Shell::of(signed, PART, title),
                told: format!("Row {row} {told}. Rows that may be sent now: {rows}."),
                left_out: Vec::new(),
                back: address(service),
            })
        }
        Err(DeskError::Unclear(why) | DeskError::Conflict(why)) => {
            let refused = Some((row, text("reason")));
            let page = panel.outbox_page(signed, service, refused, format!("{why}.")).await?;
            show_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}
