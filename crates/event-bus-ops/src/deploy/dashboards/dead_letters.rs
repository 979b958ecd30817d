//! What nobody could handle.

use event_bus::Catalogue;

use super::{Dashboard, Panel};
use crate::deploy::selector;

pub(super) fn dashboard(catalogue: &Catalogue) -> Dashboard {
    let letters = selector::dead_letter_topics(catalogue);
    let once = |series: &str| format!("max by (topic, partition) ({series}{{{letters}}})");
    let (end, start) =
        (once("kafka_topic_partition_current_offset"), once("kafka_topic_partition_oldest_offset"));
    Dashboard {
        name: "dead-letters",
        title: "Dead letters",
        description: "What could not be handled, how much of it is open and for how long. The panel says what each is and replays it.",
        variables: Vec::new(),
        panels: vec![
            Panel::number("Open", "short", "sum(max by (topic) (event_bus_dead_letters_open))")
                .says("Dead letters that somebody has to decide about.").limits(1.0, 100.0).wide(6),
            Panel::number("Oldest open one", "s", "max(event_bus_dead_letters_oldest_open_age_seconds)")
                .says("How old the oldest is that nobody has decided about.").limits(86_400.0, 604_800.0).wide(6),
            Panel::number("In the last hour", "short",
                format!("round(sum(max by (topic, partition) (increase(kafka_topic_partition_current_offset{{{letters}}}[1h]))))"))
                .says("Dead letters that came within an hour.").limits(1.0, 100.0).wide(6),
            Panel::number("Ever, and still there", "short", format!("sum({end} - {start})"))
                .says("All records in the dead letter topics, decided or not.").wide(6),
            Panel::lines("Open by topic", "short", "{{topic}}", "max by (topic) (event_bus_dead_letters_open)")
                .says("Dead letters that somebody has to decide about. It falls when they are replayed or discarded."),
            Panel::lines("Oldest open one by topic", "s", "{{topic}}", "max by (topic) (event_bus_dead_letters_oldest_open_age_seconds)")
                .says("Where a topic keeps its dead letters for a time, they have to be decided about before that."),
            Panel::lines("Arriving by topic", "eps", "{{topic}}",
                format!("sum by (topic) (max by (topic, partition) (rate(kafka_topic_partition_current_offset{{{letters}}}[$__rate_interval])))"))
                .says("Records per second that came into each dead letter topic, from services in any language."),
            Panel::lines("Arriving by group and reason", "eps", "{{consumergroup}} {{reason}}",
                "sum by (consumergroup, reason) (rate(event_bus_dead_letters_total[$__rate_interval]))")
                .says("What services on this library dead-lettered, by why."),
        ],
    }
}
