//! A replay before it begins: what it would do, and what it is guarded by.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use axum::http::StatusCode;
use event_bus::dead_letters::Filter;
use event_bus::dead_letters::guarded::Guard;
use jiff::Timestamp;
use uuid::Uuid;

use super::decisions::counted;
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, see_other, show, show_as};
use super::proof::{Proof, Proved};
use super::query::LIST;
use super::replays::REPLAYS;
use super::text::filters;
use super::{Panel, query};
use crate::desk::{DeskError, Preview};
use crate::serving::Peer;

/// So many dead letters of a kind are named.
const NAMED: usize = 20;

#[derive(Template)]
#[template(path = "replay_plan.html")]
struct Plan {
    shell: Shell,
    preview: Preview,
    query: String,
    back: String,
    /// Names the replay: who sends the form twice has asked once.
    id: Uuid,
    asked: Asked,
    proof: Proof,
    problem: String,
}

/// What the form says besides.
struct Asked {
    reason: String,
    canary: String,
    max_dead: String,
    rate: String,
}

impl Default for Asked {
    fn default() -> Self {
        let guard = Guard::default();
        let canary: Vec<String> = guard.canary.iter().map(u64::to_string).collect();
        Self {
            reason: String::new(),
            canary: canary.join(", "),
            max_dead: guard.max_dead_percent.to_string(),
            rate: String::new(),
        }
    }
}

impl Asked {
    fn of(fields: &Fields) -> Self {
        let text = |name| fields.text(name).trim().to_owned();
        Self {
            reason: text("reason"),
            canary: text("canary"),
            max_dead: text("max-dead"),
            rate: text("rate"),
        }
    }

    fn guard(&self) -> Result<Guard, &'static str> {
        let steps = self.canary.split(',').map(str::trim).filter(|step| !step.is_empty());
        let steps: Result<Vec<u64>, _> = steps.map(str::parse).collect();
        let canary = steps.map_err(|_| "The first steps are numbers, such as 1, 10, 100.")?;
        let max_dead_percent = self.max_dead.parse().ok().filter(|percent| *percent <= 100);
        let max_dead_percent = max_dead_percent.ok_or("Of a hundred, 0 to 100 may die again.")?;
        let rate = Some(self.rate.as_str()).filter(|rate| !rate.is_empty());
        let rate = rate.map(|rate| {
            rate.parse()
                .ok()
                .filter(|rate| *rate > 0)
                .ok_or("The rate is a number from 1 on, or nothing.")
        });
        let per_second = rate.transpose()?;
        let canary = canary.into_iter().filter(|step| *step > 0).collect();
        Ok(Guard { canary, max_dead_percent, per_second })
    }
}

impl Plan {
    /// Those that no handler would see, and those that come late: the first ones.
    fn doubts(&self) -> Vec<(Uuid, String)> {
        let dead = self
            .preview
            .unusable
            .iter()
            .map(|(id, why)| (*id, format!("would be dead at once: {why}")));
        let late = self.preview.overtaken.iter().map(|(id, newer)| {
            (*id, format!("would come late: {newer} newer events of its key are settled"))
        });
        dead.take(NAMED).chain(late.take(NAMED)).collect()
    }

    fn counted(&self) -> String {
        counted(self.preview.would_replay)
    }
}

impl Panel {
    async fn plan(
        &self,
        signed: &Signed,
        filter: Filter,
        asked: Asked,
        problem: &str,
    ) -> Result<Plan, Refusal> {
        let preview = self.desk.preview(&signed.actor, filter.clone()).await?;
        let query = query::of(&filter);
        let proof = match preview.would_replay {
            0 | 1 => Proof::Given,
            _ => {
                let back = format!("/events/dead-letters/replay?{query}");
                Proof::asked_of(signed, &back, Timestamp::now())
            }
        };
        Ok(Plan {
            shell: Shell::of(signed, "dead-letters", "Replay dead letters"),
            proof,
            preview,
            back: format!("{LIST}?{query}"),
            query,
            id: Uuid::now_v7(),
            asked,
            problem: problem.to_owned(),
        })
    }
}

pub(super) async fn plan(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let filter = query::read(pairs)?.filter;
    show(&panel.plan(&signed, filter, Asked::default(), "").await?)
}

pub(super) async fn replay(
    State(panel): State<Panel>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(signed): Extension<Signed>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let filter = query::parse(fields.text("query"))?;
    let asked = Asked::of(&fields);
    let id: Uuid = fields.text("id").parse().map_err(|_| Refusal::Nowhere)?;
    let planned: u64 = fields.text("planned").parse().map_err(|_| Refusal::Nowhere)?;
    // Who sends the form once more is shown what came of the first time.
    match panel.desk.replay_row(&signed.actor, id).await {
        Ok(_) => return Ok(see_other(&format!("/events/replays/{id}"))),
        Err(DeskError::NoReplay(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let letters = panel.desk.would_replay(&signed.actor, filter.clone()).await?;
    let problem = match asked.guard() {
        Err(problem) => problem,
        Ok(_) if letters == 0 => "There is nothing to replay any more.",
        Ok(_) if letters > planned => "There are more dead letters than before: look again.",
        Ok(_) if letters > 1 && asked.reason.is_empty() => "Say why, for those who ask later.",
        Ok(guard) => {
            let proved = match letters {
                0 | 1 => Ok(Proved::without(&signed)),
                _ => panel.proved_of_late(&signed, fields.text("password"), peer.ip()).await?,
            };
            let proved = match proved {
                Ok(proved) => proved,
                Err(problem) => {
                    let page = panel.plan(&signed, filter, asked, problem).await?;
                    return show_as(StatusCode::UNPROCESSABLE_ENTITY, &page);
                }
            };
            let reason = Some(asked.reason).filter(|reason| !reason.is_empty());
            let asked = panel.desk.replay(&proved.signed.actor, id, filter, guard, reason).await;
            return proved.answer(match asked {
                Ok(asked) if asked.needs_approval => Ok(see_other(REPLAYS)),
                Ok(_) => Ok(see_other(&format!("{REPLAYS}/{id}"))),
                Err(error) => Err(error.into()),
            });
        }
    };
    let page = panel.plan(&signed, filter, asked, problem).await?;
    show_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_what_the_form_says() {
        let asked = |canary: &str, max_dead: &str, rate: &str| Asked {
            reason: String::new(),
            canary: canary.to_owned(),
            max_dead: max_dead.to_owned(),
            rate: rate.to_owned(),
        };
        assert_eq!(Asked::default().guard(), Ok(Guard::default()));
        let guard = asked("0", "100", "5").guard().unwrap();
        assert_eq!(guard, Guard { canary: vec![], max_dead_percent: 100, per_second: Some(5) });
        for (canary, max_dead, rate) in [("a", "1", ""), ("1", "101", ""), ("1", "1", "0")] {
            assert!(asked(canary, max_dead, rate).guard().is_err());
        }
    }
}
