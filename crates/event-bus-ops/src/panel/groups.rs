//! Failures: dead letters that look alike are one.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use event_bus::dead_letters::{Failure, Filter};

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, filters};
use super::{Panel, query};

/// A failure that was seen first within this time is new.
const NEW: Duration = Duration::from_secs(24 * 60 * 60);
/// So many failures are shown.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "groups.html")]
struct Groups {
    shell: Shell,
    clock: Clock,
    search: String,
    open: u64,
    all: u64,
    rows: Vec<Row>,
    hidden: usize,
}

struct Row {
    failure: Failure,
    is_new: bool,
    /// As an address has it that means these dead letters.
    query: String,
}

impl Row {
    fn of(failure: Failure, filter: &Filter, clock: Clock) -> Self {
        let filter = Filter { fingerprints: vec![failure.fingerprint.clone()], ..filter.clone() };
        let age = clock.0.duration_since(failure.first_seen).unsigned_abs();
        Self { is_new: age < NEW, query: query::of(&filter), failure }
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let filter = query::read(pairs)?.filter;
    let clock = Clock::now();
    let failures = panel.desk.failures(&signed.actor, filter.clone()).await?;
    let sum = |of: fn(&Failure) -> u64| failures.iter().map(of).sum();
    let (open, all) = (sum(|failure| failure.open), sum(|failure| failure.letters));
    let hidden = failures.len().saturating_sub(SHOWN);
    let rows = failures.into_iter().take(SHOWN).map(|failure| Row::of(failure, &filter, clock));
    show(&Groups {
        rows: rows.collect(),
        shell: Shell::of(&signed, "dead-letters", "Dead Letter Queue"),
        clock,
        search: filter.text.unwrap_or_default(),
        open,
        all,
        hidden,
    })
}
