//! The lag of all consumer groups, for Prometheus: collected again and again, by itself, and told as often as it is asked
//! for. Names and labels are those of kafka_exporter where that has them.

mod collection;
mod exposition;
mod past;
mod tails;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::{Admin, Wanted};
use event_bus::store::ops::{OpenLetters, OpsStore};
use event_bus::{Catalogue, KafkaConfig};

pub use exposition::Exposition;

use collection::Collection;
use past::Past;
use tails::Tails;

/// What was collected counts for so many pauses; then nothing is told rather than what is no longer true.
const COUNTS_FOR: u32 = 6;
/// And for so long at least: a collection takes its time where brokers do not answer.
const COUNTS_FOR_AT_LEAST: Duration = Duration::from_secs(60);

/// Collects the lag of a cluster's groups. Clones share it.
#[derive(Clone, Debug)]
pub struct LagCollector(Arc<Shared>);

struct Shared {
    catalogue: Arc<Catalogue>,
    wanted: Wanted,
    pause: Duration,
    told: Mutex<Told>,
    /// Brokers, groups and partitions that did not answer, over all collections.
    failures: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LagCollector").field("pause", &self.pause).finish_non_exhaustive()
    }
}

/// What was collected last.
#[derive(Clone, Debug, Default)]
struct Told {
    lag: Option<Arc<Collection>>,
    open: Option<Arc<Vec<OpenLetters>>>,
    last: Option<Last>,
}

/// The last collection that was complete.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: SystemTime,
    /// When it was complete, by a clock that does not jump.
    since: Instant,
    took: Duration,
}

impl LagCollector {
    /// For all groups and topics that are wanted. The catalogue's groups are told of also where they never committed: they
    /// begin with the earliest event. The next collection begins `pause` after the last one began, or once it ends.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, wanted: Wanted, pause: Duration) -> Self {
        let (told, failures) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Shared { catalogue, wanted, pause, told, failures }))
    }

    /// Collects until `stop` completes. What can't be asked for is logged, and counted.
    pub async fn run(
        &self,
        admin: Admin,
        kafka: KafkaConfig,
        store: &OpsStore,
        stop: impl Future<Output = ()>,
    ) {
        let mut round = Round { admin, past: Past::new(), tails: Tails::new(kafka), failed: 0 };
        let mut stop = pin!(stop);
        let mut ticks = tokio::time::interval(self.0.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stop => return,
            }
            tokio::select! {
                () = self.collect(&mut round, store) => {}
                () = &mut stop => return,
            }
        }
    }

    async fn collect(&self, round: &mut Round, store: &OpsStore) {
        let (lag, open) = tokio::join!(self.collect_lag(round), store.open_letters());
        let mut failed = 0;
        match lag {
            Some((collection, failures)) => {
                failed += failures;
                let last =
                    Last { at: SystemTime::now(), since: Instant::now(), took: collection.took };
                let mut told = self.told();
                (told.lag, told.last) = (Some(Arc::new(collection)), Some(last));
            }
            None => failed += 1,
        }
        match open {
            Ok(open) => self.told().open = Some(Arc::new(open)),
            Err(error) => {
                failed += 1;
                self.told().open = None;
                tracing::warn!(error = error_chain(&error), "open dead letters were not counted");
            }
        }
        self.0.failures.fetch_add(failed, Ordering::Relaxed);
    }

    /// What Kafka tells, and how much of it is missing.
    async fn collect_lag(&self, round: &mut Round) -> Option<(Collection, u64)> {
        let started = Instant::now();
        let survey = match round.admin.survey(&self.0.wanted).await {
            Ok(survey) => survey,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "no lag was collected");
                return None;
            }
        };
        let failures = survey.failures.len() + survey.leaderless.len();
        // Each time another number is worth a line, not each collection.
        if failures != round.failed {
            round.failed = failures;
            let leaderless = survey
                .leaderless
                .first()
                .map(|at| format!("{}[{}]: no leader", at.topic, at.partition));
            if let Some(first) = survey.failures.first().or(leaderless.as_ref()) {
                tracing::warn!(failures, first, "a part of the lag was not told");
            } else {
                tracing::info!("all of the lag is told again");
            }
        }
        let now = round.past.note(&round.admin, &survey).await;
        let mut collection = Collection::of(survey, &self.0, &round.past, now);
        let last = self.told().lag.clone();
        round.tails.correct(&mut collection, last.as_deref()).await;
        collection.took = started.elapsed();
        Some((collection, failures as u64))
    }

    /// What is known now, in pieces of text.
    #[must_use]
    pub fn exposition(&self) -> Exposition {
        let Told { lag, open, last } = self.told().clone();
        let counts_for = (self.0.pause * COUNTS_FOR).max(COUNTS_FOR_AT_LEAST);
        let lag = lag.filter(|_| last.is_some_and(|last| last.since.elapsed() <= counts_for));
        Exposition::new(exposition::Source {
            lag,
            topics: self.0.catalogue.events().map(|event| event.topic.to_string()).collect(),
            open,
            last: last.map(|last| (last.at, last.took)),
            failures: self.0.failures.load(Ordering::Relaxed),
        })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Each change is one assignment, so a panic leaves nothing half done.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one collection leaves to the next.
struct Round {
    admin: Admin,
    past: Past,
    tails: Tails,
    /// How much the last one did not get to know.
    failed: usize,
}
