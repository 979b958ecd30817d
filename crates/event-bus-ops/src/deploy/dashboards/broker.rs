//! Kafka as the bus sees it, and how well it is looked at.

use event_bus::Catalogue;

use super::{Dashboard, Panel, Variable};
use crate::deploy::selector;

const CHOSEN: &str = "topic=~\"$topic\"";

pub(super) fn dashboard(catalogue: &Catalogue) -> Dashboard {
    let all = selector::all_topics(catalogue);
    let once = |series: &str| format!("max by (topic, partition) ({series}{{{CHOSEN}}})");
    let rate = format!(
        "max by (topic, partition) (rate(kafka_topic_partition_current_offset{{{CHOSEN}}}[$__rate_interval]))"
    );
    Dashboard {
        name: "broker",
        title: "Broker",
        description: "Brokers, topics and what is in them, and how long a look at them takes. What a broker does inside is told by its own metrics.",
        variables: vec![Variable { name: "topic", title: "Topic", label: "topic", series: "kafka_topic_partitions" }],
        panels: vec![
            Panel::number("Brokers", "short", "max(kafka_brokers)").says("Brokers that are up.").wide(6),
            Panel::number("Topics", "short", format!("count(max by (topic) (kafka_topic_partitions{{{all}}}))"))
                .says("Topics of the catalogue's namespace: of events, of dead letters and the bus's own.").wide(6),
            Panel::number("Partitions", "short", format!("sum(max by (topic) (kafka_topic_partitions{{{all}}}))"))
                .says("Their partitions.").wide(6),
            Panel::number("Last look", "s", "time() - max(event_bus_lag_last_collection_timestamp_seconds)")
                .says("How long ago Kafka was looked at.").limits(30.0, 60.0).wide(6),
            Panel::lines("Coming in by topic", "eps", "{{topic}}", format!("sum by (topic) ({rate})"))
                .says("Records per second that came onto each topic."),
            Panel::lines("Coming in by partition", "eps", "{{topic}} {{partition}}", format!("topk(20, {rate})"))
                .says("The twenty busiest partitions. One far above its neighbours has a key with most of the events."),
            Panel::lines("Records kept", "short", "{{topic}}",
                format!("sum by (topic) ({} - {})", once("kafka_topic_partition_current_offset"), once("kafka_topic_partition_oldest_offset")))
                .says("Records between a topic's oldest and its end."),
            Panel::lines("Partitions by topic", "short", "{{topic}}", format!("max by (topic) (kafka_topic_partitions{{{CHOSEN}}})"))
                .says("A step means that somebody added some, and that keys moved."),
            Panel::lines("Time of a look", "s", "{{instance}}", "max by (instance) (event_bus_lag_collection_seconds)")
                .says("How long it takes to ask Kafka for all groups and topics. It grows with both, and with slow brokers."),
            Panel::lines("Looks that failed", "short", "{{instance}}",
                "sum by (instance) (increase(event_bus_lag_collection_errors_total[$__rate_interval]))")
                .says("Questions that no broker answered. Good is nothing at all."),
        ],
    }
}
