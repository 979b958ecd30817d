//! A transactional producer: what it committed is there whole, what it aborted is not there at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use event_bus::kafka::Record;
use event_bus::names::TopicName;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// A transaction's end waits for its delivery reports, which this client's own thread takes.
type Client = ThreadedProducer<DefaultProducerContext>;

/// Records of one transaction, each in a partition of its own.
const RECORDS: i32 = 3;

/// One try of a call; a call that ran into it is made again.
const TRY: Duration = Duration::from_secs(2);

/// How a transaction ended, as far as its producer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// The producer had to be replaced before it knew.
    Unknown,
}

/// Outcomes by the transaction's number.
pub type Outcomes = BTreeMap<u64, Outcome>;

/// The running producer. It ends with this value.
pub struct Transacting {
    outcomes: Arc<Mutex<Outcomes>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Transacting {
    /// Starts to run one transaction after the other.
    pub fn start(bootstrap: &str, topic: &TopicName) -> Self {
        let (outcomes, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let session = Session {
            bootstrap: bootstrap.to_owned(),
            topic: topic.clone(),
            outcomes: Arc::clone(&outcomes),
            is_over: Arc::clone(&is_over),
        };
        let thread = Some(std::thread::spawn(move || session.run()));
        Self { outcomes, is_over, thread }
    }

    /// Ends after the transaction that is under way. The broker has to be there.
    pub async fn settle(&mut self) -> Outcomes {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it runs");
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let joined = tokio::time::timeout(Duration::from_secs(60), joined).await;
        joined.expect("the transaction ends in time").expect("it is joined").expect("no panic");
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Transacting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

struct Session {
    bootstrap: String,
    topic: TopicName,
    outcomes: Arc<Mutex<Outcomes>>,
    is_over: Arc<AtomicBool>,
}

/// The producer can't go on: another one with its id takes over.
struct Replace;

impl Session {
    fn run(self) {
        let mut number = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let Ok(producer) = self.producer() else { continue };
            while !self.is_over.load(Ordering::Relaxed) {
                let outcome = self.transact(&producer, number);
                let known = outcome.as_ref().copied().unwrap_or(Outcome::Unknown);
                self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(number, known);
                number += 1;
                if outcome.is_err() {
                    break;
                }
            }
        }
        // What the last producer left open is ended by its successor.
        while self.producer().is_err() {}
    }

    fn producer(&self) -> Result<Client, Replace> {
        let producer: Client = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", self.topic.as_str())
            .set("transaction.timeout.ms", "30000")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a producer can be made");
        self.until_done(|| producer.init_transactions(TRY))?;
        Ok(producer)
    }

    fn transact(&self, producer: &Client, number: u64) -> Result<Outcome, Replace> {
        producer.begin_transaction().map_err(|_| Replace)?;
        for partition in 0..RECORDS {
            let value = number.to_string();
            let record =
                BaseRecord::<(), str>::to(self.topic.as_str()).payload(&value).partition(partition);
            producer.send(record).map_err(|_| Replace)?;
        }
        // Every third is given up.
        if number % 3 != 2 {
            match self.until_done(|| producer.commit_transaction(TRY)) {
                Ok(Done::Well) => return Ok(Outcome::Committed),
                Ok(Done::MustAbort) => {}
                Err(replace) => return Err(replace),
            }
        }
        match self.until_done(|| producer.abort_transaction(TRY)) {
            Ok(Done::Well) => Ok(Outcome::Aborted),
            Ok(Done::MustAbort) | Err(_) => Err(Replace),
        }
    }

    fn until_done(
        &self,
        mut call: impl FnMut() -> Result<(), KafkaError>,
    ) -> Result<Done, Replace> {
        loop {
            match call() {
                Ok(()) => return Ok(Done::Well),
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    return Ok(Done::MustAbort);
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                Err(KafkaError::Flush(_)) => {}
                Err(_) => return Err(Replace),
            }
        }
    }
}

enum Done {
    Well,
    MustAbort,
}

/// What is wrong with what a read_committed consumer saw of the topic.
pub fn contradictions(outcomes: &Outcomes, records: &[Record]) -> Vec<String> {
    let mut places: BTreeMap<u64, Vec<i32>> = BTreeMap::new();
    let mut last: BTreeMap<i32, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for record in records {
        let value = record.value.as_deref().expect("each record has a value");
        let number = std::str::from_utf8(value).expect("text").parse().expect("a number");
        places.entry(number).or_default().push(record.partition);
        let before = last.insert(record.partition, number);
        if before.is_some_and(|before| before >= number) {
            wrong.push(format!("transaction {number} follows {before:?} in {}", record.partition));
        }
    }
    let whole: Vec<i32> = (0..RECORDS).collect();
    for (number, outcome) in outcomes {
        let mut found = places.remove(number).unwrap_or_default();
        found.sort_unstable();
        let is_right = match outcome {
            Outcome::Committed => found == whole,
            Outcome::Aborted => found.is_empty(),
            Outcome::Unknown => found.is_empty() || found == whole,
        };
        if !is_right {
            wrong.push(format!("transaction {number} ended {outcome:?} and is in {found:?}"));
        }
    }
    wrong.extend(places.keys().map(|number| format!("transaction {number} never was")));
    wrong
}
