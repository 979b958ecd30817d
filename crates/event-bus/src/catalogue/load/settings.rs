use std::{num::NonZeroU16, time::Duration};

use super::fields::{Node, Problems, Table};
use crate::{
    catalogue::{BehindDeadLetter, Execution, Retention},
    lag::Thresholds,
};

/// More waits than this hold a key up for longer than a look into the dead letters would take.
const RETRIES_MAX: usize = 10;
const DURATION_CURE: &str =
    "write a whole number above 0 with ms, s, m, h or d, such as \"500ms\" or \"30d\"";

/// What an event says about its topics, or the defaults say for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TopicSettings {
    pub(super) partitions: i32,
    pub(super) replication: i32,
    pub(super) min_insync_replicas: i32,
    pub(super) retention: Retention,
    pub(super) dlq_retention: Retention,
    pub(super) lag: Thresholds,
}

/// What a consumer says about how it runs, or the defaults say for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConsumerSettings {
    pub(super) retry: Vec<Duration>,
    pub(super) execution: Execution,
    pub(super) behind_dead_letter: BehindDeadLetter,
    pub(super) handler_timeout: Duration,
}

impl Default for TopicSettings {
    /// What holds where a catalogue has no default of its own.
    fn default() -> TopicSettings {
        TopicSettings {
            partitions: 6,
            replication: 3,
            min_insync_replicas: 2,
            retention: Retention::Unlimited,
            dlq_retention: Retention::Unlimited,
            lag: Thresholds::default(),
        }
    }
}

impl Default for ConsumerSettings {
    /// What holds where a catalogue has no default of its own.
    fn default() -> ConsumerSettings {
        ConsumerSettings {
            retry: [500, 2_000, 8_000].map(Duration::from_millis).to_vec(),
            execution: Execution::Batched,
            behind_dead_letter: BehindDeadLetter::Continue,
            handler_timeout: Duration::from_secs(30),
        }
    }
}

impl TopicSettings {
    /// Takes the settings out of `table`; what it doesn't say is as in `base`.
    pub(super) fn read(
        table: &mut Table<'_>,
        base: &TopicSettings,
        problems: &mut Problems<'_>,
    ) -> TopicSettings {
        let mut or = |key, fallback| {
            table.optional(key).and_then(|node| node.count(problems)).unwrap_or(fallback)
        };
        let partitions = or("partitions", base.partitions);
        let replication = or("replication", base.replication);
        let min_insync_replicas = or("min-insync-replicas", base.min_insync_replicas);
        let mut or = |key, fallback| {
            table.optional(key).and_then(|node| retention(&node, problems)).unwrap_or(fallback)
        };
        let retention = or("retention", base.retention);
        let dlq_retention = or("dlq-retention", base.dlq_retention);
        let mut or = |key, fallback| {
            let count = table.optional(key).and_then(|node| node.count(problems));
            count.map_or(fallback, |count| count.unsigned_abs().into())
        };
        let lag = Thresholds {
            warning: or("lag-warning", base.lag.warning),
            critical: or("lag-critical", base.lag.critical),
        };
        let read = TopicSettings {
            partitions,
            replication,
            min_insync_replicas,
            retention,
            dlq_retention,
            lag,
        };
        // Inherited contradictions are the defaults' own, and noted there.
        if read != *base {
            read.check(table.node(), problems);
        }
        read
    }

    fn check(&self, node: &Node<'_>, problems: &mut Problems<'_>) {
        if self.dlq_retention < self.retention {
            problems.add(
                node,
                "keeps its dead letters for less time than its topic keeps events",
                "raise `dlq-retention` to at least `retention`",
            );
        }
        if self.replication < self.min_insync_replicas {
            problems.add(
                node,
                format_args!(
                    "has replication {} below min-insync-replicas {}, so nothing could be published",
                    self.replication, self.min_insync_replicas
                ),
                "raise `replication`, or lower `min-insync-replicas`",
            );
        }
        let Thresholds { warning, critical } = self.lag;
        if warning >= critical {
            problems.add(
                node,
                format_args!("has lag-warning {warning} not below lag-critical {critical}"),
                "raise `lag-critical`, or lower `lag-warning`",
            );
        }
    }
}

