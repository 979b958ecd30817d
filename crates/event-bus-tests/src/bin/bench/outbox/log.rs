//! What came to the topic.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::rows::{KEYS, key, number_in};
use super::{PARTITIONS, Turn};

/// How long nothing may come before the run has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// Reads a topic from its begin.
pub struct Log {
    consumer: BaseConsumer,
    /// The last number of each key.
    last: Vec<Option<usize>>,
    count: usize,
}

/// A row that the broker appended.
pub struct Appended {
    pub number: usize,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Log {
    pub fn open(bootstrap: &str, turn: &Turn) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("a consumer can be made");
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(turn.topic.as_ref(), partition, Offset::Beginning)
                .expect("an offset");
        }
        consumer.assign(&all).expect("its partitions are assigned");
        Self { consumer, last: vec![None; KEYS], count: 0 }
    }

    /// The next row, checked: once, under its key, and in its writer's order.
    pub fn next(&mut self) -> Appended {
        let deadline = Instant::now() + SILENCE;
        let mut last_error = None;
        loop {
            assert!(
                Instant::now() < deadline,
                "nothing came behind {} rows: {last_error:?}",
                self.count
            );
            let message = match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    last_error = Some(error);
                    continue;
                }
                None => continue,
            };
            let number = number_in(message.payload().expect("it has a value"));
            assert_eq!(message.key(), Some(key(number).as_bytes()), "{number}");
            let last = self.last[number % KEYS].replace(number);
            assert!(last.is_none_or(|last| last < number), "{number} came behind {last:?}");
            self.count += 1;
            let at_ms = message.timestamp().to_millis().expect("it tells its time");
            return Appended { number, at_ms };
        }
    }

    /// The next `rows` rows.
    pub fn take(&mut self, rows: usize) -> Vec<Appended> {
        (0..rows).map(|_| self.next()).collect()
    }
}
