//! Failures: dead letters that look alike are one.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Query as RawQuery, State};
use event_bus::dead_letters::{Failure, Filter};

use super::gate::Signed;
use super::page::{Shell, Shown, show};
use super::text::{Clock, filters};
use super::trend::Trend;
use super::{Panel, notes, query};
use crate::desk::FailureRow;

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
    trend: Trend,
    notes: usize,
    latest_note: Option<String>,
    notes_at: String,
    is_new: bool,
    /// As an address has it that means these dead letters.
    query: String,
}

impl Row {
    fn of(row: FailureRow, filter: &Filter, clock: Clock) -> Self {
        let FailureRow { failure, trend, notes, latest_note } = row;
        let filter = Filter { fingerprints: vec![failure.fingerprint.clone()], ..filter.clone() };
        let age = clock.0.duration_since(failure.first_seen).unsigned_abs();
        Self {
            trend: Trend(trend),
            notes,
            latest_note,
            notes_at: notes::address(&failure.fingerprint),
            is_new: age < NEW,
            query: query::of(&filter),
            failure,
        }
    }

    fn notes_told(&self) -> String {
        match self.notes {
            0 => "Notes".to_owned(),
            1 => "1 note:".to_owned(),
            notes => format!("{notes} notes:"),
        }
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Shown {
    let filter = query::read(pairs)?.filter;
    let clock = Clock::now();
    let mut failures = panel.desk.failures(&signed.actor, filter.clone()).await?;
    let sum = |of: fn(&Failure) -> u64| failures.iter().map(of).sum();
    let (open, all) = (sum(|failure| failure.open), sum(|failure| failure.letters));
    let hidden = failures.len().saturating_sub(SHOWN);
    failures.truncate(SHOWN);
    let rows = panel.desk.rows_of(&signed.actor, failures, clock.0).await?;
    let rows = rows.into_iter().map(|row| Row::of(row, &filter, clock));
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
