//! A producer whose events a thread of its own passes on.
//!
//! rdkafka's threaded producer does the same and waits in whole milliseconds: what is left of each wait it asks away without
//! a pause, which takes up to a hundredth of a processor for each producer that has nothing to do. This thread sleeps until
//! the client wakes it, and so its end waits for nothing either.
#![expect(unsafe_code, reason = "rdkafka has no safe call that has a queue wake somebody")]

use std::ffi::c_void;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka_sys as native;

use super::producer::Reports;

/// A producer and the thread. Dropping it waits for the thread, and then for what the client had not sent.
pub(super) struct PolledProducer {
    thread: Option<(JoinHandle<()>, Wakes)>,
    stops: Arc<AtomicBool>,
    producer: Arc<BaseProducer<Reports>>,
}

impl PolledProducer {
    /// `rest` is what the thread waits for at least between two looks at its events: many that come one by one don't wake
    /// it for each.
    pub(super) fn new(
        config: &ClientConfig,
        context: Reports,
        rest: Duration,
    ) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let (queue, stops) = (Arc::new(Queue::of(&producer)?), Arc::new(AtomicBool::new(false)));
        let passes_on = {
            let (producer, queue, stops) =
                (Arc::clone(&producer), Arc::clone(&queue), Arc::clone(&stops));
            move || {
                while !stops.load(Ordering::Acquire) {
                    while !queue.is_empty() {
                        producer.poll(Duration::ZERO);
                    }
                    thread::park();
                    if !rest.is_zero() {
                        thread::sleep(rest);
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("kafka reports".to_owned())
            .spawn(passes_on)
            .map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        let wakes = Wakes::on(queue, thread.thread().clone());
        Ok(Self { thread: Some((thread, wakes)), stops, producer })
    }
}

impl Deref for PolledProducer {
    type Target = BaseProducer<Reports>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl Drop for PolledProducer {
    fn drop(&mut self) {
        let Some((thread, wakes)) = self.thread.take() else { return };
        self.stops.store(true, Ordering::Release);
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("a delivery report's receiver panicked: reports behind it were lost");
        }
        drop(wakes);
    }
}

/// The queue that a client puts its events into.
struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: librdkafka locks whatever it does with a queue.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    fn of(producer: &BaseProducer<Reports>) -> KafkaResult<Self> {
        // SAFETY: the client is alive; the queue is a reference of ours.
        let queue = unsafe { native::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let none = || KafkaError::ClientCreation("the client has no queue".to_owned());
        NonNull::new(queue).map(Self).ok_or_else(none)
    }

    fn is_empty(&self) -> bool {
        // SAFETY: the reference was not given back.
        unsafe { native::rd_kafka_queue_length(self.0.as_ptr()) == 0 }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and was not given back.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// Has a queue wake a thread whenever something comes, as long as it lives.
struct Wakes {
    queue: Arc<Queue>,
    thread: NonNull<Thread>,
}

// SAFETY: a handle of a thread may be used and dropped anywhere, and nobody else has this pointer once the queue forgot it.
unsafe impl Send for Wakes {}
// SAFETY: nothing is done by a shared reference.
unsafe impl Sync for Wakes {}

impl Wakes {
    fn on(queue: Arc<Queue>, thread: Thread) -> Self {
        let thread = NonNull::from(Box::leak(Box::new(thread)));
        // SAFETY: the queue is alive, and the thread's handle until the queue has forgotten it.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(
                queue.0.as_ptr(),
                Some(wake),
                thread.as_ptr().cast(),
            );
        }
        // For what came before.
        // SAFETY: it was made above and is dropped with this value.
        unsafe { thread.as_ref() }.unpark();
        Self { queue, thread }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        // SAFETY: the queue is alive. It calls under the lock that this takes: once it returns nobody has the handle any
        // more, which came from a box.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.queue.0.as_ptr(), None, ptr::null_mut());
            drop(Box::from_raw(self.thread.as_ptr()));
        }
    }
}

/// # Safety
/// `thread` points to a [`Thread`].
unsafe extern "C" fn wake(_client: *mut native::rd_kafka_t, thread: *mut c_void) {
    // SAFETY: as the caller says.
    unsafe { &*thread.cast::<Thread>() }.unpark();
}
