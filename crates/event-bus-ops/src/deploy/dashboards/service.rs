//! A service's four golden signals: traffic, errors, latency, saturation.

use super::{Dashboard, Panel, Variable};

const CHOSEN: &str = "consumergroup=~\"$group\", topic=~\"$topic\"";

fn rate(series: &str, by: &str) -> String {
    format!("sum by ({by}) (rate({series}{{{CHOSEN}}}[$__rate_interval]))")
}

fn sum(series: &str) -> String {
    format!("sum by (consumergroup, topic) ({series}{{{CHOSEN}}})")
}

fn quantile(quantile: &str, series: &str) -> String {
    format!("histogram_quantile({quantile}, {})", rate(series, "le"))
}

pub(super) fn dashboard() -> Dashboard {
    const EACH: &str = "{{consumergroup}} {{topic}}";
    const BY: &str = "consumergroup, topic";
    let series = "event_bus_handled_events_total";
    Dashboard {
        name: "service",
        title: "Service",
        description: "What a service handles, what fails, how long its handlers take and how full it is.",
        variables: vec![
            Variable { name: "group", title: "Consumer group", label: "consumergroup", series },
            Variable { name: "topic", title: "Topic", label: "topic", series },
        ],
        panels: vec![
            Panel::lines("Ready", "short", "{{instance}}", "min by (instance) (event_bus_ready)")
                .says("1 while what a process has to do gets done."),
            Panel::lines("Problems", "short", "{{instance}} {{kind}}", "sum by (instance, kind) (event_bus_problems)")
                .says("What keeps a process from being ready, as its /readyz tells. Good is nothing at all."),
            Panel::lines("Traffic: handled", "eps", EACH, rate("event_bus_handled_events_total", BY))
                .says("Events per second whose effect was committed."),
            Panel::lines("Traffic: duplicates", "eps", EACH, rate("event_bus_duplicate_events_total", BY))
                .says("Events per second that had been handled before and were skipped: after a crash, a reset or a replay."),
            Panel::lines("Errors: retries", "eps", EACH, rate("event_bus_retried_events_total", BY))
                .says("Attempts per second after an event's first. Some are healed by waiting; many are a bug or an outage."),
            Panel::lines("Errors: dead letters", "eps", "{{consumergroup}} {{topic}} {{reason}}",
                rate("event_bus_dead_letters_total", "consumergroup, topic, reason"))
                .says("Events per second that could not be handled, by reason. Good is nothing at all."),
            Panel::lines("Latency of the handler", "s", "median", quantile("0.5", "event_bus_handler_seconds_bucket"))
                .and("95 %", quantile("0.95", "event_bus_handler_seconds_bucket"))
                .and("99 %", quantile("0.99", "event_bus_handler_seconds_bucket"))
                .says("How long a call of the handler takes, of all that is chosen."),
            Panel::lines("Latency: oldest unsettled event in hand", "s", EACH, sum("event_bus_watermark_age_seconds"))
                .says("How long the oldest event that was received has not been settled; 0 when all are."),
            Panel::lines("Saturation: events that run", "short", EACH, sum("event_bus_events_in_flight"))
                .says("Events whose handlers run now."),
            Panel::lines("Saturation: keys that wait", "short", EACH, sum("event_bus_waiting_keys"))
                .says("Keys that wait for a retry; the events behind them wait as well."),
            Panel::lines("Saturation: size of batches", "short", "median", quantile("0.5", "event_bus_batch_events_bucket"))
                .and("95 %", quantile("0.95", "event_bus_batch_events_bucket"))
                .says("Events that share a transaction. The fuller, the more had queued up; 500 is the most."),
            Panel::lines("Unrest", "short", "{{consumergroup}} rebalances",
                format!("sum by (consumergroup) (increase(event_bus_rebalances_total{{{CHOSEN}}}[$__rate_interval]))"))
                .and("{{consumergroup}} rebuilds",
                    format!("sum by (consumergroup) (increase(event_bus_consumer_rebuilds_total{{{CHOSEN}}}[$__rate_interval]))"))
                .says("Partitions that moved, and Kafka clients that were built anew because they failed or were stuck. Good is nothing but around deployments."),
        ],
    }
}
