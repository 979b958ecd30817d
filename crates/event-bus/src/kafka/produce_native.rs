//! Hands records to librdkafka in the form that costs it least: by topic handle and with lengths.
//!
//! The safe wrapper passes names. For each record it then copies the topic's and every header's name to terminate it
//! by a zero byte, and librdkafka measures them, and looks the topic up under the lock that all of its threads share.
#![expect(
    unsafe_code,
    reason = "rdkafka has no safe call that takes a topic handle or a header list that is there already"
)]

use std::collections::HashMap;
use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::Producer as _;
use rdkafka::util::IntoOpaque;
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_vtype_t as Argument;

use super::header_list_native::{HeaderList, SpareLists, start_and_len};
use super::polled_native::PolledProducer;
use super::producer::{OnDelivery, Reports};
use crate::envelope::Outgoing;
use crate::names::TopicName;

/// Leaves the choice to the partitioner: `RD_KAFKA_PARTITION_UA`, a macro that has no binding.
const ANY_PARTITION: i32 = -1;

/// A client, and a handle of each topic that it was given records for.
pub(super) struct NativeProducer {
    /// Before the client, for fields drop in their order and the client waits for its handles.
    topics: RwLock<HashMap<TopicName, Topic>>,
    client: PolledProducer,
}

/// A client as its own callbacks know it: they may not keep it alive, for whoever lets go of it last waits for their
/// thread.
pub(super) struct CalledBack(AtomicPtr<native::rd_kafka_t>);

impl CalledBack {
    pub(super) fn of(client: &PolledProducer) -> Self {
        Self(AtomicPtr::new(client.client().native_ptr()))
    }

    /// Whether the client sends nothing any more. Only for its callbacks.
    pub(super) fn has_ended(&self) -> bool {
        let client = self.0.load(Ordering::Relaxed);
        // SAFETY: a client is alive while it calls back; of the text no byte is asked for.
        let code = unsafe { native::rd_kafka_fatal_error(client, ptr::null_mut(), 0) };
        code != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }
}

/// What travels with a record through librdkafka.
pub(super) struct Sent {
    pub(super) on_delivery: OnDelivery,
    spare: Arc<SpareLists>,
}

impl Sent {
    /// Keeps the message's header list for a later record of its topic.
    pub(super) fn take_headers_back(&self, message: &BorrowedMessage<'_>) {
        if let Some(list) = HeaderList::taken_from(message) {
            self.spare.give(list);
        }
    }
}

/// librdkafka's handle of a topic, and the header lists of its records.
struct Topic {
    handle: NonNull<native::rd_kafka_topic_t>,
    spare: Arc<SpareLists>,
}

// SAFETY: librdkafka counts the references to a topic atomically and locks what it changes in one.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and was not given back yet.
        unsafe { native::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

impl NativeProducer {
    pub(super) fn new(
        config: &ClientConfig,
        context: Reports,
        rest: Duration,
    ) -> KafkaResult<Self> {
        let client = PolledProducer::new(config, context, rest)?;
        Ok(Self { topics: RwLock::default(), client })
    }

    pub(super) fn client(&self) -> &PolledProducer {
        &self.client
    }

    #[cfg(test)]
    pub(super) fn end(&self) {
        let code = native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        let client = self.client.client().native_ptr();
        // SAFETY: the client is alive and the text is terminated.
        unsafe { native::rd_kafka_test_fatal_error(client, code, c"a test ends it".as_ptr()) };
    }

    /// Copies a record into the client's queue. When the client does not take it, `on_delivery` comes back.
    pub(super) fn produce(
        &self,
        record: &impl Outgoing,
        mut on_delivery: OnDelivery,
    ) -> Result<(), (KafkaError, OnDelivery)> {
        if let Some(topic) =
            self.topics.read().unwrap_or_else(PoisonError::into_inner).get(record.topic())
        {
            match self.produce_to(topic, record, on_delivery) {
                Err((error, back)) if is_missing(&error) => on_delivery = back,
                outcome => return outcome,
            }
        }
        // A handle remembers for minutes that its topic was missing; a new one asks.
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(record.topic());
        let topic = match self.open(record.topic()) {
            Ok(topic) => topic,
            Err(error) => return Err((error, on_delivery)),
        };
        self.produce_to(&topic, record, on_delivery)?;
        self.topics
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(record.topic().clone(), topic);
        Ok(())
    }

    fn open(&self, name: &TopicName) -> KafkaResult<Topic> {
        let name = CString::new(name.as_str())?;
        let client = self.client.client().native_ptr();
        // SAFETY: the client is alive and the name is terminated; without a configuration the client's own counts.
        let topic = unsafe { native::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic)
            .map(|handle| Topic { handle, spare: Arc::default() })
            .ok_or(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidArgument))
    }

    fn produce_to(
        &self,
        topic: &Topic,
        record: &impl Outgoing,
        on_delivery: OnDelivery,
    ) -> Result<(), (KafkaError, OnDelivery)> {
        let headers = match topic.spare.take() {
            Some(list) => list.become_list_of(record.headers()),
            None => HeaderList::of(record.headers()),
        };
        let (key, key_len) = start_and_len(record.key());
        let (value, value_len) = start_and_len(record.value());
        let sent = Box::new(Sent { on_delivery, spare: Arc::clone(&topic.spare) });
        let opaque = sent.into_ptr();
        // SAFETY: client and topic are alive and belong together; the arguments have the types that librdkafka
        // documents for their tags. Key and value are alive for the call, which copies them. Headers and opaque are
        // librdkafka's if, and only if, it reports no error.
        let error = unsafe {
            native::rd_kafka_producev(
                self.client.client().native_ptr(),
                Argument::RD_KAFKA_VTYPE_RKT,
                topic.handle.as_ptr(),
                Argument::RD_KAFKA_VTYPE_PARTITION,
                record.partition().unwrap_or(ANY_PARTITION),
                Argument::RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                Argument::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                Argument::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                Argument::RD_KAFKA_VTYPE_HEADERS,
                headers.as_ptr(),
                Argument::RD_KAFKA_VTYPE_OPAQUE,
                opaque,
                Argument::RD_KAFKA_VTYPE_END,
            )
        };
        if error.is_error() {
            // SAFETY: the opaque was made above from this type and is still ours.
            let sent: Box<Sent> = unsafe { IntoOpaque::from_ptr(opaque) };
            topic.spare.give(headers);
            return Err((KafkaError::MessageProduction(error.into()), sent.on_delivery));
        }
        headers.release();
        Ok(())
    }
}

fn is_missing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
    )
}
