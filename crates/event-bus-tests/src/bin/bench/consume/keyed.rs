//! W3: handlers that wait 5 ms, at most 256 at once, in order per key.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_bus::{Event, Handled, StatelessContext, StatelessHandler, StatelessService};

use super::event::{OrderPlaced, catalogue, preload};
use super::mark::Mark;
use super::running::Running;
use super::tally::Tally;
use super::{Servers, rate};
use crate::publish::turn::Quartiles;

const KEYS: u32 = 1_000;
const WAIT: Duration = Duration::from_millis(5);
const AT_ONCE: usize = 256;

/// Waits, and notes who ran when.
struct Waits {
    tally: Arc<Tally>,
    running: AtomicUsize,
    most: AtomicUsize,
    runs: Mutex<Vec<Run>>,
}

struct Run {
    key: String,
    /// Events are numbered by their time.
    number: jiff::Timestamp,
    began: Instant,
    ended: Instant,
}

impl StatelessHandler<OrderPlaced> for Arc<Waits> {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.tally.begin();
        let began = Instant::now();
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        // It never gets what it waits for.
        drop(tokio::time::timeout(WAIT, pending::<()>()).await);
        self.running.fetch_sub(1, Ordering::Relaxed);
        let (key, number) = (event.payload.order_id, event.occurred_at);
        let run = Run { key, number, began, ended: Instant::now() };
        self.runs.lock().expect("nobody panics while noting").push(run);
        self.tally.add(1);
        Ok(())
    }
}

/// The rate, and whether the order was kept.
pub async fn run(servers: &Servers, events: usize, rounds: usize) -> Vec<Mark> {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        rates.push(consume(servers, events).await);
    }
    let rate = Quartiles::of(rates.into_iter()).median();
    vec![Mark::at_least("W3 events/s", rate, 27_800.0)]
}

async fn consume(servers: &Servers, events: usize) -> f64 {
    let kafka = servers.kafka();
    let catalogue = catalogue(&kafka, &format!("execution = \"concurrent({AT_ONCE})\"")).await;
    preload(&servers.bootstrap, &catalogue, events, KEYS, 0);
    let waits = Arc::new(Waits {
        tally: Arc::new(Tally::of(events)),
        running: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        runs: Mutex::default(),
    });
    let service =
        StatelessService::new("payment", catalogue, kafka).expect("it is in the contract");
    let running = Running::start_stateless(service.on::<OrderPlaced>(Arc::clone(&waits)));
    let began = waits.tally.full().await;
    let rate = rate(events, began.elapsed());
    running.stop().await;
    let most = waits.most.load(Ordering::Relaxed);
    let runs = std::mem::take(&mut *waits.runs.lock().expect("nobody panics while noting"));
    assert_eq!(runs.len(), events, "each event is handled once in a run without a crash");
    assert_in_order(runs);
    assert!(most <= AT_ONCE, "{most} handlers at once");
    println!(
        "W3 handlers that wait {WAIT:?}: {rate:.0}/s, up to {most} at once, order per key kept"
    );
    rate
}

/// Per key, no handler begins before the one of the event before has ended.
fn assert_in_order(runs: Vec<Run>) {
    let mut keys: HashMap<String, Vec<Run>> = HashMap::new();
    for run in runs {
        keys.entry(run.key.clone()).or_default().push(run);
    }
    for (key, mut runs) in keys {
        runs.sort_by_key(|run| run.number);
        let in_order = runs.windows(2).all(|pair| pair[0].ended <= pair[1].began);
        assert!(in_order, "the events of {key} ran out of order");
    }
}
