//! Dashboards for Grafana, as its classic JSON.
//!
//! They are written in the terms of what they show: [`Panel`] and [`Query`]; [`json`](Dashboard::json) makes Grafana's of
//! it, so that all are alike and keep the rules of grafana/dashboard-linter.

mod broker;
mod dead_letters;
mod grafana;
mod lag;
mod outbox;
mod overview;
mod service;

use event_bus::Catalogue;

/// The names of all dashboards, which are those of their files.
pub const NAMES: [&str; 6] =
    ["overview", "consumer-lag", "service", "dead-letters", "outbox", "broker"];

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// One of [`NAMES`]; its uid follows from it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// What it can be narrowed to.
    pub variables: Vec<Variable>,
    /// From left to right and from top to bottom.
    pub panels: Vec<Panel>,
}

/// A label that a dashboard can be narrowed to.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name, without `$`.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// The label with its values.
    pub label: &'static str,
    /// The series that have it.
    pub series: &'static str,
}

/// A part of a dashboard.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// What that means, and what is good.
    pub description: &'static str,
    /// How it shows it.
    pub look: Look,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// How wide it is, of 24.
    pub width: u8,
    /// What it asks.
    pub queries: Vec<Query>,
    /// From which values on it is yellow and red.
    pub limits: Option<(f64, f64)>,
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A number as it is now.
    Number,
    /// Lines over time.
    Lines,
    /// A table of what is now.
    Table,
}

/// A question to Prometheus.
#[derive(Clone, Debug)]
pub struct Query {
    /// In PromQL.
    pub expr: String,
    /// What each line is called.
    pub legend: &'static str,
}

/// The dashboard of that name.
#[must_use]
pub fn of(name: &str, catalogue: &Catalogue) -> Option<Dashboard> {
    match name {
        "overview" => Some(overview::dashboard(catalogue)),
        "consumer-lag" => Some(lag::dashboard(catalogue)),
        "service" => Some(service::dashboard()),
        "dead-letters" => Some(dead_letters::dashboard(catalogue)),
        "outbox" => Some(outbox::dashboard()),
        "broker" => Some(broker::dashboard(catalogue)),
        _ => None,
    }
}

/// A threshold as Grafana draws it.
fn line(threshold: u64) -> f64 {
    u32::try_from(threshold).map_or(f64::MAX, f64::from)
}

impl Panel {
    fn number(title: &'static str, unit: &'static str, expr: impl Into<String>) -> Panel {
        Panel {
            title,
            description: "",
            look: Look::Number,
            unit,
            width: 4,
            queries: vec![Query { expr: expr.into(), legend: title }],
            limits: None,
        }
    }

    fn lines(
        title: &'static str,
        unit: &'static str,
        legend: &'static str,
        expr: impl Into<String>,
    ) -> Panel {
        Panel {
            look: Look::Lines,
            width: 12,
            queries: vec![Query { expr: expr.into(), legend }],
            ..Panel::number(title, unit, "")
        }
    }

    fn and(mut self, legend: &'static str, expr: impl Into<String>) -> Panel {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }

    fn says(self, description: &'static str) -> Panel {
        Panel { description, ..self }
    }

    fn wide(self, width: u8) -> Panel {
        Panel { width, ..self }
    }

    fn limits(self, yellow: f64, red: f64) -> Panel {
        Panel { limits: Some((yellow, red)), ..self }
    }
}
