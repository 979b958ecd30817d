//! The dashboards are generated, and keep the rules of grafana/dashboard-linter.

use std::collections::BTreeSet;

use event_bus_ops::deploy::dashboards::{self, Dashboard};
use serde_json::Value;

use crate::{promql, read, series, stems};

const FOLDER: &str = "deploy/grafana/dashboards";

fn all() -> Vec<Dashboard> {
    let catalogue = blindstrader::catalogue();
    dashboards::NAMES
        .iter()
        .map(|name| dashboards::of(name, &catalogue).expect("it is one of the names"))
        .collect()
}

/// What is at a pointer, which is a text.
#[track_caller]
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("{pointer} in {value}"))
}

#[test]
fn the_dashboards_are_as_they_would_be_generated() {
    let mut names = dashboards::NAMES.map(str::to_owned).to_vec();
    names.sort();
    assert_eq!(stems(FOLDER, ".json"), names);
    for dashboard in all() {
        let file = format!("{FOLDER}/{}.json", dashboard.name);
        let committed: Value = serde_json::from_str(&read(&file)).unwrap();
        assert!(
            committed == dashboard.json(),
            "{file}: `event-bus catalogue export grafana-dashboard {} > {file}`",
            dashboard.name
        );
    }
}

#[test]
fn a_dashboard_has_a_fixed_uid_asks_the_chosen_data_source_and_can_not_be_edited() {
    for dashboard in all() {
        let json = dashboard.json();
        assert_eq!(text(&json, "/uid"), format!("event-bus-{}", dashboard.name));
        assert!(text(&json, "/uid").len() <= 40);
        assert_eq!(json["editable"], false);
        assert!(!text(&json, "/description").is_empty() && !text(&json, "/title").is_empty());
        let variables = items(&json, "/templating/list");
        assert_eq!(
            (text(&variables[0], "/name"), text(&variables[0], "/type")),
            ("datasource", "datasource")
        );
        for variable in &variables[1..] {
            assert_eq!(text(variable, "/datasource/uid"), "${datasource}");
            // Changed with the time range, or what came later can't be chosen.
            assert_eq!(variable["refresh"], 2);
            assert!(!text(variable, "/label").is_empty());
        }
    }
}

#[test]
fn a_panel_says_what_it_shows_in_which_unit_and_overlaps_no_other() {
    for dashboard in all() {
        let json = dashboard.json();
        let panels = items(&json, "/panels");
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = text(panel, "/title");
            assert!(text(panel, "/description").ends_with('.'), "{}: {title}", dashboard.name);
            assert!(!text(panel, "/fieldConfig/defaults/unit").is_empty());
            assert_eq!(text(panel, "/datasource/uid"), "${datasource}");
            assert!(!items(panel, "/targets").is_empty());
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24);
            for x in at("x")..at("x") + at("w") {
                assert!(
                    (at("y")..at("y") + at("h")).all(|y| taken.insert((x, y))),
                    "{title} overlaps"
                );
            }
        }
    }
}

#[test]
fn a_query_asks_for_known_series_by_the_range_that_fits_the_scrapes() {
    let known = series::names();
    for panel in all().iter().flat_map(|dashboard| &dashboard.panels) {
        for query in &panel.queries {
            let expr = &query.expr;
            let named = promql::series(expr);
            assert!(
                !named.is_empty() && named.is_subset(&known),
                "{}: {named:?} of {expr}",
                panel.title
            );
            for range in expr.split('[').skip(1).filter_map(|rest| rest.split_once(']')) {
                // `[.]` is a dot of a regular expression; a title may say over how long it counts.
                let is_said = range.0 == "1h" && panel.title == "In the last hour";
                let fits = is_said || ["$__rate_interval", "."].contains(&range.0);
                assert!(fits, "{}: {expr}", panel.title);
            }
            // A counter by itself says nothing but when its process began.
            let counters =
                named.iter().filter(|name| name.ends_with("_total") || name.ends_with("_bucket"));
            for counter in counters {
                let asked = ["rate", "increase"]
                    .iter()
                    .any(|verb| expr.contains(&format!("{verb}({counter}")));
                assert!(asked, "{}: {expr}", panel.title);
            }
        }
    }
}

#[test]
fn the_consumer_lag_has_the_thresholds_as_lines() {
    let json = dashboards::of("consumer-lag", &blindstrader::catalogue()).unwrap().json();
    let steps = items(&json, "/panels/0/fieldConfig/defaults/thresholds/steps");
    let values: Vec<_> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
    assert_eq!(values, [1_000.0, 10_000.0]);
    assert_ne!(text(&json, "/panels/0/fieldConfig/defaults/custom/thresholdsStyle/mode"), "off");
}

#[test]
fn every_variable_asks_for_a_known_series() {
    let known = series::names();
    for variable in all().iter().flat_map(|dashboard| &dashboard.variables) {
        assert!(known.contains(variable.series), "{}", variable.series);
    }
}
