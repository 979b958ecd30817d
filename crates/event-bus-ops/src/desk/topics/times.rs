//! When the records of partitions were written. Kafka looks into each partition for that, which takes as long as there are
//! partitions: so they are asked for beside those who look, and kept for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::{Admin, TopicPartition};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// How long a look waits for what is being asked for.
const PATIENCE: Duration = Duration::from_millis(100);
/// They are kept at least for so long,
const KEPT: Duration = Duration::from_secs(1);
/// and for so many times of what it took to ask: Kafka has other things to do.
const KEPT_TIMES: u32 = 20;

/// What Kafka said last.
#[derive(Debug)]
pub(in crate::desk) struct Times {
    told: watch::Sender<Option<Arc<Told>>>,
    /// One asks at a time.
    place: Arc<Semaphore>,
}

/// What it said at one time.
#[derive(Debug)]
pub(super) struct Told {
    /// When.
    pub at: Timestamp,
    /// Of each partition that has records, the times of its first and of its newest one, in milliseconds.
    pub times: BTreeMap<TopicPartition, (i64, i64)>,
    fresh_until: Instant,
}

impl Times {
    pub(in crate::desk) fn new() -> Arc<Self> {
        Arc::new(Self { told: watch::Sender::new(None), place: Arc::new(Semaphore::new(1)) })
    }

    /// What is known of these partitions: nothing before Kafka has told it for the first time, and what it said before
    /// where it takes its time.
    pub(super) async fn known(
        self: &Arc<Self>,
        admin: &Admin,
        partitions: Vec<TopicPartition>,
    ) -> Option<Arc<Told>> {
        let mut told = self.told.subscribe();
        let last = told.borrow_and_update().clone();
        if last.as_ref().is_some_and(|told| Instant::now() < told.fresh_until) {
            return last;
        }
        if let Ok(place) = Arc::clone(&self.place).try_acquire_owned() {
            let (times, admin) = (Arc::clone(self), admin.clone());
            tokio::spawn(async move {
                times.ask(&admin, partitions).await;
                drop(place);
            });
        }
        match timeout(PATIENCE, told.changed()).await {
            Ok(Ok(())) => told.borrow().clone(),
            _ => last,
        }
    }

    async fn ask(&self, admin: &Admin, partitions: Vec<TopicPartition>) {
        let (at, begun) = (Timestamp::now(), Instant::now());
        match admin.times(partitions).await {
            Ok(times) => {
                let kept = begun.elapsed().saturating_mul(KEPT_TIMES).max(KEPT);
                let fresh_until = Instant::now() + kept;
                self.told.send_replace(Some(Arc::new(Told { at, times, fresh_until })));
            }
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "Kafka does not tell when records were written; the page of topics shows what it said before"
                );
            }
        }
    }
}
