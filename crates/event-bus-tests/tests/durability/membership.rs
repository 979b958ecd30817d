//! Members of a consumer group that commit often, and note which commits were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event_bus::names::{GroupName, TopicName};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::ledger::{Name, Place};

const POLL: Duration = Duration::from_millis(10);

/// How long a member handles records before it commits.
const COMMIT_EVERY: Duration = Duration::from_millis(20);

const MEMBERS: usize = 2;

/// What the members know.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The highest acknowledged commit of each partition.
    pub committed: BTreeMap<i32, i64>,
    pub commits: u64,
    pub handled: BTreeMap<Place, Name>,
    /// Rewound partitions and changed records.
    pub complaints: Vec<String>,
}

/// The running members. They end with this value.
pub struct Members {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    commits: watch::Sender<u64>,
    is_over: AtomicBool,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    /// Starts the members.
    pub fn start(bootstrap: &str, group: &GroupName, topic: &TopicName) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for _ in 0..MEMBERS {
            let consumer = consumer(bootstrap, group, Rebalanced::with(&shared));
            consumer.subscribe(&[topic.as_str()]).expect("the topic's name is valid");
            let topic = topic.clone();
            threads.push(std::thread::spawn(move || take_part(&consumer, &topic)));
        }
        Self { threads, shared }
    }

    /// What is known by now.
    pub fn progress(&self) -> Progress {
        self.shared.progress().clone()
    }

    /// The number of acknowledged commits, to wait on.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if !std::thread::panicking() {
                thread.join().expect("a member does not panic");
            }
        }
    }
}

/// Hears of assignments, and notes what was acknowledged.
struct Rebalanced {
    shared: Arc<Shared>,
    /// By partition: where its next record may be at the earliest, for as long as none came since its assignment.
    from: Mutex<BTreeMap<i32, i64>>,
}

impl Rebalanced {
    fn with(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), from: Mutex::default() }
    }

    fn from(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledged(&self, offsets: &TopicPartitionList) {
        let mut progress = self.shared.progress();
        for element in offsets.elements() {
            if let Offset::Offset(offset) = element.offset() {
                let highest = progress.committed.entry(element.partition()).or_default();
                *highest = offset.max(*highest);
            }
        }
        progress.commits += 1;
        self.shared.commits.send_replace(progress.commits);
    }

    fn handle(&self, place: Place, name: Name) {
        let mut progress = self.shared.progress();
        if let Some(from) = self.from().remove(&place.0)
            && place.1 < from
        {
            let wrong = format!(
                "partition {} was committed up to {from} and begins at {}",
                place.0, place.1
            );
            progress.complaints.push(wrong);
        }
        if let Some(before) = progress.handled.insert(place, name)
            && before != name
        {
            progress.complaints.push(format!("{place:?} was {before} and is {name}"));
        }
    }
}

impl ClientContext for Rebalanced {}

impl ConsumerContext for Rebalanced {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            // The offsets to begin at are asked for after this, so what is acknowledged now is below them.
            let committed = &self.shared.progress().committed;
            self.from().extend(list.elements().iter().map(|element| {
                (element.partition(), committed.get(&element.partition()).copied().unwrap_or(0))
            }));
        }
    }
}

fn take_part(consumer: &BaseConsumer<Rebalanced>, topic: &TopicName) {
    let context = Arc::clone(consumer.context());
    let mut done = BTreeMap::new();
    let mut committed_at = Instant::now();
    while !context.shared.is_over.load(Ordering::Relaxed) {
        if let Some(Ok(message)) = consumer.poll(POLL) {
            let name = Name::of(message.payload().expect("each record has a value"));
            context.handle((message.partition(), message.offset()), name);
            done.insert(message.partition(), message.offset() + 1);
        }
        if committed_at.elapsed() >= COMMIT_EVERY && !done.is_empty() {
            commit(consumer, topic, &std::mem::take(&mut done));
            committed_at = Instant::now();
        }
    }
}

/// Commits what is still assigned: another member may have taken the rest, and gone on.
fn commit(consumer: &BaseConsumer<Rebalanced>, topic: &TopicName, done: &BTreeMap<i32, i64>) {
    let Ok(assigned) = consumer.assignment() else { return };
    let mut list = TopicPartitionList::new();
    for (partition, offset) in done {
        if assigned.find_partition(topic.as_str(), *partition).is_some() {
            let offset = Offset::Offset(*offset);
            list.add_partition_offset(topic.as_str(), *partition, offset).expect("a valid offset");
        }
    }
    // The client calls back for no asynchronous commit. One that is refused, for the broker or the membership is gone,
    // is made up for by a later one.
    if list.count() > 0 && consumer.commit(&list, CommitMode::Sync).is_ok() {
        consumer.context().acknowledged(&list);
    }
}

fn consumer(bootstrap: &str, group: &GroupName, context: Rebalanced) -> BaseConsumer<Rebalanced> {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", bootstrap),
        ("group.id", group.as_str()),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "200"),
        ("check.crcs", "true"),
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "100"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.error.backoff.ms", "50"),
    ] {
        config.set(name, value);
    }
    BaseConsumer::from_config_and_context(&config, context).expect("a member can be made")
}
