//! Services that do not do their work, and what they can't publish.

use std::time::Duration;

use super::{Alert, Severity, minutes};
use crate::deploy::Factor;

/// Longer than a start or a rolling update takes.
const AWAY: Duration = minutes(3);
/// How long a committed event may wait for Kafka. A relay sends it within a second.
const OUTBOX_OLD: Duration = minutes(2);
const LASTING: Duration = minutes(1);

pub(super) fn alerts(times: Factor) -> Vec<Alert> {
    vec![not_ready(), down(), outbox_old(times), outbox_quarantined()]
}

fn not_ready() -> Alert {
    Alert {
        name: "EventBusServiceNotReady",
        severity: Severity::Critical,
        threshold: None,
        expr: "event_bus_ready == 0".to_owned(),
        lasting: Some(AWAY),
        summary: "{{ $labels.instance }} does not get its work done".to_owned(),
        description: "{{ $labels.instance }} answers and is not ready: what it has to do is not getting done. Its /readyz \
                      tells every reason."
            .to_owned(),
    }
}

fn down() -> Alert {
    Alert {
        name: "EventBusServiceDown",
        severity: Severity::Warning,
        threshold: None,
        expr: "up{job=\"event-bus-services\"} == 0".to_owned(),
        lasting: Some(AWAY),
        summary: "{{ $labels.instance }} does not answer".to_owned(),
        description: "{{ $labels.instance }} does not answer Prometheus: its process is gone, or can't be reached. What it \
                      leaves undone is told by the alerts about lag and the outbox."
            .to_owned(),
    }
}

fn outbox_old(times: Factor) -> Alert {
    let old = times.seconds(OUTBOX_OLD);
    Alert {
        name: "EventBusOutboxOld",
        severity: Severity::Critical,
        threshold: None,
        expr: format!("max by (service) (event_bus_outbox_oldest_age_seconds) > {old}"),
        lasting: Some(LASTING),
        summary: "what {{ $labels.service }} committed is not published".to_owned(),
        description: "The first event in the outbox of {{ $labels.service }} waits for {{ $value | humanizeDuration }}: its \
                      relay does not run, or Kafka does not take it."
            .to_owned(),
    }
}

fn outbox_quarantined() -> Alert {
    Alert {
        name: "EventBusOutboxQuarantined",
        severity: Severity::Warning,
        threshold: None,
        expr: "max by (service) (event_bus_outbox_quarantined) > 0".to_owned(),
        lasting: Some(LASTING),
        summary: "events of {{ $labels.service }} can't be published as they are".to_owned(),
        description: "{{ $value | printf \"%.0f\" }} rows in the outbox of {{ $labels.service }} can never be sent as they \
                      are, and later events of their keys wait behind them until somebody decides."
            .to_owned(),
    }
}
