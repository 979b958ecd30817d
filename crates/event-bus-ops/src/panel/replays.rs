//! Replays: the latest, one with how far it is, and its end.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use event_bus::store::ops::{ReplayRow, RequestRow, RequestStage};
use uuid::Uuid;

use super::Panel;
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, see_other, show};
use super::text::{Clock, filters};

/// The address of the page.
pub(super) const REPLAYS: &str = "/events/replays";

#[derive(Template)]
#[template(path = "replays.html")]
struct Replays {
    shell: Shell,
    clock: Clock,
    replays: Vec<ReplayRow>,
    /// The latest ones that took two.
    requests: Vec<RequestRow>,
}

impl Replays {
    /// Whether who looks at it may decide about this.
    fn may_decide(&self, request: &RequestRow) -> bool {
        let signed = self.shell.signed.as_ref();
        let is_anothers = signed.is_some_and(|signed| signed.actor.name != request.by);
        request.stage == RequestStage::Waiting && self.shell.acts() && is_anothers
    }
}

#[derive(Template)]
#[template(path = "replay.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    row: ReplayRow,
    may_cancel: bool,
}

#[derive(Template)]
#[template(path = "replay_progress.html")]
struct Progress {
    row: ReplayRow,
}

impl Page {
    fn percent(&self) -> u64 {
        percent(&self.row)
    }
}

impl Progress {
    fn percent(&self) -> u64 {
        percent(&self.row)
    }
}

/// How far it is, of a hundred.
fn percent(row: &ReplayRow) -> u64 {
    let progress = &row.progress;
    let done = progress.told() + progress.gone + progress.refused;
    (done * 100).checked_div(progress.letters).unwrap_or(100)
}

pub(super) async fn list(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let replays = panel.desk.replays(&signed.actor).await?;
    let shell = Shell::of(&signed, "replays", "Replays");
    let requests = panel.desk.requests(&signed.actor).await?;
    show(&Replays { shell, clock: Clock::now(), replays, requests })
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let row = panel.replay_row(&signed, &id).await?;
    let shell = Shell::of(&signed, "replays", "Replay");
    let may_cancel = !row.stage.is_over() && shell.acts();
    show(&Page { shell, clock: Clock::now(), may_cancel, row })
}

pub(super) async fn progress(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    show(&Progress { row: panel.replay_row(&signed, &id).await? })
}

pub(super) async fn cancel(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
) -> Shown {
    let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
    panel.desk.cancel(&signed.actor, id).await?;
    Ok(see_other(&format!("/events/replays/{id}")))
}

/// The reason of a verdict, if one was given.
fn why(fields: &Fields) -> Option<&str> {
    Some(fields.text("reason").trim()).filter(|reason| !reason.is_empty())
}

pub(super) async fn approve(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
    panel.desk.approve(&signed.actor, id, why(&fields)).await?;
    Ok(see_other(REPLAYS))
}

pub(super) async fn deny(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(id): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
    panel.desk.deny(&signed.actor, id, why(&fields)).await?;
    Ok(see_other(REPLAYS))
}

impl Panel {
    async fn replay_row(&self, signed: &Signed, id: &str) -> Result<ReplayRow, Refusal> {
        let id: Uuid = id.parse().map_err(|_| Refusal::Nowhere)?;
        Ok(self.desk.replay_row(&signed.actor, id).await?)
    }
}
