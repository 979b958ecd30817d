//! What a service counts of itself, for Prometheus.
//!
//! Names are under one prefix, in base units, and no label tells a tenant, a key or an id: the number of series follows
//! from the catalogue alone.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::consumer::{Gauges, Job, Report, Verdict};
use crate::dead_letter::Reason;
use crate::limits::MAX_BATCH;
use crate::names::{GroupName, TopicName};
use crate::store::{Backlog, Claimed};

/// What all names begin with.
const PREFIX: &str = "event_bus";
/// From an insert on the same machine to the longest time-out that services set.
const HANDLER_SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// How full batches are, up to [`MAX_BATCH`].
const BATCH_EVENTS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0];
const _: () = assert!(MAX_BATCH == 500, "the last batch bucket is the largest batch");

/// A service's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
    subscriptions: Mutex<Vec<Arc<SubscriptionMetrics>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Subscribed {
    consumergroup: String,
    topic: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Died {
    consumergroup: String,
    topic: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Relaying {
    service: String,
}

type Histograms = Family<Subscribed, Histogram, fn() -> Histogram>;

struct Families {
    handled: Family<Subscribed, Counter>,
    retried: Family<Subscribed, Counter>,
    duplicates: Family<Subscribed, Counter>,
    dead_letters: Family<Died, Counter>,
    rebalances: Family<Subscribed, Counter>,
    rebuilds: Family<Subscribed, Counter>,
    in_flight: Family<Subscribed, Gauge>,
    waiting_keys: Family<Subscribed, Gauge>,
    watermark_age: Family<Subscribed, Gauge<f64, AtomicU64>>,
    handler: Histograms,
    batch: Histograms,
    relay: RelayFamilies,
}

/// What relays count.
struct RelayFamilies {
    published: Family<Relaying, Counter>,
    pending: Family<Relaying, Gauge>,
    oldest: Family<Relaying, Gauge<f64, AtomicU64>>,
    quarantined: Family<Relaying, Gauge>,
    leases: Family<Relaying, Gauge>,
    rebuilds: Family<Relaying, Counter>,
}

impl RelayFamilies {
    fn registered(registry: &mut Registry) -> RelayFamilies {
        let families = RelayFamilies {
            published: Family::default(),
            pending: Family::default(),
            oldest: Family::default(),
            quarantined: Family::default(),
            leases: Family::default(),
            rebuilds: Family::default(),
        };
        registry.register(
            "relay_producer_rebuilds",
            "Times that a relay's producer was made anew, because it was stuck",
            families.rebuilds.clone(),
        );
        registry.register(
            "relay_published",
            "Rows of the outbox that Kafka acknowledged to this relay",
            families.published.clone(),
        );
        registry.register(
            "outbox_pending",
            "Rows of the outbox that are to be sent: the first 10,000 counted, and the ids drawn behind them",
            families.pending.clone(),
        );
        registry.register_with_unit(
            "outbox_oldest_age",
            "How long the first row of the outbox has waited",
            Unit::Seconds,
            families.oldest.clone(),
        );
        registry.register(
            "outbox_quarantined",
            "Rows of the outbox that can never be sent as they are",
            families.quarantined.clone(),
        );
        registry.register(
            "relay_lease_held",
            "Shards of the outbox whose lease this relay holds",
            families.leases.clone(),
        );
        families
    }
}

impl Families {
    fn registered(registry: &mut Registry) -> Families {
        let families = Families {
            handled: Family::default(),
            retried: Family::default(),
            duplicates: Family::default(),
            dead_letters: Family::default(),
            rebalances: Family::default(),
            rebuilds: Family::default(),
            in_flight: Family::default(),
            waiting_keys: Family::default(),
            watermark_age: Family::default(),
            handler: Family::new_with_constructor(|| Histogram::new(HANDLER_SECONDS)),
            batch: Family::new_with_constructor(|| Histogram::new(BATCH_EVENTS)),
            relay: RelayFamilies::registered(registry),
        };
        registry.register(
            "handled_events",
            "Events whose effect was committed",
            families.handled.clone(),
        );
        registry.register(
            "retried_events",
            "Attempts after an event's first",
            families.retried.clone(),
        );
        registry.register(
            "duplicate_events",
            "Events that were skipped because they had been handled before",
            families.duplicates.clone(),
        );
        registry.register(
            "dead_letters",
            "Events that were dead-lettered, by reason",
            families.dead_letters.clone(),
        );
        registry.register(
            "rebalances",
            "Times that partitions were assigned, revoked or lost",
            families.rebalances.clone(),
        );
        registry.register(
            "consumer_rebuilds",
            "Times that a Kafka consumer was built anew because it failed or was stuck",
            families.rebuilds.clone(),
        );
        registry.register("events_in_flight", "Events that run now", families.in_flight.clone());
        registry.register(
            "waiting_keys",
            "Keys that wait for a retry",
            families.waiting_keys.clone(),
        );
        registry.register_with_unit(
            "watermark_age",
            "How long the oldest received event has not been settled",
            Unit::Seconds,
            families.watermark_age.clone(),
        );
        registry.register_with_unit(
            "handler",
            "Time that a handler took",
            Unit::Seconds,
            families.handler.clone(),
        );
        registry.register("batch_events", "Events that ran as one task", families.batch.clone());
        families
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let families = Families::registered(&mut registry);
        Self(Arc::new(Inner { registry, families, subscriptions: Mutex::default() }))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All of them as OpenMetrics text, as they are at `now`.
    ///
    /// # Errors
    /// Never, as far as is known: text can be written to memory.
    pub fn encode(&self, now: Instant) -> Result<String, fmt::Error> {
        for subscription in lock(&self.0.subscriptions).iter() {
            subscription.refresh(now);
        }
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.0.registry)?;
        Ok(encoded)
    }

    /// What the relay of a service's outbox counts. All its series are there from now on.
    pub(crate) fn of_relay(&self, service: &str) -> RelayMetrics {
        let labels = Relaying { service: service.to_owned() };
        let families = &self.0.families.relay;
        RelayMetrics {
            published: families.published.get_or_create_owned(&labels),
            pending: families.pending.get_or_create_owned(&labels),
            oldest: families.oldest.get_or_create_owned(&labels),
            quarantined: families.quarantined.get_or_create_owned(&labels),
            leases: families.leases.get_or_create_owned(&labels),
            rebuilds: families.rebuilds.get_or_create_owned(&labels),
        }
    }

    /// What one subscription counts. All its series are there from now on, at zero.
    pub(crate) fn of(&self, group: &GroupName, topic: &TopicName) -> Arc<SubscriptionMetrics> {
        let labels = Subscribed { consumergroup: group.to_string(), topic: topic.to_string() };
        let families = &self.0.families;
        let metrics = Arc::new(SubscriptionMetrics {
            group: group.clone(),
            topic: topic.clone(),
            handled: families.handled.get_or_create_owned(&labels),
            retried: families.retried.get_or_create_owned(&labels),
            duplicates: families.duplicates.get_or_create_owned(&labels),
            dead_letters: families.dead_letters.clone(),
            rebalances: families.rebalances.get_or_create_owned(&labels),
            rebuilds: families.rebuilds.get_or_create_owned(&labels),
            in_flight: families.in_flight.get_or_create_owned(&labels),
            waiting_keys: families.waiting_keys.get_or_create_owned(&labels),
            watermark_age: families.watermark_age.get_or_create_owned(&labels),
            handler: families.handler.get_or_create_owned(&labels),
            batch: families.batch.get_or_create_owned(&labels),
            state: Mutex::default(),
        });
        lock(&self.0.subscriptions).push(Arc::clone(&metrics));
        metrics
    }
}

/// What the relay of one outbox counts. Clones count together.
#[derive(Clone)]
pub(crate) struct RelayMetrics {
    published: Counter,
    pending: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    quarantined: Gauge,
    leases: Gauge,
    rebuilds: Counter,
}

impl RelayMetrics {
    /// Its producer was stuck.
    pub(crate) fn rebuilt(&self) {
        self.rebuilds.inc();
    }

    /// Kafka acknowledged a row.
    pub(crate) fn published(&self) {
        self.published.inc();
    }

    /// How many rows Kafka acknowledged.
    pub(crate) fn published_until_now(&self) -> u64 {
        self.published.get()
    }

    /// Notes what the outbox holds.
    pub(crate) fn note(&self, pending: u64, backlog: Backlog) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.oldest.set(backlog.oldest.unwrap_or_default().as_secs_f64());
        self.quarantined.set(i64::try_from(backlog.quarantined).unwrap_or(i64::MAX));
    }

    /// Notes how many shards the relay holds.
    pub(crate) fn holds(&self, leases: usize) {
        self.leases.set(i64::try_from(leases).unwrap_or(i64::MAX));
    }
}

/// What one subscription counts.
pub(crate) struct SubscriptionMetrics {
    group: GroupName,
    topic: TopicName,
    handled: Counter,
    retried: Counter,
    duplicates: Counter,
    dead_letters: Family<Died, Counter>,
    rebalances: Counter,
    rebuilds: Counter,
    in_flight: Gauge,
    waiting_keys: Gauge,
    watermark_age: Gauge<f64, AtomicU64>,
    handler: Histogram,
    batch: Histogram,
    state: Mutex<Gauges>,
}

impl SubscriptionMetrics {
    /// A task begins.
    #[expect(clippy::cast_precision_loss, reason = "a batch has at most 500 events")]
    pub(crate) fn begun(&self, events: usize) {
        self.batch.observe(events as f64);
    }

    /// A task ended. What did not run, or was taken back for another's sake, was no attempt.
    pub(crate) fn retried<E>(&self, jobs: &[Job<E>], report: &Report) {
        let tried_again = |job: &Job<E>, verdict: &Verdict| {
            let was_tried = !matches!(verdict, Verdict::NotRun | Verdict::Disturbed(_));
            was_tried && job.attempt > 1 && job.death.is_none()
        };
        let verdicts = report.verdicts.iter().map(|(_, verdict)| verdict);
        let again = jobs.iter().zip(verdicts).filter(|(job, verdict)| tried_again(job, verdict));
        self.retried.inc_by(again.count() as u64);
    }

    /// A handler ended, however.
    pub(crate) fn handler_took(&self, time: Duration) {
        self.handler.observe(time.as_secs_f64());
    }

    /// A transaction was committed.
    pub(crate) fn committed(&self, tally: &Tally) {
        self.handled.inc_by(tally.handled);
        self.duplicates.inc_by(tally.duplicates);
        for reason in &tally.dead {
            let died = Died {
                consumergroup: self.group.to_string(),
                topic: self.topic.to_string(),
                reason: reason.to_string(),
            };
            self.dead_letters.get_or_create(&died).inc();
        }
    }

    /// Partitions came or went.
    pub(crate) fn rebalanced(&self) {
        self.rebalances.inc();
    }

    /// The Kafka consumer is built anew.
    pub(crate) fn rebuilt(&self) {
        self.rebuilds.inc();
    }

    /// Notes a session's state.
    pub(crate) fn note(&self, gauges: Gauges) {
        *lock(&self.state) = gauges;
    }

    fn refresh(&self, now: Instant) {
        let state = *lock(&self.state);
        self.in_flight.set(i64::try_from(state.in_flight).unwrap_or(i64::MAX));
        self.waiting_keys.set(i64::try_from(state.waiting_keys).unwrap_or(i64::MAX));
        let age =
            state.oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest));
        self.watermark_age.set(age.as_secs_f64());
    }
}

