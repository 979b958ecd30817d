//! What people are told, and when.
//!
//! `critical` wakes somebody, `warning` waits until morning. An alert about lag goes on until the lag is clearly below
//! its threshold ([`GONE_BELOW_PERCENT`]), so that one that swings around it is told once, and a warning is silent while
//! the same group and topic are critical. Both ask for the alerts that fire, which Prometheus keeps as series, so a
//! critical alert stands before its warning.

mod collection;
mod dead_letters;
mod lag;
mod services;

use std::time::Duration;

use event_bus::Catalogue;

use super::Factor;

/// The group of rules about lag.
pub(super) const LAG_GROUP: &str = "event-bus-lag";

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody looks in working hours.
    Warning,
    /// Somebody is woken.
    Critical,
}

impl Severity {
    /// The value of the label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name, which is its runbook's too.
    pub name: &'static str,
    /// How urgent it is.
    pub severity: Severity,
    /// Where an alert has several thresholds: this one, as a label.
    pub threshold: Option<String>,
    /// When it is pending.
    pub expr: String,
    /// For how long, before somebody is told; `None` for at once.
    pub lasting: Option<Duration>,
    /// One line with what and where.
    pub summary: String,
    /// What it means, with its numbers.
    pub description: String,
}

/// All alerts, by the group of rules that they are in.
#[must_use]
pub fn groups(catalogue: &Catalogue, times: Factor) -> Vec<(&'static str, Vec<Alert>)> {
    vec![
        (LAG_GROUP, lag::alerts(catalogue, times)),
        ("event-bus-dead-letters", dead_letters::alerts(catalogue, times)),
        ("event-bus-services", services::alerts(times)),
        ("event-bus-collection", collection::alerts(times)),
    ]
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    seconds(minutes * 60)
}
