//! Who is behind, since when and why.

use event_bus::Catalogue;

use super::{Dashboard, Panel, Variable, line};
use crate::deploy::rules::{LAG, TIME_LAG};
use crate::deploy::selector;

const CHOSEN: &str = "consumergroup=~\"$group\", topic=~\"$topic\"";

pub(super) fn dashboard(catalogue: &Catalogue) -> Dashboard {
    let usual = selector::usual_thresholds(catalogue);
    let once =
        |series: &str| format!("max by (consumergroup, topic, partition) ({series}{{{CHOSEN}}})");
    Dashboard {
        name: "consumer-lag",
        title: "Consumer lag",
        description: "How far each group is behind on each topic, whether that grows, and whether more comes in or less is settled.",
        variables: vec![
            Variable { name: "group", title: "Consumer group", label: "consumergroup", series: LAG },
            Variable { name: "topic", title: "Topic", label: "topic", series: LAG },
        ],
        panels: vec![
            Panel::lines("Lag", "short", "{{consumergroup}} {{topic}}", format!("{LAG}{{{CHOSEN}}}"))
                .says("Unsettled events, all partitions together, with the thresholds of warning and critical that most topics have.")
                .limits(line(usual.warning), line(usual.critical)).wide(24),
            Panel::lines("Oldest unsettled event", "s", "{{consumergroup}} {{topic}}", format!("{TIME_LAG}{{{CHOSEN}}}"))
                .says("How long the first event has waited that a group has not settled, with the thresholds of warning and critical.")
                .limits(300.0, 1_800.0).wide(24),
            Panel::lines("Coming in", "eps", "{{topic}}",
                "sum by (topic) (max by (topic, partition) (rate(kafka_topic_partition_current_offset{topic=~\"$topic\"}[$__rate_interval])))")
                .says("Events per second that come onto the topic. Where this rose, the lag is because of it."),
            Panel::lines("Settled", "eps", "{{consumergroup}} {{topic}}",
                format!("sum by (consumergroup, topic) (max by (consumergroup, topic, partition) (rate(kafka_consumergroup_current_offset{{{CHOSEN}}}[$__rate_interval])))"))
                .says("Events per second that the group settles. Where this fell, the lag is because of it."),
            Panel::lines("Lag by partition", "short", "{{consumergroup}} {{topic}} {{partition}}",
                format!("topk(20, {})", once("kafka_consumergroup_lag")))
                .says("The twenty partitions that are furthest behind. One alone means one key, or a partition that nobody has."),
            Panel::lines("Members", "short", "{{consumergroup}}",
                "max by (consumergroup) (kafka_consumergroup_members{consumergroup=~\"$group\"})")
                .says("Consumers in the group. More than the topic has partitions are idle."),
            Panel::lines("Behind an open transaction", "short", "{{consumergroup}} {{topic}}",
                format!("sum by (consumergroup, topic) ({} - {})", once("kafka_consumergroup_lag"), once("event_bus_lag_consumable_events")))
                .says("Events that are there and that nobody may read yet, for a transaction of their publisher is open. Where it stays, that publisher hangs."),
            Panel::lines("Lost to retention", "short", "{{consumergroup}} {{topic}}",
                format!("sum by (consumergroup, topic) ({})", once("event_bus_lag_lost_events")))
                .says("Events that were removed before the group settled them. Good is nothing at all."),
            Panel::lines("State of groups", "short", "{{state}}",
                "count by (state) (max by (consumergroup, state) (event_bus_lag_group_state{consumergroup=~\"$group\"}) == 1)")
                .says("How many groups are in each state. A group that is rebalancing for long does not settle anything.").wide(24),
        ],
    }
}
