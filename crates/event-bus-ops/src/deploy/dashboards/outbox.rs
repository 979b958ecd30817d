//! What is committed and not yet published.

use super::{Dashboard, Panel, Variable};

fn max(series: &str) -> String {
    format!("max by (service) ({series}{{service=~\"$service\"}})")
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "outbox",
        title: "Outbox",
        description: "Whether what services commit gets published: how much waits, for how long, and who sends it.",
        variables: vec![Variable {
            name: "service",
            title: "Service",
            label: "service",
            series: "event_bus_outbox_pending",
        }],
        panels: vec![
            Panel::lines("Waiting", "short", "{{service}}", max("event_bus_outbox_pending"))
                .says("Rows that are to be sent. A burst goes within seconds; what stays or grows is not taken by Kafka.")
                .limits(1_000.0, 10_000.0),
            Panel::lines("Oldest", "s", "{{service}}", max("event_bus_outbox_oldest_age_seconds"))
                .says("How long the first of them has waited. Above two minutes somebody is called.").limits(60.0, 120.0),
            Panel::lines("Sent", "eps", "{{service}}",
                "sum by (service) (rate(event_bus_relay_published_total{service=~\"$service\"}[$__rate_interval]))")
                .says("Rows per second that Kafka acknowledged, all relays together."),
            Panel::lines("Quarantined", "short", "{{service}}", max("event_bus_outbox_quarantined"))
                .says("Rows that can never be sent as they are; later events of their keys wait behind them. Good is nothing at all.")
                .limits(1.0, 10.0),
            Panel::lines("Shards with a holder", "short", "{{service}}",
                "sum by (service) (event_bus_relay_lease_held{service=~\"$service\"})")
                .says("Shards of the outbox, of 8, that a relay holds, all relays together. Below 8 for long, a part of the keys is not sent."),
            Panel::lines("Producers made anew", "short", "{{service}}",
                "sum by (service) (increase(event_bus_relay_producer_rebuilds_total{service=~\"$service\"}[$__rate_interval]))")
                .says("Times that a relay's producer was stuck. Where it repeats, the brokers or the network are to blame."),
        ],
    }
}
