//! A group goes on from elsewhere: where to, what would become of its events, and then as it was shown.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query as RawQuery, State};
use axum::http::StatusCode;
use event_bus::audit::OffsetMove;
use event_bus::catalogue::Subscription;
use event_bus::names::{GroupName, TopicName};
use event_bus::reset::Target;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::consumers::PART;
use super::edit::Done;
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, show, show_as};
use super::proof::Proof;
use super::text::{count, filters};
use super::{Panel, query};
use crate::access::policy::Action;
use crate::desk::{AskForReset, DeskError, PlannedMove, PlannedReset, target};
use crate::serving::Peer;

/// So many partitions are shown.
const SHOWN: usize = 200;
/// Where to, as the form has it.
const KINDS: [(&str, &str); 5] = [
    ("earliest", "the earliest event"),
    ("latest", "what comes from now on"),
    ("time", "the first event from a time on"),
    ("offset", "an offset"),
    ("shift", "so many events back or on"),
];

#[derive(Template)]
#[template(path = "reset.html")]
struct Page {
    shell: Shell,
    group: String,
    service: String,
    asked: Asked,
    /// Where to, as it is read again.
    target: String,
    planned: Option<PlannedReset>,
    reason: String,
    coordinate: bool,
    proof: Proof,
    problem: String,
}

/// What the first form says.
#[derive(Clone, Debug, Default)]
struct Asked {
    to: String,
    value: String,
    partitions: String,
}

impl Asked {
    fn of(pairs: &[(String, String)]) -> Self {
        let text = |name| {
            let found = pairs.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        Self { to: text("to"), value: text("value"), partitions: text("partitions") }
    }

    /// The same of a target.
    fn again(to: Target, partitions: &str) -> Self {
        let (kind, value) = match to {
            Target::Earliest => ("earliest", String::new()),
            Target::Latest => ("latest", String::new()),
            Target::At(time) => ("time", time.to_string()),
            Target::Offset(offset) => ("offset", offset.to_string()),
            Target::Back(records) => ("shift", records.saturating_neg().to_string()),
        };
        Self { to: kind.to_owned(), value, partitions: partitions.to_owned() }
    }

    /// The page that shows what it would do.
    fn address(&self, group: &str) -> String {
        let pairs = [("to", &self.to), ("value", &self.value), ("partitions", &self.partitions)];
        format!("/events/groups/{group}/reset?{}", query::encoded(pairs))
    }

    fn target(&self) -> Result<Target, &'static str> {
        match self.to.as_str() {
            "earliest" => Ok(Target::Earliest),
            "latest" => Ok(Target::Latest),
            "time" => {
                time(&self.value).map(Target::At).ok_or("Say a time, such as 2025-06-01T10:30:00Z.")
            }
            "offset" => {
                let offset = self.value.parse().ok().filter(|offset| *offset >= 0);
                offset.map(Target::Offset).ok_or("Say an offset, from 0 on.")
            }
            "shift" => {
                // As people and their keyboards write it.
                let records = self.value.replace('−', "-").parse::<i64>().ok();
                let back = records.and_then(i64::checked_neg);
                back.map(Target::Back)
                    .ok_or("Say how many events, such as -100 for a hundred back.")
            }
            _ => Err("Say where to go on."),
        }
    }
}

/// A time; without a zone it is UTC.
fn time(text: &str) -> Option<Timestamp> {
    let in_utc =
        |civil: DateTime| civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse().ok().or_else(|| text.parse().ok().and_then(in_utc))
}

/// Partitions as the form has them.
fn partitions(text: &str) -> Result<Vec<i32>, &'static str> {
    let numbers = text.split(',').map(str::trim).filter(|number| !number.is_empty());
    let numbers: Result<Vec<i32>, _> = numbers.map(str::parse).collect();
    numbers.map_err(|_| "Partitions are numbers, such as 0, 3; nothing for all.")
}

