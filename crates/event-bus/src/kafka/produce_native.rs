//! Hands records to librdkafka in the form that costs it least: by topic handle and with lengths.
//!
//! The safe wrapper passes names. For each record it then copies the topic's and every header's name to terminate it
//! by a zero byte, and librdkafka measures them, and looks the topic up under the lock that all of its threads share.
#![expect(
    unsafe_code,
    reason = "rdkafka has no safe call that takes a topic handle or a header name with its length"
)]

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::{PoisonError, RwLock};

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::util::IntoOpaque;
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_vtype_t as Argument;

use crate::envelope::Outgoing;
use crate::headers;
use crate::names::TopicName;

/// Leaves the choice to the partitioner: `RD_KAFKA_PARTITION_UA`, a macro that has no binding.
const ANY_PARTITION: i32 = -1;

/// A client, and a handle of each topic that it was given records for.
pub(super) struct NativeProducer<C: ProducerContext + 'static> {
    /// Before the client, for fields drop in their order and the client waits for its handles.
    topics: RwLock<HashMap<TopicName, Topic>>,
    client: ThreadedProducer<C>,
}

/// librdkafka's handle of a topic.
struct Topic(NonNull<native::rd_kafka_topic_t>);

// SAFETY: librdkafka counts the references to a topic atomically and locks what it changes in one.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and was not given back yet.
        unsafe { native::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// A header list until librdkafka has taken it.
struct Headers(NonNull<native::rd_kafka_headers_t>);

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: the list is ours: what was taken is forgotten instead.
        unsafe { native::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

impl<C: ProducerContext + 'static> NativeProducer<C> {
    pub(super) fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let client = ThreadedProducer::from_config_and_context(config, context)?;
        Ok(Self { topics: RwLock::default(), client })
    }

    pub(super) fn client(&self) -> &ThreadedProducer<C> {
        &self.client
    }

    /// Copies a record into the client's queue. When the client does not take it, the opaque comes back.
    pub(super) fn produce(
        &self,
        record: &impl Outgoing,
        mut opaque: C::DeliveryOpaque,
    ) -> Result<(), (KafkaError, C::DeliveryOpaque)> {
        if let Some(topic) =
            self.topics.read().unwrap_or_else(PoisonError::into_inner).get(record.topic())
        {
            match self.produce_to(topic, record, opaque) {
                Err((error, back)) if is_missing(&error) => opaque = back,
                outcome => return outcome,
            }
        }
        // A handle remembers for minutes that its topic was missing; a new one asks.
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(record.topic());
        let topic = match self.open(record.topic()) {
            Ok(topic) => topic,
            Err(error) => return Err((error, opaque)),
        };
        self.produce_to(&topic, record, opaque)?;
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
            .map(Topic)
            .ok_or(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidArgument))
    }

    fn produce_to(
        &self,
        topic: &Topic,
        record: &impl Outgoing,
        opaque: C::DeliveryOpaque,
    ) -> Result<(), (KafkaError, C::DeliveryOpaque)> {
        let headers = Headers::of(record.headers());
        let (key, key_len) = start_and_len(record.key());
        let (value, value_len) = start_and_len(record.value());
        let opaque = opaque.into_ptr();
        // SAFETY: client and topic are alive and belong together; the arguments have the types that librdkafka
        // documents for their tags. Key and value are alive for the call, which copies them. Headers and opaque are
        // librdkafka's if, and only if, it reports no error.
        let error = unsafe {
            native::rd_kafka_producev(
                self.client.client().native_ptr(),
                Argument::RD_KAFKA_VTYPE_RKT,
                topic.0.as_ptr(),
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
                headers.0.as_ptr(),
                Argument::RD_KAFKA_VTYPE_OPAQUE,
                opaque,
                Argument::RD_KAFKA_VTYPE_END,
            )
        };
        if error.is_error() {
            // SAFETY: the opaque was made above from this type and is still ours.
            let opaque = unsafe { C::DeliveryOpaque::from_ptr(opaque) };
            return Err((KafkaError::MessageProduction(error.into()), opaque));
        }
        headers.release();
        Ok(())
    }
}

impl Headers {
    fn of<'a>(headers: impl ExactSizeIterator<Item = headers::Parts<'a>>) -> Headers {
        // SAFETY: a list of its own; librdkafka ends the process when it gets no memory, so it is never null.
        let list = unsafe { NonNull::new_unchecked(native::rd_kafka_headers_new(headers.len())) };
        for (name, value) in headers {
            let (value, len) = start_and_len(value);
            // SAFETY: name and value are alive for the call, which copies them, and as long as said: no slice is
            // longer than an `isize` can tell.
            unsafe {
                native::rd_kafka_header_add(
                    list.as_ptr(),
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value,
                    len.cast_signed(),
                );
            }
        }
        Headers(list)
    }

    /// Leaves the list to whoever has its address.
    fn release(self) {
        let _ = ManuallyDrop::new(self);
    }
}

/// As librdkafka takes bytes. Null stands for none, which is not the same as empty.
fn start_and_len(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

fn is_missing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
    )
}
