//! Consumers that fall behind, and what retention takes from those that do.

use std::time::Duration;

use event_bus::Catalogue;
use event_bus::lag::RETENTION_NEAR_PERCENT;

use super::{Alert, Severity, minutes, seconds};
use crate::deploy::rules::{LAG, TIME_LAG};
use crate::deploy::selector::{self, Tier};
use crate::deploy::{Factor, every};

/// An alert about a number ends once that is not above so much of its threshold.
const GONE_BELOW_PERCENT: u64 = 80;
/// Bursts that a consumer works off in the meantime are no news. It is short, for people are to know within a minute.
const BURST: Duration = seconds(30);
/// How long the oldest event may have waited.
const TIME_LAG_WARNING: Duration = minutes(5);
const TIME_LAG_CRITICAL: Duration = minutes(30);
/// Over how long growth is measured, and how far it is thought on.
const GROWTH: Duration = minutes(10);
const AHEAD: Duration = minutes(60);
/// A service that is started anew is away for less.
const AWAY: Duration = minutes(5);

const ON: &str = "on (consumergroup, topic)";

pub(super) fn alerts(catalogue: &Catalogue, times: Factor) -> Vec<Alert> {
    let tiers = selector::tiers(catalogue);
    let mut alerts: Vec<Alert> = tiers.iter().map(critical).collect();
    alerts.extend(tiers.iter().map(warning));
    alerts.extend(tiers.iter().map(|tier| growing(tier, times)));
    alerts.push(time_lag_critical(times));
    alerts.push(time_lag_warning(times));
    alerts.push(group_empty(catalogue));
    alerts.extend(retention_near(catalogue));
    alerts.push(events_lost(catalogue));
    alerts
}

/// Above the threshold, or not yet clearly below it while the alert fires.
fn above(series: &str, threshold: &str, gone_below: &str, alert: &str) -> String {
    format!("({series} > {threshold}\n  or ({series} > {gone_below} and {ON} {})\n)", firing(alert))
}

fn firing(alert: &str) -> String {
    format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}")
}

/// `expr`, but not while the other alert fires for the same group and topic.
fn silent_while(alert: &str, expr: &str) -> String {
    format!("{expr}\nunless {ON} {}", firing(alert))
}

fn series(tier: &Tier) -> String {
    if tier.topics.is_empty() { LAG.to_owned() } else { format!("{LAG}{{{}}}", tier.topics) }
}

fn lag_above(tier: &Tier, threshold: u64, alert: &str) -> String {
    let gone_below = threshold * GONE_BELOW_PERCENT / 100;
    above(&series(tier), &threshold.to_string(), &gone_below.to_string(), alert)
}

fn critical(tier: &Tier) -> Alert {
    const NAME: &str = "EventBusLagCritical";
    let threshold = tier.thresholds.critical;
    Alert {
        name: NAME,
        severity: Severity::Critical,
        threshold: Some(threshold.to_string()),
        expr: lag_above(tier, threshold, NAME),
        lasting: Some(BURST),
        summary: "{{ $labels.consumergroup }} is far behind on {{ $labels.topic }}".to_owned(),
        description: format!(
            "{{{{ $labels.consumergroup }}}} has {{{{ $value | printf \"%.0f\" }}}} unsettled events of {{{{ $labels.topic }}}} \
             before it; more than {threshold} are critical. Whoever waits for what this service does waits."
        ),
    }
}

fn warning(tier: &Tier) -> Alert {
    const NAME: &str = "EventBusLagWarning";
    let threshold = tier.thresholds.warning;
    Alert {
        name: NAME,
        severity: Severity::Warning,
        threshold: Some(threshold.to_string()),
        expr: silent_while("EventBusLagCritical", &lag_above(tier, threshold, NAME)),
        lasting: Some(BURST),
        summary: "{{ $labels.consumergroup }} is behind on {{ $labels.topic }}".to_owned(),
        description: format!(
            "{{{{ $labels.consumergroup }}}} has {{{{ $value | printf \"%.0f\" }}}} unsettled events of {{{{ $labels.topic }}}} \
             before it; more than {threshold} are a warning, more than {} critical.",
            tier.thresholds.critical
        ),
    }
}

fn growing(tier: &Tier, times: Factor) -> Alert {
    let series = series(tier);
    let (warning, critical) = (tier.thresholds.warning, tier.thresholds.critical);
    let (growth, ahead) = (times.written(GROWTH), times.seconds(AHEAD));
    let expr = format!(
        "{series} > {warning}\nand deriv({series}[{growth}]) > 0\n\
         and predict_linear({series}[{growth}], {ahead}) > {critical}"
    );
    Alert {
        name: "EventBusLagGrowing",
        severity: Severity::Warning,
        threshold: Some(critical.to_string()),
        expr: silent_while("EventBusLagCritical", &expr),
        lasting: Some(AWAY),
        summary: "{{ $labels.consumergroup }} falls further behind on {{ $labels.topic }}"
            .to_owned(),
        description: format!(
            "{{{{ $labels.consumergroup }}}} has {{{{ $value | printf \"%.0f\" }}}} unsettled events of {{{{ $labels.topic }}}} \
             before it, and more come than it settles: as it goes, there are more than {critical} within the hour."
        ),
    }
}

