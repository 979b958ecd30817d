//! Events that nobody could handle.

use std::time::Duration;

use event_bus::Catalogue;

use super::{Alert, Severity, minutes};
use crate::deploy::{Factor, every, selector};

/// For how long an arrival is news.
const NEWS: Duration = minutes(10);
/// An open dead letter that is so old, as a part of what its topic keeps, is about to expire.
const EXPIRING_PERCENT: u32 = 80;

pub(super) fn alerts(catalogue: &Catalogue, times: Factor) -> Vec<Alert> {
    let mut alerts = vec![arriving(catalogue, times)];
    alerts.extend(expiring(catalogue));
    alerts
}

/// Ends of logs are compared, and not a service's counter read: that begins at the first dead letter, which no increase
/// tells, and services in other languages have none.
fn arriving(catalogue: &Catalogue, times: Factor) -> Alert {
    let ends = format!(
        "kafka_topic_partition_current_offset{{{}}}",
        selector::dead_letter_topics(catalogue)
    );
    let news = times.written(NEWS);
    Alert {
        name: "EventBusDeadLettersArriving",
        severity: Severity::Warning,
        threshold: None,
        expr: format!(
            "sum by (topic) (\n  max by (topic, partition) ({ends})\n  - max by (topic, partition) ({ends} offset {news})\n) > 0"
        ),
        lasting: None,
        summary: "dead letters arrive in {{ $labels.topic }}".to_owned(),
        description: format!(
            "{{{{ $value | printf \"%.0f\" }}}} events went to {{{{ $labels.topic }}}} within {news}: a consumer could not \
             handle them."
        ),
    }
}

/// One alert for each time that dead letter topics keep what they have; none where all keep it for ever.
fn expiring(catalogue: &Catalogue) -> Vec<Alert> {
    let expiring = selector::expiring(catalogue, |event| event.dlq_retention);
    let alerts = expiring.into_iter().map(|(retention, events)| {
        let topics = selector::topics(events.iter().map(|event| &event.dead_letter_topic));
        let old = every::seconds(retention * EXPIRING_PERCENT / 100);
        Alert {
            name: "EventBusDeadLettersExpiring",
            severity: Severity::Warning,
            threshold: Some(old.clone()),
            expr: format!(
                "max by (topic) (event_bus_dead_letters_oldest_open_age_seconds{{{topics}}}) > {old}"
            ),
            lasting: None,
            summary: "open dead letters of {{ $labels.topic }} are about to expire".to_owned(),
            description: format!(
                "The oldest dead letter of {{{{ $labels.topic }}}} that nobody has decided about is \
                 {{{{ $value | humanizeDuration }}}} old, and the topic keeps it for {} only.",
                Factor::default().written(retention)
            ),
        }
    });
    alerts.collect()
}
