//! The way of an order or of an event over all topics and groups.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use jiff::Timestamp;

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, filters};
use super::{Panel, query};
use crate::desk::{AskedWay, Moment, Stopped, Timeline, What};

/// The address of the page.
const PAGE: &str = "/events/timeline";

#[derive(Template)]
#[template(path = "timeline.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    asked: AskedWay,
    /// The events of the catalogue, and which one is chosen.
    events: Vec<(String, bool)>,
    /// `None` where nothing is asked for yet.
    found: Option<Timeline>,
}

impl Page {
    /// A field that holds a time.
    fn field(time: Option<&Timestamp>) -> String {
        time.map(Timestamp::to_string).unwrap_or_default()
    }

    /// The same for the time before what was looked at.
    fn earlier(&self, found: &Timeline) -> String {
        let until = Some(found.since);
        let since = self.asked.since.filter(|since| *since < found.since);
        let asked = AskedWay { since, until, ..self.asked.clone() };
        format!("{PAGE}?{}", query::encoded(asked.pairs()))
    }

    /// How long an event was on its way from its publisher's clock to its topic.
    fn delay(moment: &Moment, occurred_at: &Timestamp) -> String {
        let delay = moment.at.as_millisecond() - occurred_at.as_millisecond();
        match delay {
            ..0 => "at once".to_owned(),
            0..10_000 => format!("after {delay} ms"),
            _ => format!("after {} s", delay / 1_000),
        }
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(mut pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    // A field that somebody left empty says nothing.
    pairs.retain(|(_, value)| !value.is_empty());
    let asked = AskedWay::of(pairs)?;
    let found = match asked.value.is_empty() {
        true => None,
        false => Some(panel.desk.timeline(&signed.actor, &asked).await?),
    };
    let event = |name: &str| (name.to_owned(), asked.event.as_deref() == Some(name));
    let events = panel.desk.catalogue.events().map(|one| event(one.name.as_str())).collect();
    let shell = Shell::of(&signed, "timeline", "Timeline");
    show(&Page { shell, clock: Clock::now(), asked, events, found })
}
