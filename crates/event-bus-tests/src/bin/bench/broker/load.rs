//! What the client does: produce as fast as it can, consume everything, produce at a steady rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::distr::Alphanumeric;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::side::{PARTITIONS, Topic};

/// Bytes of each record's value.
pub const RECORD_BYTES: usize = 400;

/// Records a second while latency is measured.
const STEADY_RATE: u32 = 500;

/// Nothing takes this long unless the broker hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Values that don't compress, sent in turn.
pub struct Values(Vec<String>);

impl Values {
    pub fn random() -> Self {
        let value = || rand::rng().sample_iter(Alphanumeric).take(RECORD_BYTES).map(char::from);
        Self((0..1_000).map(|_| value().collect()).collect())
    }

    fn endless(&self) -> impl Iterator<Item = &str> {
        self.0.iter().cycle().map(String::as_str)
    }
}

/// Counts acknowledgements, and how long each took.
struct Acknowledged {
    began: Instant,
    count: AtomicUsize,
    /// Whether latencies are kept: at full speed they would be the time in the client's queue.
    wants_latencies: bool,
    latencies: Mutex<Vec<Duration>>,
}

impl Acknowledged {
    fn now_us(&self) -> usize {
        usize::try_from(self.began.elapsed().as_micros()).expect("a benchmark ends within years")
    }
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    /// When the record was handed over, in microseconds since `began`.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        assert!(result.is_ok(), "a record was not acknowledged: {result:?}");
        if self.wants_latencies {
            let sent = Duration::from_micros(u64::try_from(sent).expect("it was one"));
            let took = self.began.elapsed().saturating_sub(sent);
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

fn producer(
    topic: &Topic<'_>,
    linger_ms: &str,
    wants_latencies: bool,
) -> ThreadedProducer<Acknowledged> {
    let mut config = topic.side.client();
    for (name, value) in [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("linger.ms", linger_ms),
        ("compression.type", "none"),
    ] {
        config.set(name, value);
    }
    let context = Acknowledged {
        began: Instant::now(),
        count: AtomicUsize::new(0),
        wants_latencies,
        latencies: Mutex::default(),
    };
    config.create_with_context(context).expect("a producer can be made")
}

/// How long it takes until that many records are acknowledged.
pub fn produce(topic: &Topic<'_>, values: &Values, records: usize) -> Duration {
    let producer = producer(topic, "5", false);
    // Connections, metadata and the producer's id are there before the clock runs.
    send(&producer, topic, "the first");
    producer.flush(LIMIT).expect("the record is acknowledged");
    let started = Instant::now();
    for value in values.endless().take(records) {
        send(&producer, topic, value);
    }
    producer.flush(LIMIT).expect("all records are acknowledged");
    let took = started.elapsed();
    assert_eq!(producer.context().count.load(Ordering::Relaxed), records + 1, "acknowledged");
    took
}

fn send(producer: &ThreadedProducer<Acknowledged>, topic: &Topic<'_>, value: &str) {
    let sent = producer.context().now_us();
    loop {
        let record = BaseRecord::<(), str, _>::with_opaque_to(&topic.name, sent).payload(value);
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("the client refuses a record: {error}"),
        }
    }
}

/// How long it takes to read all that was produced, on average of so many times.
pub fn consume(topic: &Topic<'_>, records: usize, times: u32) -> Duration {
    let consumer = consumer(topic.side.client());
    // Connections and leaders are known before the clock runs: while the client looks for a leader, it asks every
    // 100 ms, which is as long as half of the reading.
    assign(&consumer, topic, Offset::OffsetTail(1));
    read(&consumer, 1);
    let started = Instant::now();
    for _ in 0..times {
        assign(&consumer, topic, Offset::Offset(0));
        read(&consumer, records + 1);
    }
    started.elapsed() / times
}

fn assign(consumer: &BaseConsumer, topic: &Topic<'_>, from: Offset) {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&topic.name, partition, from).expect("a valid offset");
    }
    consumer.assign(&list).expect("the partitions can be assigned");
}

fn read(consumer: &BaseConsumer, records: usize) {
    for read in 0..records {
        match consumer.poll(LIMIT) {
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("reading fails: {error}"),
            None => panic!("only {read} of {records} records came within {LIMIT:?}"),
        }
    }
}

fn consumer(mut config: ClientConfig) -> BaseConsumer {
    for (name, value) in [
        ("group.id", "no group"),
        ("enable.auto.commit", "false"),
        ("check.crcs", "true"),
        ("auto.offset.reset", "error"),
        // At the end of the log, where the client finds its leaders, nothing is to be waited for.
        ("fetch.wait.max.ms", "10"),
    ] {
        config.set(name, value);
    }
    config.create().expect("a consumer can be made")
}

/// The time from each hand-over to its acknowledgement, at a rate that leaves the broker at rest in between.
pub async fn latencies(topic: &Topic<'_>, values: &Values, length: Duration) -> Vec<Duration> {
    let producer = producer(topic, "0", true);
    send(&producer, topic, "the first");
    producer.flush(LIMIT).expect("the record is acknowledged");
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / STEADY_RATE);
    let started = Instant::now();
    for value in values.endless() {
        if started.elapsed() >= length {
            break;
        }
        ticks.tick().await;
        send(&producer, topic, value);
    }
    producer.flush(LIMIT).expect("all records are acknowledged");
    let latencies = &producer.context().latencies;
    let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
    // The first waited for the connection.
    latencies.remove(0);
    latencies
}
