//! Whether anything would be noticed at all.

use std::time::Duration;

use super::{Alert, Severity, minutes, seconds};
use crate::deploy::Factor;

/// Longer than a start takes.
const AWAY: Duration = minutes(2);
/// Several times the time between two collections.
const STALE: Duration = seconds(60);
const LASTING: Duration = minutes(1);

pub(super) fn alerts(times: Factor) -> Vec<Alert> {
    vec![exporter_down(), stale(times)]
}

fn exporter_down() -> Alert {
    Alert {
        name: "EventBusExporterDown",
        severity: Severity::Critical,
        threshold: None,
        expr: "absent(up{job=\"event-bus-ops\"} == 1)".to_owned(),
        lasting: Some(AWAY),
        summary: "nobody knows how far consumers are behind".to_owned(),
        description: "No ops process answers Prometheus. Lag, dead letters and empty groups are not noticed until one does."
            .to_owned(),
    }
}

fn stale(times: Factor) -> Alert {
    Alert {
        name: "EventBusLagStale",
        severity: Severity::Critical,
        threshold: None,
        expr: format!(
            "time() - max(event_bus_lag_last_collection_timestamp_seconds) > {}",
            times.seconds(STALE)
        ),
        lasting: Some(LASTING),
        summary: "what is known of lag is old".to_owned(),
        description: "The ops process answers, and its last look at Kafka was {{ $value | humanizeDuration }} ago: lag, dead \
                      letters and empty groups are not noticed meanwhile."
            .to_owned(),
    }
}