/// What a transaction does, counted once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) handled: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead: Vec<Reason>,
}

impl Tally {
    /// An event is settled of which the inbox said this.
    pub(crate) fn count(&mut self, claimed: Claimed) {
        match claimed {
            Claimed::Fresh => self.handled += 1,
            Claimed::Seen => self.duplicates += 1,
            Claimed::Collides | Claimed::OutOfTurn => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment or push, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_tells_what_its_outbox_holds_and_what_it_sent() {
        let metrics = Metrics::default();
        let relay = metrics.of_relay("shop");
        relay.published();
        relay.holds(8);
        let oldest = Some(Duration::from_millis(1_500));
        relay.note(7, Backlog { oldest, quarantined: 2 });
        let text = metrics.encode(Instant::now()).unwrap();
        for line in [
            r#"event_bus_relay_published_total{service="shop"} 1"#,
            r#"event_bus_relay_lease_held{service="shop"} 8"#,
            r#"event_bus_outbox_pending{service="shop"} 7"#,
            r#"event_bus_outbox_oldest_age_seconds{service="shop"} 1.5"#,
            r#"event_bus_outbox_quarantined{service="shop"} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn series_are_there_from_the_start_and_count_what_was_committed() {
        let metrics = Metrics::default();
        let (group, topic) = (GroupName::new("g").unwrap(), TopicName::new("t").unwrap());
        let subscription = metrics.of(&group, &topic);
        let now = Instant::now();
        let labels = r#"{consumergroup="g",topic="t"}"#;
        let has = |line: &str| {
            let text = metrics.encode(now).unwrap();
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        };
        has(&format!("event_bus_handled_events_total{labels} 0"));
        has(&format!("event_bus_watermark_age_seconds{labels} 0.0"));
        subscription.committed(&Tally { handled: 3, duplicates: 1, dead: vec![Reason::Rejected] });
        subscription.handler_took(Duration::from_millis(2));
        let oldest = now.checked_sub(Duration::from_secs(7));
        subscription.note(Gauges { in_flight: 2, waiting_keys: 1, oldest });
        has(&format!("event_bus_handled_events_total{labels} 3"));
        has(&format!("event_bus_duplicate_events_total{labels} 1"));
        has(r#"event_bus_dead_letters_total{consumergroup="g",topic="t",reason="rejected"} 1"#);
        has(r#"event_bus_handler_seconds_bucket{le="0.001",consumergroup="g",topic="t"} 0"#);
        has(&format!("event_bus_handler_seconds_count{labels} 1"));
        has(&format!("event_bus_events_in_flight{labels} 2"));
        has(&format!("event_bus_watermark_age_seconds{labels} 7.0"));
    }
}
