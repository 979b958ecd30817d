//! How the bus is, at a glance.

use event_bus::Catalogue;

use super::{Dashboard, Look, Panel, line};
use crate::deploy::rules::{LAG, TIME_LAG};
use crate::deploy::selector;

pub(super) fn dashboard(catalogue: &Catalogue) -> Dashboard {
    let usual = selector::usual_thresholds(catalogue);
    let (events, letters) =
        (selector::event_topics(catalogue), selector::dead_letter_topics(catalogue));
    let published = |topics: &str| {
        format!(
            "sum by (topic) (max by (topic, partition) (rate(kafka_topic_partition_current_offset{{{topics}}}[$__rate_interval])))"
        )
    };
    Dashboard {
        name: "overview",
        title: "Overview",
        description: "Whether events are published, handled and not piling up, and what is not well.",
        variables: Vec::new(),
        panels: vec![
            Panel::number("Alerts", "short", "count(ALERTS{alertname=~\"EventBus.+\", alertstate=\"firing\"}) or vector(0)")
                .says("Alerts of the bus that fire. Each has a runbook.").limits(1.0, 5.0),
            Panel::number("Processes not ready", "short", "count(event_bus_ready == 0) or vector(0)")
                .says("Services and relays that answer and do not get their work done.").limits(1.0, 2.0),
            Panel::number("Unsettled events", "short", format!("sum({LAG})"))
                .says("What all groups of the catalogue together have before them.")
                .limits(line(usual.warning), line(usual.critical)),
            Panel::number("Oldest unsettled event", "s", format!("max({TIME_LAG})"))
                .says("How long the event has waited that waits longest.").limits(300.0, 1_800.0),
            Panel::number("Open dead letters", "short", "sum(max by (topic) (event_bus_dead_letters_open))")
                .says("Dead letters that somebody has to decide about.").limits(1.0, 100.0),
            Panel::number("Waiting in outboxes", "short", "sum(max by (service) (event_bus_outbox_pending))")
                .says("Committed events that are not published yet.").limits(1_000.0, 10_000.0),
            Panel::lines("Published", "eps", "{{topic}}", published(&events))
                .says("Events per second that came onto each topic, from whomever."),
            Panel::lines("Handled", "eps", "{{consumergroup}}",
                "sum by (consumergroup) (rate(event_bus_handled_events_total[$__rate_interval]))")
                .says("Events per second whose effect each group has committed."),
            Panel::lines("Lag", "short", "{{consumergroup}} {{topic}}", format!("topk(10, {LAG})"))
                .says("The ten that are furthest behind, with the thresholds that most topics have.")
                .limits(line(usual.warning), line(usual.critical)),
            Panel::lines("Dead letters", "eps", "{{topic}}", published(&letters))
                .says("Events per second that nobody could handle. Good is nothing at all."),
            Panel { look: Look::Table, ..Panel::lines("Alerts by name", "short", "",
                "sum by (alertname, severity, consumergroup, topic, service) (ALERTS{alertname=~\"EventBus.+\", alertstate=\"firing\"})") }
                .says("What fires now, and about what.").wide(24),
        ],
    }
}
