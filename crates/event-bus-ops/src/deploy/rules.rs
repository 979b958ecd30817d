//! The file of rules for Prometheus: what is recorded, and the alerts.
//!
//! Names of series are kafka_exporter's where it has them. Several ops processes tell the same, so whatever they tell is
//! taken once, by `max`.

use event_bus::Catalogue;

use super::alerts::{self, Alert};
use super::selector;
use super::{Factor, Yaml};

/// How many events a group has before it on a topic, by `consumergroup` and `topic`.
pub(super) const LAG: &str = "consumergroup_topic:kafka_consumergroup_lag:max";
/// How long the first of them has waited.
pub(super) const TIME_LAG: &str = "consumergroup_topic:kafka_consumergroup_group_lag_seconds:max";

/// How the rules are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// What all durations are multiplied with.
    pub durations_times: Factor,
    /// The address below which each alert's runbook is, without a slash at the end.
    pub runbooks: String,
}

/// The rules for this catalogue, as a file.
#[must_use]
pub fn file(catalogue: &Catalogue, options: &Options) -> String {
    let groups = alerts::groups(catalogue, options.durations_times);
    let groups = groups.into_iter().map(|(name, alerts)| {
        let alerts = alerts.iter().map(|alert| alert_rule(alert, options));
        let rules = recorded(catalogue, name).into_iter().chain(alerts).collect();
        Yaml::map([("name", name.into()), ("rules", Yaml::List(rules))])
    });
    let document = Yaml::map([("groups", Yaml::List(groups.collect()))]);
    format!(
        "# Generated from the catalogue by `event-bus catalogue export prometheus-rules`: change the catalogue instead.\n{}",
        document.document()
    )
}

/// What the rules of a group of rules are made of, recorded right before them.
fn recorded(catalogue: &Catalogue, group: &str) -> Vec<Yaml> {
    if group != alerts::LAG_GROUP {
        return Vec::new();
    }
    let matcher = selector::groups(catalogue);
    let rule = |record: &str, series: &str| {
        let expr = format!("max by (consumergroup, topic) ({series}{{{matcher}}})");
        Yaml::map([("record", record.into()), ("expr", expr.into())])
    };
    vec![
        rule(LAG, "kafka_consumergroup_lag_sum"),
        rule(TIME_LAG, "kafka_consumergroup_group_lag_seconds"),
    ]
}

fn alert_rule(alert: &Alert, options: &Options) -> Yaml {
    let mut labels = vec![("severity".to_owned(), alert.severity.name().into())];
    labels
        .extend(alert.threshold.iter().map(|above| ("threshold".to_owned(), above.clone().into())));
    let runbook = format!("{}/{}.md", options.runbooks, alert.name);
    let annotations = [
        ("summary", alert.summary.clone().into()),
        ("description", alert.description.clone().into()),
        ("runbook_url", runbook.into()),
    ];
    let mut rule = vec![
        ("alert".to_owned(), alert.name.into()),
        ("expr".to_owned(), alert.expr.clone().into()),
    ];
    rule.extend(
        alert
            .lasting
            .map(|lasting| ("for".to_owned(), options.durations_times.written(lasting).into())),
    );
    rule.push(("labels".to_owned(), Yaml::Map(labels)));
    rule.push(("annotations".to_owned(), Yaml::map(annotations)));
    Yaml::Map(rule)
}
