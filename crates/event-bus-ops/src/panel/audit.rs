//! What everybody did.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use event_bus::audit::chain::Link;
use event_bus::store::ops::AuditFilter;
use uuid::Uuid;

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::replays::REPLAYS;
use super::text::{Clock, When, filters};
use super::{Panel, query};
use crate::access::trail::Deed;
use crate::api::audit::asked;
use crate::desk::ChainState;

const AUDIT: &str = "/access/audit";

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    shell: Shell,
    clock: Clock,
    rows: Vec<Link>,
    next: Option<String>,
    actor: String,
    since: String,
    until: String,
    actions: Vec<(&'static str, bool)>,
}

#[derive(Template)]
#[template(path = "audit_state.html")]
struct ChainPage {
    shell: Shell,
    state: ChainState,
}

/// Where the object of a row is shown.
fn link_of(row: &Link) -> Option<String> {
    let id: Uuid = row.object.parse().ok()?;
    Some(match row.action.as_str() {
        "cancel" => format!("{REPLAYS}/{id}"),
        "approve" | "deny" | "request" => REPLAYS.to_owned(),
        _ => format!("/events/dead-letters/{id}"),
    })
}

impl Audit {
    fn when(&self, row: &Link) -> When {
        self.clock.tell(&row.written_at())
    }

    fn object(&self, row: &Link) -> Option<String> {
        link_of(row)
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let kept: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, value)| name != "before" && !value.is_empty())
        .cloned()
        .collect();
    let (filter, limit) = asked(pairs)?;
    let page = panel.desk.audit_page(&signed.actor, &filter, limit).await?;
    let next = page.next.map(|before| {
        let before = [("before".to_owned(), before.to_string())];
        format!("{AUDIT}?{}", query::encoded(kept.iter().chain(&before)))
    });
    let AuditFilter { actor, action, since, until, .. } = filter;
    let time =
        |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let chosen = |deed: Deed| (deed.as_str(), action.as_deref() == Some(deed.as_str()));
    show(&Audit {
        shell: Shell::of(&signed, "audit", "Audit"),
        clock: Clock::now(),
        rows: page.rows,
        next,
        actor: actor.unwrap_or_default(),
        since: time(since),
        until: time(until),
        actions: Deed::ALL.map(chosen).into(),
    })
}

pub(super) async fn state(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let state = panel.desk.verify_audit(&signed.actor).await?;
    show(&ChainPage { shell: Shell::of(&signed, "audit", "State of the audit"), state })
}