fn time_lag_critical(times: Factor) -> Alert {
    const NAME: &str = "EventBusTimeLagCritical";
    Alert {
        name: NAME,
        severity: Severity::Critical,
        threshold: None,
        expr: time_lag_above(TIME_LAG_CRITICAL, NAME, times),
        lasting: Some(BURST),
        summary: "{{ $labels.consumergroup }} handles {{ $labels.topic }} far too late".to_owned(),
        description: "The oldest event of {{ $labels.topic }} that {{ $labels.consumergroup }} has not settled waits for \
                      {{ $value | humanizeDuration }}, however few there are."
            .to_owned(),
    }
}

fn time_lag_warning(times: Factor) -> Alert {
    const NAME: &str = "EventBusTimeLagWarning";
    let expr = time_lag_above(TIME_LAG_WARNING, NAME, times);
    Alert {
        name: NAME,
        severity: Severity::Warning,
        threshold: None,
        expr: silent_while("EventBusTimeLagCritical", &expr),
        lasting: Some(BURST),
        summary: "{{ $labels.consumergroup }} handles {{ $labels.topic }} late".to_owned(),
        description: "The oldest event of {{ $labels.topic }} that {{ $labels.consumergroup }} has not settled waits for \
                      {{ $value | humanizeDuration }}."
            .to_owned(),
    }
}

fn time_lag_above(threshold: Duration, alert: &str, times: Factor) -> String {
    let gone_below = threshold.mul_f64(percent(GONE_BELOW_PERCENT));
    above(TIME_LAG, &times.seconds(threshold), &times.seconds(gone_below), alert)
}

fn percent(percent: u64) -> f64 {
    Duration::from_millis(percent * 10).as_secs_f64()
}

fn group_empty(catalogue: &Catalogue) -> Alert {
    let groups = selector::groups(catalogue);
    Alert {
        name: "EventBusGroupEmpty",
        severity: Severity::Warning,
        threshold: None,
        expr: format!(
            "{LAG} > 0\nand on (consumergroup) max by (consumergroup) (kafka_consumergroup_members{{{groups}}}) == 0"
        ),
        lasting: Some(AWAY),
        summary: "nobody is in {{ $labels.consumergroup }}, and events wait".to_owned(),
        description: "{{ $labels.consumergroup }} has no members, and {{ $value | printf \"%.0f\" }} events of \
                      {{ $labels.topic }} wait for it."
            .to_owned(),
    }
}

/// One alert for each time that topics keep their events; none where all keep them for ever. No factor changes what
/// topics keep.
fn retention_near(catalogue: &Catalogue) -> Vec<Alert> {
    let expiring = selector::expiring(catalogue, |event| event.retention);
    let alerts = expiring.into_iter().map(|(retention, events)| {
        let topics = selector::topics(events.iter().map(|event| &event.topic));
        let near = retention * RETENTION_NEAR_PERCENT / 100;
        Alert {
            name: "EventBusRetentionNear",
            severity: Severity::Critical,
            threshold: Some(every::seconds(near)),
            expr: format!("{TIME_LAG}{{{topics}}} > {}", every::seconds(near)),
            lasting: Some(BURST),
            summary: "{{ $labels.consumergroup }} is about to lose events of {{ $labels.topic }}".to_owned(),
            description: format!(
                "The oldest event of {{{{ $labels.topic }}}} that {{{{ $labels.consumergroup }}}} has not settled waits for \
                 {{{{ $value | humanizeDuration }}}}, and the topic keeps events for {} only.",
                Factor::default().written(retention)
            ),
        }
    });
    alerts.collect()
}

fn events_lost(catalogue: &Catalogue) -> Alert {
    let groups = selector::groups(catalogue);
    Alert {
        name: "EventBusEventsLost",
        severity: Severity::Critical,
        threshold: None,
        expr: format!(
            "sum by (consumergroup, topic) (\n  max by (consumergroup, topic, partition) \
             (event_bus_lag_lost_events{{{groups}}})\n) > 0"
        ),
        lasting: None,
        summary: "retention took events of {{ $labels.topic }} that {{ $labels.consumergroup }} had not settled".to_owned(),
        description: "{{ $value | printf \"%.0f\" }} events of {{ $labels.topic }} were removed before \
                      {{ $labels.consumergroup }} settled them, and it stands still in their partitions until somebody \
                      says where it goes on."
            .to_owned(),
    }
}
