//! A consumer without a group that reads a topic from its start and remembers each record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use event_bus::names::TopicName;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::ledger::{Name, Place};

const POLL: Duration = Duration::from_millis(50);

/// How long the follower may need to see what is there.
const SEES_WITHIN: Duration = Duration::from_secs(60);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub log: BTreeMap<Place, Name>,
    /// Where a record was not the one that follows its predecessor.
    pub complaints: Vec<String>,
}

impl Seen {
    fn end(&self, partition: i32) -> i64 {
        self.log.range((partition, 0)..(partition + 1, 0)).next_back().map_or(0, |(at, _)| at.1 + 1)
    }

    fn see(&mut self, place: Place, name: Name) {
        let wanted = self.end(place.0);
        if place.1 != wanted {
            self.complaints.push(format!("{name} came at {place:?} where {wanted} was due"));
        }
        self.log.insert(place, name);
    }
}

/// The reading thread. It ends with this value.
pub struct Follower {
    seen: watch::Receiver<Seen>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to read.
    pub fn start(bootstrap: &str, topic: &TopicName, partitions: i32) -> Self {
        let consumer = consumer(bootstrap, topic, partitions);
        let (sender, seen) = watch::channel(Seen::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // The client goes on by itself after each error; what does not come is noticed by who waits for it.
                let Some(Ok(message)) = consumer.poll(POLL) else { continue };
                let name = Name::of(message.payload().expect("each record has a value"));
                sender.send_modify(|seen| seen.see((message.partition(), message.offset()), name));
            }
        });
        Self { seen, is_over, thread: Some(thread) }
    }

    /// What was seen by now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until everything before these ends was seen.
    pub async fn reaches(&mut self, ends: &BTreeMap<i32, i64>) {
        let reached = self
            .seen
            .wait_for(|seen| ends.iter().all(|(partition, end)| seen.end(*partition) >= *end));
        let reached = tokio::time::timeout(SEES_WITHIN, reached).await.is_ok();
        let seen = self.seen();
        let at: Vec<_> = ends.keys().map(|partition| seen.end(*partition)).collect();
        assert!(reached, "a consumer is at {at:?} and should reach {ends:?}");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the follower panicked");
        }
    }
}

fn consumer(bootstrap: &str, topic: &TopicName, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "not a member of any group")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .create()
        .expect("a consumer can be made");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic.as_str(), partition, Offset::Offset(0))
            .expect("a valid offset");
    }
    consumer.assign(&list).expect("the partitions can be assigned");
    consumer
}
