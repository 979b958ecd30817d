//! Idempotent producers that keep a window of records under way, and note what becomes of each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use event_bus::envelope::OutgoingRecord;
use event_bus::kafka::producer::{OnDelivery, Producer};
use event_bus::names::{EventId, TopicName};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::broker::Broker;
use super::ledger::{Ledger, Name};

/// Records of one producer under way.
const WINDOW: usize = 40;

/// The producers' codecs, so that batches of each kind pass.
const CODECS: [&str; 3] = ["none", "lz4", "zstd"];

/// How long all that is under way may take to be acknowledged by a healthy broker.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// Counts that tests wait for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub sent: u64,
    pub acknowledged: u64,
}

/// The running producers.
pub struct Producing {
    state: Arc<State>,
    tasks: JoinSet<Producer>,
}

struct State {
    topic: TopicName,
    partitions: i32,
    padding: usize,
    ledger: Mutex<Ledger>,
    counts: watch::Sender<Counts>,
    stopping: watch::Sender<bool>,
    /// One permit for each record that may still be sent.
    allowance: Semaphore,
}

/// How much the producers send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// As fast as the broker takes it.
    Unbounded,
    /// What [`Producing::allow`] allows, and no more: the load must not fill a small disk by itself.
    Allowed,
}

impl State {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Producing {
    /// Starts the producers. Each value has `padding` bytes behind its name.
    pub fn start(
        broker: &Broker,
        topic: &TopicName,
        partitions: i32,
        padding: usize,
        pace: Pace,
    ) -> Self {
        let allowed = match pace {
            Pace::Unbounded => Semaphore::MAX_PERMITS,
            Pace::Allowed => 0,
        };
        let state = Arc::new(State {
            topic: topic.clone(),
            partitions,
            padding,
            ledger: Mutex::default(),
            counts: watch::Sender::default(),
            stopping: watch::Sender::default(),
            allowance: Semaphore::new(allowed),
        });
        let mut tasks = JoinSet::new();
        for (number, codec) in CODECS.iter().enumerate() {
            let kafka = broker.kafka(&[("compression.type", codec)]);
            let producer = Producer::connect(&kafka).expect("a producer can be made");
            tasks.spawn(produce(producer, number, Arc::clone(&state)));
        }
        Self { state, tasks }
    }

    /// Lets the producers send that many records more.
    pub fn allow(&self, records: usize) {
        self.state.allowance.add_permits(records);
    }

    /// What is known by now.
    pub fn ledger(&self) -> Ledger {
        self.state.ledger().clone()
    }

    /// Counts to wait on.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.state.counts.subscribe()
    }

    /// Sends nothing more, and waits until everything is acknowledged.
    pub async fn settle(&mut self) -> Ledger {
        self.state.stopping.send_replace(true);
        let mut producers = Vec::new();
        while let Some(producer) = self.tasks.join_next().await {
            producers.push(producer.expect("a producer does not panic"));
        }
        let mut counts = self.counts();
        let all = counts.wait_for(|counts| counts.acknowledged == counts.sent);
        let settled = tokio::time::timeout(SETTLES_WITHIN, all).await.is_ok();
        let ledger = self.ledger();
        assert!(settled, "{} records are not acknowledged: {:?}", ledger.open(), ledger.complaints);
        ledger
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.state.stopping.send_replace(true);
    }
}

async fn produce(producer: Producer, number: usize, state: Arc<State>) -> Producer {
    let window = Arc::new(Semaphore::new(WINDOW));
    let mut stopping = state.stopping.subscribe();
    for partition in (0..state.partitions).cycle() {
        let permit = async {
            let allowed = state.allowance.acquire().await.expect("the allowance stays open");
            allowed.forget();
            Arc::clone(&window).acquire_owned().await.expect("the window stays open")
        };
        let permit = tokio::select! {
            permit = permit => permit,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let name = state.ledger().next(number, partition);
        let told = Arc::clone(&state);
        let report = OnDelivery::Run(Box::new(move |report| {
            match report {
                Ok(at) => told.ledger().acknowledge(name, (at.partition, at.offset)),
                Err(error) => told.ledger().complaints.push(format!("{name}: {error}")),
            }
            told.counts.send_modify(|counts| counts.acknowledged += 1);
            drop(permit);
        }));
        state.counts.send_modify(|counts| counts.sent += 1);
        let record = record(&state.topic, name, state.padding);
        if let Err((error, _)) = producer.send(&record, report) {
            state.ledger().complaints.push(format!("{name} was not taken by the client: {error}"));
            break;
        }
    }
    producer
}

fn record(topic: &TopicName, name: Name, padding: usize) -> OutgoingRecord {
    OutgoingRecord {
        topic: topic.clone(),
        partition: Some(name.partition),
        key: None,
        value: Some(Bytes::from(format!("{name};{:padding$}", ""))),
        headers: Vec::new(),
        event_id: EventId::at(jiff::Timestamp::now()),
    }
}