impl Page {
    fn kinds(&self) -> &'static [(&'static str, &'static str)] {
        &KINDS
    }

    fn first_moves(&self) -> &[PlannedMove] {
        let moves = self.planned.as_ref().map_or(&[][..], |planned| &planned.moves);
        &moves[..moves.len().min(SHOWN)]
    }

    /// All of what is shown, for the form that has it done.
    fn shown(&self) -> String {
        let steps = self.planned.iter().flat_map(|planned| &planned.moves);
        steps.map(|planned| written(&planned.step)).collect::<Vec<_>>().join(" ")
    }
}

/// `partition:from:to`.
fn written(step: &OffsetMove) -> String {
    let from = step.from.map(|from| from.to_string()).unwrap_or_default();
    format!("{}:{from}:{}", step.partition, step.to)
}

/// Reads what was written.
fn read(text: &str, group: &GroupName, topic: &TopicName) -> Option<Vec<OffsetMove>> {
    let step = |text: &str| {
        let (partition, rest) = text.split_once(':')?;
        let (from, to) = rest.split_once(':')?;
        let from = match from {
            "" => None,
            from => Some(from.parse().ok()?),
        };
        let (group, topic) = (group.clone(), topic.clone());
        let (partition, to) = (partition.parse().ok()?, to.parse().ok()?);
        Some(OffsetMove { group, topic, partition, from, to })
    };
    text.split(' ').filter(|step| !step.is_empty()).map(step).collect()
}

