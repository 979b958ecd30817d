//! The contract: who publishes what and who consumes it, as a picture and as a table, and each event with its schema.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};

use super::gate::Signed;
use super::map::Map;
use super::page::{Shell, Shown, show};
use super::text::{filters, per_second};
use super::{Panel, pretty};
use crate::desk::{EventPage, EventRow};

/// The navigation's part.
const PART: &str = "catalogue";

#[derive(Template)]
#[template(path = "catalogue.html")]
struct Page {
    shell: Shell,
    rows: Vec<EventRow>,
    map: Map,
}

#[derive(Template)]
#[template(path = "catalogue_event.html")]
struct Event {
    shell: Shell,
    page: EventPage,
    /// Each version, the newest first.
    contracts: Vec<Shape>,
}

/// A version in lines.
struct Shape {
    version: String,
    schema: String,
    sample: Option<String>,
}

impl Page {
    fn rate(&self, row: &EventRow) -> Option<String> {
        row.per_second.map(per_second)
    }
}

impl Event {
    fn rate(&self) -> Option<String> {
        self.page.row.per_second.map(per_second)
    }

    fn seconds(&self, millis: &u64) -> String {
        match millis % 1_000 {
            0 => format!("{} s", millis / 1_000),
            _ => format!("{millis} ms"),
        }
    }
}

/// A JSON text in lines; what is none, as it is.
fn in_lines(json: &str) -> String {
    let Some(lines) = pretty::lines(json) else { return json.to_owned() };
    lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let rows = panel.desk.events(&signed.actor)?;
    show(&Page { shell: Shell::of(&signed, PART, "Catalogue"), map: Map::of(&rows), rows })
}

pub(super) async fn event(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
) -> Shown {
    let page = panel.desk.event(&signed.actor, &name)?;
    let shape = |contract: &crate::desk::Contract| Shape {
        version: contract.version.clone(),
        schema: in_lines(&contract.schema.to_string()),
        sample: contract.sample.as_deref().map(in_lines),
    };
    let contracts = page.contracts.iter().rev().map(shape).collect();
    show(&Event { shell: Shell::of(&signed, PART, &*name), page, contracts })
}
