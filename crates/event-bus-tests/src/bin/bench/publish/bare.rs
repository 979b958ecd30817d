//! Bare calls of the client, with the library's settings.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use event_bus::envelope::OutgoingRecord;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::Load;
use super::turn::{Took, Turn};

/// A client of its own, used from several threads.
pub struct BareClient {
    producer: ThreadedProducer<Windows>,
}

/// The threads' events under way.
struct Windows(Vec<Window>);

/// The events of one thread that Kafka acknowledged, and what the thread waits for.
#[derive(Default)]
struct Window {
    acknowledged: AtomicUsize,
    awaited: AtomicUsize,
    lock: Mutex<()>,
    reached: Condvar,
}

impl Window {
    fn acknowledge(&self) {
        let acknowledged = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        // Either this sees the awaited count or `wait_for` sees this one: both write first and look then.
        if acknowledged == self.awaited.load(Ordering::SeqCst) {
            drop(self.lock.lock());
            self.reached.notify_one();
        }
    }

    fn wait_for(&self, count: usize) {
        self.awaited.store(count, Ordering::SeqCst);
        let mut lock = self.lock.lock().expect("nothing panics under the lock");
        while self.acknowledged.load(Ordering::SeqCst) < count {
            lock = self.reached.wait(lock).expect("nothing panics under the lock");
        }
    }
}

impl ClientContext for Windows {}

impl ProducerContext for Windows {
    /// The thread that sent the event.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, thread: usize) {
        assert!(result.is_ok(), "the bare client lost an event: {result:?}");
        self.0[thread].acknowledge();
    }
}

impl BareClient {
    pub fn connect(bootstrap: &str, load: Load) -> BareClient {
        let mut config = ClientConfig::new();
        for (name, value) in [
            ("bootstrap.servers", bootstrap),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "0"),
            ("linger.ms", "5"),
            ("compression.type", "lz4"),
        ] {
            config.set(name, value);
        }
        let windows = Windows((0..load.tasks).map(|_| Window::default()).collect());
        let producer = ThreadedProducer::from_config_and_context(&config, windows);
        BareClient { producer: producer.expect("a bare producer can be made") }
    }

    /// Sends the records in turn from as many threads as the publisher has tasks.
    pub fn send(&self, records: &[OutgoingRecord], load: Load) -> Took {
        let turn = Turn::start();
        std::thread::scope(|scope| {
            for thread in 0..load.tasks {
                scope.spawn(move || self.send_from(thread, records, load));
            }
        });
        turn.took(load.tasks * load.events)
    }

    fn send_from(&self, thread: usize, records: &[OutgoingRecord], load: Load) {
        let window = &self.producer.context().0[thread];
        window.acknowledged.store(0, Ordering::SeqCst);
        let mut waited_for = 0;
        for (sent, record) in records.iter().cycle().take(load.events).enumerate() {
            if sent - waited_for == load.under_way {
                waited_for += load.under_way / 2;
                window.wait_for(waited_for);
            }
            let sent = self.producer.send(native(record, thread));
            sent.map_err(|(error, _)| error).expect("the client has room for a window");
        }
        window.wait_for(load.events);
    }
}

fn native(record: &OutgoingRecord, thread: usize) -> BaseRecord<'_, [u8], [u8], usize> {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    let mut native = BaseRecord::with_opaque_to(record.topic.as_ref(), thread);
    native.key = record.key.as_deref();
    native.payload = record.value.as_deref();
    native.headers = Some(record.headers.iter().fold(headers, |list, header| {
        list.insert(Header { key: &header.name, value: header.value.as_deref() })
    }));
    native
}
