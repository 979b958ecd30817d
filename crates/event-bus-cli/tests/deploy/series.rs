//! Every series that a rule or a dashboard names is one that somebody tells.

use std::collections::BTreeSet;

use event_bus_ops::deploy::Factor;
use event_bus_ops::deploy::alerts;

use crate::{other_catalogue, promql, read};

/// `deploy/prometheus/series.txt`: who tells a series, and its name.
fn known() -> Vec<(String, String)> {
    let text = read("deploy/prometheus/series.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words = lines.map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        (
            words.next().expect("a line has a word"),
            words.next().unwrap_or_else(|| panic!("{line}: who tells it, and its name")),
        )
    });
    words.collect()
}

/// The names of all that are told, by anybody.
pub fn names() -> BTreeSet<String> {
    known().into_iter().map(|(_, name)| name).collect()
}

#[test]
fn every_series_of_a_rule_is_told_by_somebody() {
    let names = names();
    for (_, alerts) in alerts::groups(&other_catalogue(), Factor::default()) {
        for alert in alerts {
            for series in promql::series(&alert.expr) {
                assert!(names.contains(&series), "{}: {series} is not in series.txt", alert.name);
            }
        }
    }
}

#[test]
fn what_services_tell_is_what_is_documented() {
    let text = read("docs/HEALTH.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<String> = rows
        .filter(|(_, rest)| {
            ["| counter ", "| gauge ", "| histogram "].iter().any(|kind| rest.contains(kind))
        })
        .map(|(name, _)| format!("event_bus_{name}"))
        .collect();
    let told = known().into_iter().filter(|(who, _)| who == "service").map(|(_, name)| {
        // A histogram is three series, and one of the documentation.
        ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name)
            .to_owned()
    });
    assert_eq!(told.collect::<BTreeSet<_>>(), documented);
}

#[test]
fn what_an_ops_process_tells_is_what_is_documented() {
    let text = read("docs/LAG.md");
    let documented: BTreeSet<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| {
            let labels = rest.split('|').nth(1)?.replace(['`', ','], "");
            Some((name.to_owned(), labels.trim().to_owned()))
        })
        .collect();
    let told = read("deploy/prometheus/series.txt");
    let told = told.lines().filter_map(|line| line.strip_prefix("ops ")).map(|line| {
        let (name, labels) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), labels.to_owned())
    });
    assert_eq!(told.collect::<BTreeSet<_>>(), documented);
}
