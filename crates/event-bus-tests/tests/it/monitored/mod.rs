//! A real Prometheus and a real Alertmanager watch services that run, by the files of `deploy/`.

mod stack;
mod told;

use std::collections::BTreeSet;
use std::time::Duration;

use event_bus_tests::eventually::eventually;
use serde_json::Value;

use stack::Stack;

/// Until what was scraped has been judged, told and told on, on a machine that does much else.
const SOON: Duration = Duration::from_secs(240);

/// The dashboards, as `event-bus catalogue export grafana-dashboard` calls them.
const DASHBOARDS: [&str; 6] =
    ["overview", "consumer-lag", "service", "dead-letters", "outbox", "broker"];

/// What Grafana puts in the place of its variables, where everything is chosen.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "30s"), ("$group", ".+"), ("$topic", ".+"), ("$service", ".+")];

/// The panels' expressions in a dashboard, and what its variables are chosen from.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut panels: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
    while let Some(panel) = panels.pop() {
        panels.extend(panel["panels"].as_array().into_iter().flatten());
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push(target["expr"].as_str().expect("a target has an expression").to_owned());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        if let Some(inner) = query.strip_prefix("label_values(") {
            let (series, _) = inner.rsplit_once(',').expect("it names a series and a label");
            found.push(series.to_owned());
        }
    }
    VARIABLES.iter().fold(found, |found, (name, value)| {
        found.into_iter().map(|query| query.replace(name, value)).collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_consumer_is_told_of_and_every_series_and_dashboard_has_data() {
    let mut stack = Stack::start().await;
    stack.publish("first", 20).await;
    stack.spoil().await;

    let named = include_str!("../../../../../deploy/prometheus/series.txt");
    let named: BTreeSet<&str> = named
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split(' ').nth(1))
        // It comes with the first alert, below.
        .filter(|name| *name != "ALERTS")
        .collect();
    for name in named {
        stack.has_data(name).await;
    }
    // Of the others some may fire where the machine is busy: their times are scaled down, and what it does is not.
    let is_about_lag = |(name, _): &(String, String)| name == "EventBusLagCritical";
    assert!(
        !stack.alerts("critical").await.iter().any(is_about_lag),
        "nobody is woken for nothing"
    );

    // Enough for a warning and not for more, on one topic: the thresholds are 20 and 60.
    stack.stop("notification").await;
    stack.publish("then", 40).await;
    let group = stack.group("notification", "order-placed");
    stack.told("channel", "EventBusLagWarning", &group, "firing").await;
    assert!(!stack.was_told("pager", "EventBusLagCritical", &group), "it is not critical yet");
    stack.publish("and then", 60).await;
    stack.told("pager", "EventBusLagCritical", &group, "firing").await;
    // Who is called need not be warned too.
    eventually(SOON, async || {
        let firing = stack.alerts("warning").await;
        let is_silent = !firing.contains(&("EventBusLagWarning".to_owned(), group.clone()));
        if is_silent { Ok(()) } else { Err(firing) }
    })
    .await;

    stack.has_data("ALERTS").await;
    for name in DASHBOARDS {
        let dashboard = stack.dashboard(name).await;
        for query in queries(&dashboard) {
            stack.has_data(&query).await;
        }
    }

    stack.run("notification").await;
    stack.told("pager", "EventBusLagCritical", &group, "resolved").await;
    stack.told("channel", "EventBusLagWarning", &group, "resolved").await;
    stack.end().await;
}
