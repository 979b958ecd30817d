//! Events as they come. Without scripts it is a page of the latest ones.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, filters, line, short};
use super::{Panel, query};
use crate::desk::{Glimpse, Wanted};
use crate::serving::Stopping;
use crate::stream::stream;

/// The address of the page.
const PAGE: &str = "/events/live";

#[derive(Template)]
#[template(path = "live.html")]
struct Page {
    shell: Shell,
    clock: Clock,
    wanted: Wanted,
    /// The events of the catalogue, and which one is chosen.
    events: Vec<(String, bool)>,
    /// Where they come from.
    stream: String,
    rows: Vec<Row>,
}

/// An event as a line of the table shows it, here and by the script.
struct Row {
    at: Timestamp,
    event: String,
    /// What its id is looked up with.
    timeline: Option<String>,
    published: String,
    tenant: String,
    key: String,
    payload: String,
    place: String,
}

impl Row {
    fn of(glimpse: &Glimpse) -> Self {
        let or = |text: &Option<String>, other: &str| {
            text.as_deref().map_or_else(|| other.to_owned(), short)
        };
        let Glimpse { event_id, service, version, payload, .. } = glimpse;
        let published = match (service, version) {
            (Some(service), Some(version)) => {
                format!("{} published it, version {}", short(service), short(version))
            }
            _ => "no envelope".to_owned(),
        };
        Self {
            at: glimpse.at,
            event: or(&glimpse.event, "Not readable as an event"),
            timeline: event_id.map(|id| format!("/events/timeline?value={id}")),
            published,
            tenant: or(&glimpse.tenant, "not readable"),
            key: or(&glimpse.key, "no key"),
            payload: payload
                .as_ref()
                .map(|payload| short(&payload.to_string()))
                .unwrap_or_default(),
            place: line(&format!(
                "{} partition {} offset {}",
                glimpse.topic, glimpse.partition, glimpse.offset
            )),
        }
    }
}

/// A line for the script, which writes texts and nothing else.
fn row(glimpse: &Glimpse) -> Value {
    let Row { at, event, timeline, published, tenant, key, payload, place } = Row::of(glimpse);
    json!({ "at": at, "event": event, "timeline": timeline, "published": published, "tenant": tenant, "key": key,
            "payload": payload, "place": place })
}

/// A field that somebody left empty says nothing.
fn wanted(mut pairs: Vec<(String, String)>) -> Result<Wanted, super::page::Refusal> {
    pairs.retain(|(_, value)| !value.is_empty());
    Ok(Wanted::of(pairs)?)
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let wanted = wanted(pairs)?;
    let latest = panel.desk.latest(&signed.actor, &wanted).await?;
    let event = |name: &str| (name.to_owned(), wanted.event.as_deref() == Some(name));
    let events = panel.desk.catalogue.events().map(|one| event(one.name.as_str())).collect();
    show(&Page {
        shell: Shell::of(&signed, "live", "Live"),
        clock: Clock::now(),
        events,
        stream: format!("{PAGE}/stream?{}", query::encoded(wanted.pairs())),
        rows: latest.iter().map(Row::of).collect(),
        wanted,
    })
}

pub(super) async fn events(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Extension(Stopping(stop)): Extension<Stopping>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let looking = panel.desk.look(&signed.actor, wanted(pairs)?)?;
    let still_may = move || {
        let (store, session) = (panel.desk.store.clone(), signed.session.clone());
        // Looking is no use of a session that would keep it open.
        async move { matches!(store.is_signed_in(&session, Timestamp::now()).await, Ok(true)) }
            .boxed()
    };
    Ok(stream(looking, Box::new(still_may), row, stop))
}