impl ConsumerSettings {
    /// Takes the settings out of `table`; what it doesn't say is as in `base`.
    pub(super) fn read(
        table: &mut Table<'_>,
        base: &ConsumerSettings,
        problems: &mut Problems<'_>,
    ) -> ConsumerSettings {
        let retry = table.optional("retry").and_then(|node| waits(&node, problems));
        let execution = table.optional("execution").and_then(|node| execution(&node, problems));
        let behind = table
            .optional("behind-dead-letter")
            .and_then(|node| behind_dead_letter(&node, problems));
        let timeout = table.optional("handler-timeout").and_then(|node| duration(&node, problems));
        ConsumerSettings {
            retry: retry.unwrap_or_else(|| base.retry.clone()),
            execution: execution.unwrap_or(base.execution),
            behind_dead_letter: behind.unwrap_or(base.behind_dead_letter),
            handler_timeout: timeout.unwrap_or(base.handler_timeout),
        }
    }
}

fn retention(node: &Node<'_>, problems: &mut Problems<'_>) -> Option<Retention> {
    let text = node.text(problems)?;
    if text == "unlimited" {
        return Some(Retention::Unlimited);
    }
    let duration = parse_duration(text);
    if duration.is_none() {
        let cure =
            format!("write \"unlimited\", or {}", DURATION_CURE.trim_start_matches("write "));
        problems.add(node, format_args!("{text:?} is not a retention"), cure);
    }
    duration.map(Retention::For)
}

fn duration(node: &Node<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
    let text = node.text(problems)?;
    let duration = parse_duration(text);
    if duration.is_none() {
        problems.add(node, format_args!("{text:?} is not a duration"), DURATION_CURE);
    }
    duration
}

fn waits(node: &Node<'_>, problems: &mut Problems<'_>) -> Option<Vec<Duration>> {
    let items = node.list(problems)?;
    if items.is_empty() || items.len() > RETRIES_MAX {
        let what = format!("has {} waits", items.len());
        problems.add(
            node,
            what,
            format_args!("list 1 to {RETRIES_MAX} waits, one before each further attempt"),
        );
    }
    Some(items.iter().filter_map(|item| duration(item, problems)).collect())
}

fn execution(node: &Node<'_>, problems: &mut Problems<'_>) -> Option<Execution> {
    let text = node.text(problems)?;
    let execution = match text {
        "batched" => Some(Execution::Batched),
        _ => text
            .strip_prefix("concurrent(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|number| number.parse::<NonZeroU16>().ok())
            .map(Execution::Concurrent),
    };
    if execution.is_none() {
        problems.add(
            node,
            format_args!("{text:?} is not a way to execute"),
            "write \"batched\", or \"concurrent(n)\" with n from 1 to 65535",
        );
    }
    execution
}

fn behind_dead_letter(node: &Node<'_>, problems: &mut Problems<'_>) -> Option<BehindDeadLetter> {
    match node.text(problems)? {
        "continue" => Some(BehindDeadLetter::Continue),
        "park" => Some(BehindDeadLetter::Park),
        text => {
            let cure = "write \"continue\" or \"park\"";
            problems.add(node, format_args!("{text:?} is not known here"), cure);
            None
        }
    }
}

/// A whole number and a unit. Zero is refused: no wait, time-out or retention means anything at
/// zero.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(millis_per_unit)?;
    // Kafka's retention.ms is a signed number.
    (millis > 0 && i64::try_from(millis).is_ok()).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("2s"), Some(2.0));
        assert_eq!(seconds("3m"), Some(180.0));
        assert_eq!(seconds("12h"), Some(43_200.0));
        assert_eq!(seconds("30d"), Some(2_592_000.0));
        for text in ["", "s", "5", "0s", "-1s", "1.5s", "5 s", "5S", "1w", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
