//! Asks Kafka how the bus is, again and again, and keeps what it said last.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_bus::Catalogue;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use event_bus::names::{EventName, GroupName, ServiceName};
use event_bus::store::{Backlog, Store};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::health::{Health, Problem};
use crate::history::{History, Moment};
use crate::progress::{Progress, STALLED_AFTER};
use crate::snapshot::Snapshot;

/// How old the last answer may be: some rounds of questions, on a slow machine.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// How long a service's database may take to answer.
const STORE_ANSWER: Duration = Duration::from_secs(5);

/// What is known of the bus. Clones share it.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What Kafka is asked for; nothing where only a database is looked at.
    catalogue: Option<Arc<Catalogue>>,
    /// Whose part of the catalogue is watched; all of it where nobody's.
    service: Option<ServiceName>,
    stalled_after: Duration,
    seen: Mutex<Seen>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
}

#[derive(Debug)]
struct Seen {
    is_started: bool,
    ended: Vec<Problem>,
    progress: Progress,
    history: History,
    answer: Answer,
    store: Vec<Problem>,
}

/// What became of the last question.
#[derive(Debug)]
enum Answer {
    NotAsked,
    None { since: Instant },
    Some { at: Instant, problems: Vec<Problem> },
    Refused { error: String },
}

impl Watch {
    /// Watches all of the catalogue. Nothing is known yet, so nothing is ready.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self::over(Some(catalogue), None, STALLED_AFTER)
    }

    /// Watches what concerns one service, which is stalled once it is behind and has settled nothing for so long.
    #[must_use]
    pub fn of_service(
        catalogue: Arc<Catalogue>,
        service: ServiceName,
        stalled_after: Duration,
    ) -> Self {
        Self::over(Some(catalogue), Some(service), stalled_after)
    }

    /// Watches an outbox and nothing else, which is stalled once its first row has waited for so long.
    #[must_use]
    pub fn of_outbox(stalled_after: Duration) -> Self {
        Self::over(None, None, stalled_after)
    }

    fn over(
        catalogue: Option<Arc<Catalogue>>,
        service: Option<ServiceName>,
        stalled_after: Duration,
    ) -> Self {
        let seen = Seen {
            is_started: false,
            ended: Vec::new(),
            progress: Progress::default(),
            history: History::default(),
            answer: match catalogue {
                Some(_) => Answer::None { since: Instant::now() },
                None => Answer::NotAsked,
            },
            store: Vec::new(),
        };
        let shared = Shared {
            catalogue,
            service,
            stalled_after,
            seen: Mutex::new(seen),
            snapshots: watch::Sender::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Asks until `stop` completes, with a pause between an answer and the next question.
    pub async fn run(&self, admin: Admin, pause: Duration, stop: impl Future<Output = ()>) {
        let Some(catalogue) = &self.shared.catalogue else { return stop.await };
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                taken = Snapshot::take(&admin, catalogue, self.shared.service.as_ref()) => {
                    self.note(taken.map_err(|error| error_chain(&error)));
                }
                () = &mut stop => return,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut stop => return,
            }
        }
    }

    /// Takes note of an answer, or of why there is none.
    fn note(&self, taken: Result<Snapshot, String>) {
        let mut seen = self.seen();
        match taken {
            Ok(snapshot) => {
                seen.progress.note(&snapshot.groups, snapshot.at);
                seen.history.note(&snapshot);
                seen.answer = Answer::Some { at: snapshot.at, problems: problems_of(&snapshot) };
                drop(seen);
                self.shared.snapshots.send_replace(Some(Arc::new(snapshot)));
            }
            Err(error) => seen.answer = Answer::Refused { error },
        }
    }

    /// Looks at a service's database until `stop` completes, with a pause between an answer and the next question.
    pub async fn look_at_store(
        &self,
        store: &Store,
        pause: Duration,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop);
        let mut answered = Instant::now();
        loop {
            tokio::select! {
                asked = timeout(STORE_ANSWER, store.outbox_backlog()) => match asked {
                    Ok(Ok(backlog)) => {
                        answered = Instant::now();
                        self.seen().store = self.problems_of(backlog);
                    }
                    Ok(Err(error)) => {
                        let error = error_chain(&error);
                        self.seen().store = vec![Problem::DatabaseUnreachable { error }];
                    }
                    // Handlers may have all connections, and work well with them.
                    Err(_) if answered.elapsed() < self.shared.stalled_after => {}
                    Err(_) => {
                        let error = format!("no answer for {} s", answered.elapsed().as_secs());
                        self.seen().store = vec![Problem::DatabaseUnreachable { error }];
                    }
                },
                () = &mut stop => return,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut stop => return,
            }
        }
    }

    fn problems_of(&self, backlog: Backlog) -> Vec<Problem> {
        let stalled = backlog
            .oldest
            .filter(|age| *age >= self.shared.stalled_after)
            .map(|age| Problem::OutboxStalled { seconds: age.as_secs() });
        let quarantined = (backlog.quarantined > 0)
            .then_some(Problem::OutboxQuarantined { rows: backlog.quarantined });
        stalled.into_iter().chain(quarantined).collect()
    }

    /// The start is complete: from now on, what is not well is a problem.
    pub fn started(&self) {
        self.seen().is_started = true;
    }

    /// A part of this process ended that should not have.
    pub fn part_ended(&self, part: impl Into<String>, error: impl Into<String>) {
        let problem = Problem::PartEnded { part: part.into(), error: error.into() };
        self.seen().ended.push(problem);
    }

    /// What is wrong at `now`.
    #[must_use]
    pub fn health(&self, now: Instant) -> Health {
        self.seen().health(now, self.shared.stalled_after)
    }

    /// The newest snapshot, and those to come; `None` until there is one.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.shared.snapshots.subscribe()
    }

    /// What Kafka said last, if it has said anything yet.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.shared.snapshots.borrow().clone()
    }

    /// How far a group was behind in the last hours: the highest of each step, and what is known now.
    #[must_use]
    pub fn lag_of(&self, group: &GroupName) -> Vec<Moment> {
        let newest = self.newest();
        newest.map(|newest| self.seen().history.lag_of(&newest, group)).unwrap_or_default()
    }

    /// How many events came to a topic in a second of late; `None` while too little was seen.
    #[must_use]
    pub fn rate_of(&self, event: &EventName) -> Option<f64> {
        let newest = self.newest()?;
        self.seen().history.rate_of(&newest, event)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Each change is one assignment, so a panic leaves nothing half done.
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn health(&self, now: Instant, stalled_after: Duration) -> Health {
        let mut problems = self.ended.clone();
        if !self.is_started {
            problems.push(Problem::Starting);
        }
        match &self.answer {
            Answer::Refused { error } => {
                problems.push(Problem::KafkaUnreachable { error: error.clone() });
            }
            Answer::None { since: last } | Answer::Some { at: last, .. }
                if now.saturating_duration_since(*last) >= SILENT_AFTER =>
            {
                let seconds = now.saturating_duration_since(*last).as_secs();
                let error = format!("no answer for {seconds} s");
                problems.push(Problem::KafkaUnreachable { error });
            }
            Answer::NotAsked => {}
            Answer::None { .. } => {
                if self.is_started {
                    problems.push(Problem::Starting);
                }
            }
            Answer::Some { problems: found, .. } => problems.extend(found.iter().cloned()),
        }
        problems.extend(self.store.iter().cloned());
        problems.extend(self.progress.stalled(now, stalled_after).map(|stalled| {
            Problem::Stalled {
                seconds: now.saturating_duration_since(stalled.since).as_secs(),
                group: stalled.group,
                topic: stalled.topic,
                partition: stalled.partition,
                lag: stalled.lag,
            }
        }));
        Health { problems }
    }
}

