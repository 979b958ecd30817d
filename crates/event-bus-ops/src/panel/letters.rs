//! Dead letters, as many filters as wanted in the address.

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use event_bus::dead_letters::{Filter, Found, State as Standing};

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::query::LIST;
use super::text::{Clock, filters};
use super::{Panel, query};
use crate::api::pairs;

/// What the form has fields for; other conditions are kept beside them.
const FIELDS: [&str; 7] = ["text", "state", "event", "service", "tenant", "since", "until"];

#[derive(Template)]
#[template(path = "letters.html")]
struct Letters {
    shell: Shell,
    clock: Clock,
    letters: Vec<Found>,
    total: Option<u64>,
    /// As an address has it that means these.
    query: String,
    next: Option<String>,
    chips: Vec<Chip>,
    form: Form,
}

impl Letters {
    fn key(&self, found: &Found) -> String {
        let key = found.letter.key.as_deref();
        key.map(String::from_utf8_lossy).unwrap_or_default().into_owned()
    }
}

/// A condition, and the list without it.
struct Chip {
    name: &'static str,
    value: String,
    without: String,
}

struct Form {
    text: String,
    since: String,
    until: String,
    tenant: String,
    selects: [Select; 3],
    /// Conditions that have no field, or are one more of a field's.
    kept: Vec<(&'static str, String)>,
}

struct Select {
    name: &'static str,
    label: &'static str,
    options: Vec<(String, bool)>,
}

impl Form {
    fn of(panel: &Panel, filter: &Filter) -> Self {
        let mut kept = pairs(filter);
        let mut take = |name: &str| {
            let at = kept.iter().position(|(kind, _)| *kind == name);
            at.map(|at| kept.remove(at).1).unwrap_or_default()
        };
        let [text, state, event, service, tenant, since, until] = FIELDS.map(&mut take);
        let select = |name, label, chosen: String, options: Vec<String>| {
            let mut options: Vec<(String, bool)> =
                options.into_iter().map(|option| (option.clone(), option == chosen)).collect();
            if !chosen.is_empty() && !options.iter().any(|(_, is_chosen)| *is_chosen) {
                options.push((chosen, true));
            }
            Select { name, label, options }
        };
        let catalogue = &panel.desk.catalogue;
        let events = catalogue.events().map(|event| event.name.to_string()).collect();
        let services = catalogue.services().map(|(name, _)| name.to_string()).collect();
        let states = Standing::NAMES.map(str::to_owned).into();
        let selects = [
            select("state", "State", state, states),
            select("event", "Event", event, events),
            select("service", "Service", service, services),
        ];
        Self { text, since, until, tenant, selects, kept }
    }
}

fn chips(filter: &Filter) -> Vec<Chip> {
    let pairs = pairs(filter);
    let chip = |(at, (name, value)): (usize, &(&'static str, String))| {
        let others = pairs.iter().enumerate().filter(|(other, _)| *other != at);
        let without = query::encoded(others.map(|(_, pair)| pair));
        Chip { name, value: value.clone(), without: format!("{LIST}?{without}") }
    };
    pairs.iter().enumerate().map(chip).collect()
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let asked = query::read(pairs)?;
    let filter = asked.filter;
    let page = panel.desk.letters(&signed.actor, filter.clone(), asked.after, asked.limit).await?;
    let query = query::of(&filter);
    let limit = asked.limit.to_string();
    let next = page.next.map(|after| {
        let more = query::encoded([("after", after.as_str()), ("limit", &limit)]);
        format!("{LIST}?{query}&{more}")
    });
    show(&Letters {
        shell: Shell::of(&signed, "dead-letters", "Dead letters"),
        clock: Clock::now(),
        letters: page.letters,
        total: page.total,
        next,
        chips: chips(&filter),
        form: Form::of(&panel, &filter),
        query,
    })
}