impl Panel {
    /// The page; what it would do where that can be meant, and otherwise why not.
    async fn reset_page(
        &self,
        signed: &Signed,
        group: &str,
        asked: Asked,
        problem: String,
    ) -> Result<Page, Refusal> {
        let found = self.desk.subscription(&signed.actor, Action::Reset, group)?;
        let service = found.consumer.service.to_string();
        let mut page = Page {
            shell: Shell::of(signed, PART, "Reset offsets"),
            group: group.to_owned(),
            service,
            target: String::new(),
            planned: None,
            reason: String::new(),
            coordinate: false,
            proof: Proof::asked_of(signed, &asked.address(group), Timestamp::now()),
            problem,
            asked,
        };
        if page.asked.to.is_empty() {
            return Ok(page);
        }
        let meant =
            page.asked.target().and_then(|to| Ok((to, partitions(&page.asked.partitions)?)));
        let planned = match meant {
            Ok((to, partitions)) => {
                page.target = to.to_string();
                self.desk.plan_reset(&signed.actor, group, to, partitions).await
            }
            Err(why) => {
                page.problem = why.to_owned();
                return Ok(page);
            }
        };
        match planned {
            Ok(planned) => page.planned = Some(planned),
            Err(DeskError::Unclear(why) | DeskError::Conflict(why)) => {
                page.problem = format!("{why}.");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(page)
    }
}

pub(super) async fn plan(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(group): Path<String>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let page = panel.reset_page(&signed, &group, Asked::of(&pairs), String::new()).await?;
    show(&page)
}

/// What the second form says: that what was shown is to be done.
struct Sent {
    to: Target,
    partitions: String,
    shown: Vec<OffsetMove>,
    coordinate: bool,
    reason: String,
}

impl Sent {
    fn of(fields: &Fields, found: Subscription<'_>) -> Result<Self, Refusal> {
        let (group, topic) = (&found.consumer.group, &found.event.topic);
        Ok(Self {
            to: target(fields.text("to"))?,
            partitions: fields.text("partitions").to_owned(),
            shown: read(fields.text("shown"), group, topic).ok_or(Refusal::Nowhere)?,
            coordinate: fields.text("coordinate") == "yes",
            reason: fields.text("reason").trim().to_owned(),
        })
    }
}

impl Panel {
    /// The page once more, as it would be now.
    async fn reset_again(
        &self,
        signed: &Signed,
        group: &str,
        sent: Sent,
        problem: String,
    ) -> Shown {
        let asked = Asked::again(sent.to, &sent.partitions);
        let page = self.reset_page(signed, group, asked, problem).await?;
        let (reason, coordinate) = (sent.reason, sent.coordinate);
        show_as(StatusCode::UNPROCESSABLE_ENTITY, &Page { reason, coordinate, ..page })
    }

    async fn reset(&self, signed: &Signed, group: &str, sent: Sent) -> Shown {
        let asked = AskForReset {
            to: sent.to.to_string(),
            partitions: partitions(&sent.partitions).map_err(|_| Refusal::Nowhere)?,
            shown: sent.shown.clone(),
            coordinate: sent.coordinate,
            reason: sent.reason.clone(),
        };
        match self.desk.reset(&signed.actor, group, asked).await {
            Ok(done) => {
                let moved = count(done.moves.len() as u64);
                show(&Done {
                    shell: Shell::of(signed, PART, "Reset"),
                    told: format!(
                        "{group} goes on from elsewhere: partitions that were set: {moved}."
                    ),
                    left_out: Vec::new(),
                    back: format!("/events/groups/{group}"),
                })
            }
            Err(DeskError::Unclear(why) | DeskError::Conflict(why)) => {
                self.reset_again(signed, group, sent, format!("{why}.")).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) async fn reset(
    State(panel): State<Panel>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(signed): Extension<Signed>,
    Path(group): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let found = panel.desk.subscription(&signed.actor, Action::Reset, &group)?;
    let sent = Sent::of(&fields, found)?;
    if sent.reason.is_empty() {
        let problem = "Say why, for those who ask later.".to_owned();
        return panel.reset_again(&signed, &group, sent, problem).await;
    }
    let proved = panel.proved_of_late(&signed, fields.text("password"), peer.ip()).await?;
    let proved = match proved {
        Ok(proved) => proved,
        Err(problem) => {
            return panel.reset_again(&signed, &group, sent, problem.to_owned()).await;
        }
    };
    let answer = panel.reset(&proved.signed, &group, sent).await;
    proved.answer(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(to: &str, value: &str) -> Asked {
        Asked { to: to.to_owned(), value: value.to_owned(), partitions: String::new() }
    }

    #[test]
    fn where_to_is_what_the_form_says() {
        let time = "2025-06-01T10:30:00Z".parse().unwrap();
        for (to, value, target) in [
            ("earliest", "", Target::Earliest),
            ("latest", "", Target::Latest),
            ("time", "2025-06-01T12:30:00+02:00", Target::At(time)),
            ("time", "2025-06-01T10:30", Target::At(time)),
            ("offset", "17", Target::Offset(17)),
            ("shift", "-5", Target::Back(5)),
            ("shift", "\u{2212}5", Target::Back(5)),
            ("shift", "5", Target::Back(-5)),
        ] {
            assert_eq!(asked(to, value).target(), Ok(target), "{to} {value}");
            assert_eq!(Asked::again(target, "").target(), Ok(target), "{to} {value}");
        }
        for (to, value) in [
            ("", ""),
            ("time", "soon"),
            ("offset", "-1"),
            ("shift", ""),
            ("shift", "-9223372036854775808"),
        ] {
            assert!(asked(to, value).target().is_err(), "{to} {value}");
        }
        assert_eq!(partitions(" 0, 3,"), Ok(vec![0, 3]));
        assert!(partitions("a").is_err());
    }

    #[test]
    fn what_was_shown_goes_through_a_hidden_field() {
        let (group, topic) =
            ("corner-shop-order-placed".parse().unwrap(), "corner.order.placed".parse().unwrap());
        let step = |partition, from| OffsetMove {
            group: GroupName::clone(&group),
            topic: TopicName::clone(&topic),
            partition,
            from,
            to: 7,
        };
        let steps = [step(0, Some(12)), step(3, None)];
        let text = steps.each_ref().map(written).join(" ");
        assert_eq!(text, "0:12:7 3::7");
        assert_eq!(read(&text, &group, &topic).unwrap(), steps);
        for text in ["0", "0:1", "a::7", "0:1:b", "0:1:2:3"] {
            assert_eq!(read(text, &group, &topic), None, "{text}");
        }
    }
}