/// What a snapshot shows by itself.
fn problems_of(snapshot: &Snapshot) -> Vec<Problem> {
    let missing = snapshot
        .topics
        .iter()
        .filter(|topic| !topic.exists)
        .map(|topic| Problem::TopicMissing { topic: topic.topic.clone() });
    let lost = snapshot.groups.iter().filter(|group| group.lost() > 0).map(|group| {
        let (group, topic, lost) = (group.group.clone(), group.topic.clone(), group.lost());
        Problem::EventsLost { group, topic, lost }
    });
    missing.chain(lost).collect()
}

#[cfg(test)]
mod tests {
    use event_bus::catalogue::Catalogue;
    use event_bus::names::TopicName;

    use super::*;
    use crate::snapshot::TopicCount;

    const CATALOGUE: &str = r#"
        namespace = "corner"
        [services]
        shop = { title = "Shop" }
        [defaults]
        partitions = 1
        replication = 1
        min-insync-replicas = 1
        retention = "unlimited"
        dlq-retention = "unlimited"
        retry = ["500ms"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "30s"
        [events.OrderPlaced]
        topic = "order.placed"
        description = "A customer placed an order."
        producer = "shop"
        key = ["/tenant_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.shop]
        reads = []
    "#;

    fn watch() -> Watch {
        let schema =
            r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" }"#;
        let catalogue = Catalogue::parse("corner.toml", CATALOGUE, |_| Ok(schema.to_owned()));
        Watch::new(Arc::new(catalogue.unwrap()))
    }

    fn snapshot(at: Instant, exists: bool) -> Snapshot {
        let (event, topic) = ("OrderPlaced".parse().unwrap(), "corner.order.placed");
        let topic = TopicCount::of(event, TopicName::new(topic).unwrap());
        let topic = TopicCount { exists, events: 3, ..topic };
        Snapshot { at, topics: vec![topic], groups: Vec::new() }
    }

    fn kinds(watch: &Watch, now: Instant) -> Vec<String> {
        let problems = watch.health(now).problems;
        let kind =
            |problem| serde_json::to_value(problem).unwrap()["kind"].as_str().unwrap().to_owned();
        problems.iter().map(kind).collect()
    }

    #[test]
    fn nothing_is_ready_before_the_start_is_complete_and_kafka_has_answered() {
        let (watch, now) = (watch(), Instant::now());
        assert_eq!(kinds(&watch, now), ["starting"]);
        watch.note(Ok(snapshot(now, true)));
        assert_eq!(kinds(&watch, now), ["starting"]);
        watch.started();
        assert!(watch.health(now).is_ready());
    }

    #[test]
    fn an_outbox_alone_is_well_without_an_answer_of_kafka() {
        let (watch, now) = (Watch::of_outbox(Duration::from_secs(60)), Instant::now());
        assert_eq!(kinds(&watch, now), ["starting"]);
        watch.started();
        assert!(watch.health(now + SILENT_AFTER).is_ready());
        let oldest = Some(Duration::from_secs(61));
        watch.seen().store = watch.problems_of(Backlog { oldest, quarantined: 1 });
        assert_eq!(kinds(&watch, now), ["outbox-stalled", "outbox-quarantined"]);
    }

    #[test]
    fn silence_and_a_refusal_are_problems_and_an_answer_heals() {
        let (watch, now) = (watch(), Instant::now());
        watch.started();
        watch.note(Ok(snapshot(now, true)));
        assert_eq!(kinds(&watch, now + SILENT_AFTER), ["kafka-unreachable"]);
        watch.note(Err("connection refused".to_owned()));
        assert_eq!(kinds(&watch, now), ["kafka-unreachable"]);
        watch.note(Ok(snapshot(now, true)));
        assert!(watch.health(now).is_ready());
    }

    #[test]
    fn a_missing_topic_and_an_ended_part_are_problems() {
        let (watch, now) = (watch(), Instant::now());
        watch.started();
        watch.note(Ok(snapshot(now, false)));
        watch.part_ended("service brand", "a panic");
        assert_eq!(kinds(&watch, now), ["part-ended", "topic-missing"]);
    }
}
