//! The admin calls of librdkafka that its safe wrapper lacks: offsets of many partitions in one call, the committed
//! offsets of a group that may have no members, changing some configs of a topic without resetting the others, and the
//! access control lists.
//!
//! Each call makes a queue of its own, submits, and waits on it; so calls of several threads don't mix their answers.
//! What the native side allocates is owned by [`Owned`] and freed by its drop.
#![expect(unsafe_code, reason = "rdkafka has no safe wrapper for these admin calls")]

mod acls;
mod groups;

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaType;
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Operation;
use rdkafka_sys::types::RDKafkaRespErr;

pub(super) use acls::{create_acls, delete_acls, describe_acls};
pub(super) use groups::{describe_groups, list_group_offsets, list_groups, member_counts};

/// How much longer than the request's own time-out its answer is awaited: librdkafka reports the time-out itself.
const GRACE: Duration = Duration::from_secs(2);

/// A consumer's client without the consumer: it has a consumer group, which it does not join.
pub(super) fn consumer_client<C: ClientContext>(
    config: &ClientConfig,
    context: C,
) -> KafkaResult<Client<C>> {
    let native_config = config.create_native_config()?;
    // SAFETY: the configuration is alive, and no client was made of it yet. With this event the client tells on its
    // queue what goes wrong, see `complaints`.
    unsafe { native::rd_kafka_conf_set_events(native_config.ptr(), native::RD_KAFKA_EVENT_ERROR) };
    Client::new(config, native_config, RDKafkaType::RD_KAFKA_CONSUMER, context)
}

/// One partition's answer.
#[derive(Debug)]
pub(super) struct PartitionOffset {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// As the protocol has it: negative where there is none.
    pub(super) offset: Result<i64, RDKafkaErrorCode>,
    /// That record's time in milliseconds since the Unix epoch, where it was found by its time; negative otherwise.
    pub(super) timestamp: i64,
}

/// Where in a partition an offset is asked for; a time otherwise, in milliseconds since the Unix epoch.
pub(super) const SPEC_EARLIEST: i64 =
    native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64;
/// Behind the last record, see [`Isolation`].
pub(super) const SPEC_LATEST: i64 =
    native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;

/// The record with the greatest time.
pub(super) const SPEC_NEWEST: i64 =
    native::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_MAX_TIMESTAMP as i64;

/// Which records count, where the end of a partition is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Isolation {
    /// Those before the first transaction that is open: up to the last stable offset.
    Committed,
    /// All that are replicated: up to the high watermark.
    Uncommitted,
}

/// So many partitions are asked about in one request: librdkafka 2.12 looks for each answer in the list of all that were asked
/// (`rd_kafka_ListOffsets_response_merge`), which with ten thousand of them keeps its thread busy for a second.
const PARTITIONS_AT_ONCE: usize = 250;

/// The offsets at `spec` of all these partitions, each of which must be named once; in any order. Blocks.
pub(super) fn list_offsets<C: ClientContext>(
    client: &Client<C>,
    partitions: &[(&str, i32)],
    (spec, isolation): (i64, Isolation),
    timeout: Duration,
) -> KafkaResult<Vec<PartitionOffset>> {
    let mut lists: Vec<TopicPartitionList> = Vec::new();
    for some in partitions.chunks(PARTITIONS_AT_ONCE) {
        let mut asked = TopicPartitionList::with_capacity(some.len());
        for (topic, partition) in some {
            asked.add_partition(topic, *partition);
        }
        // SAFETY: the list is ours and alive, and its elements lie in one array of `cnt`, of which there is one or more.
        let elements = unsafe { std::slice::from_raw_parts_mut((*asked.ptr()).elems, some.len()) };
        for element in elements {
            element.offset = spec;
        }
        lists.push(asked);
    }
    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout)?;
    let level = match isolation {
        Isolation::Committed => {
            native::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
        }
        Isolation::Uncommitted => {
            native::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
        }
    };
    // SAFETY: `options` was made for this operation; a returned error is owned by us and freed in `checked`.
    checked(unsafe { native::rd_kafka_AdminOptions_set_isolation_level(options.ptr(), level) })?;
    let events = all_performed(client, timeout, lists.len(), |queue| {
        for asked in &lists {
            // SAFETY: all four are alive for the call; librdkafka copies the list and the options.
            unsafe {
                native::rd_kafka_ListOffsets(
                    client.native_ptr(),
                    asked.ptr(),
                    options.ptr(),
                    queue,
                );
            }
        }
    })?;
    let mut offsets = Vec::with_capacity(partitions.len());
    for event in events {
        // SAFETY: the event is alive; the result borrows from it.
        let result = unsafe { native::rd_kafka_event_ListOffsets_result(event.ptr()) };
        let mut count = 0;
        // SAFETY: as above; a null result means an event of another type and is checked for first.
        let infos = unsafe {
            not_null(result)?;
            native::rd_kafka_ListOffsets_result_infos(result, &raw mut count)
        };
        for index in 0..count {
            // SAFETY: `infos` has `count` pointers that live as long as the event.
            let (element, timestamp) = unsafe {
                let info = *infos.add(index);
                (
                    native::rd_kafka_ListOffsetsResultInfo_topic_partition(info),
                    native::rd_kafka_ListOffsetsResultInfo_timestamp(info),
                )
            };
            // SAFETY: the element lives as long as its info.
            let found = unsafe { copied(element) }?;
            offsets.push(PartitionOffset { timestamp, ..found });
        }
    }
    Ok(offsets)
}

/// The id that a topic got when it was made, as two halves of 64 bits; `None` where there is no such topic. Blocks.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<Option<(u64, u64)>> {
    let name = CString::new(topic)?;
    let mut names = [name.as_ptr()];
    // SAFETY: one name in a list of one; librdkafka copies it.
    let asked = unsafe { native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1) };
    let asked = Owned::new(asked, native::rd_kafka_TopicCollection_destroy)?;
    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
    let event = performed(client, timeout, |queue| {
        // SAFETY: all four are alive for the call; librdkafka copies the names and the options.
        unsafe {
            native::rd_kafka_DescribeTopics(client.native_ptr(), asked.ptr(), options.ptr(), queue);
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_DescribeTopics_result(event.ptr()) };
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let topics = unsafe {
        not_null(result)?;
        native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count)
    };
    if count != 1 {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::Unknown));
    }
    // SAFETY: there is one topic, which lives as long as the event, and so do its error and its id.
    let (code, id) = unsafe {
        let topic = *topics;
        let error = native::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() {
            RDKafkaErrorCode::NoError
        } else {
            native::rd_kafka_error_code(error).into()
        };
        (code, native::rd_kafka_TopicDescription_topic_id(topic))
    };
    match code {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::UnknownTopicOrPartition => return Ok(None),
        code => return Err(KafkaError::AdminOp(code)),
    }
    not_null(id)?;
    // SAFETY: the id is not null and lives as long as the event.
    let (high, low) = unsafe {
        (
            native::rd_kafka_Uuid_most_significant_bits(id),
            native::rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    Ok(Some((high.cast_unsigned(), low.cast_unsigned())))
}

/// What became of one topic's new configs: Kafka's error and what it says about it.
pub(super) type Altered = (String, Result<(), (RDKafkaErrorCode, String)>);

/// Sets the named configs of each topic and leaves its others as they are. Blocks.
pub(super) fn set_topic_configs<C: ClientContext>(
    client: &Client<C>,
    topics: &[(&str, &[(&str, &str)])],
    timeout: Duration,
) -> KafkaResult<Vec<Altered>> {
    let resources = topics
        .iter()
        .map(|(topic, configs)| resource(topic, configs))
        .collect::<KafkaResult<Vec<_>>>()?;
    let options =
        Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, timeout)?;
    let event = performed(client, timeout, |queue| {
        let mut list: Vec<_> = resources.iter().map(Owned::ptr).collect();
        let (list, count) = (list.as_mut_ptr(), list.len());
        // SAFETY: `list` holds `count` live resources; librdkafka copies them and the options.
        unsafe {
            native::rd_kafka_IncrementalAlterConfigs(
                client.native_ptr(),
                list,
                count,
                options.ptr(),
                queue,
            );
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_IncrementalAlterConfigs_result(event.ptr()) };
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let altered = unsafe {
        not_null(result)?;
        native::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count)
    };
    let outcomes = (0..count).map(|index| {
        // SAFETY: `altered` has `count` pointers that live as long as the event, as do their strings.
        unsafe {
            let resource = *altered.add(index);
            let code = RDKafkaErrorCode::from(native::rd_kafka_ConfigResource_error(resource));
            let outcome = match code {
                RDKafkaErrorCode::NoError => Ok(()),
                code => Err((code, text(native::rd_kafka_ConfigResource_error_string(resource)))),
            };
            (text(native::rd_kafka_ConfigResource_name(resource)), outcome)
        }
    });
    Ok(outcomes.collect())
}

fn resource(
    topic: &str,
    configs: &[(&str, &str)],
) -> KafkaResult<Owned<native::rd_kafka_ConfigResource_t>> {
    let name = CString::new(topic)?;
    let kind = native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the name is copied.
    let resource = unsafe { native::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
    let resource = Owned::new(resource, native::rd_kafka_ConfigResource_destroy)?;
    for (name, value) in configs {
        let (name, value) = (CString::new(*name)?, CString::new(*value)?);
        let set = native::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
        // SAFETY: the resource is alive, both texts are copied; a returned error is freed in `checked`.
        checked(unsafe {
            native::rd_kafka_ConfigResource_add_incremental_config(
                resource.ptr(),
                name.as_ptr(),
                set,
                value.as_ptr(),
            )
        })?;
    }
    Ok(resource)
}

/// Submits to a queue of its own and waits for the answer, which is free of a request-level error.
fn performed<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
    submit: impl FnOnce(*mut native::rd_kafka_queue_t),
) -> KafkaResult<Owned<native::rd_kafka_event_t>> {
    let mut events = all_performed(client, timeout, 1, submit)?;
    events.pop().ok_or(KafkaError::NoMessageReceived)
}

/// Submits so many requests to a queue of its own and waits for all answers, none of which has a request-level error. They come
/// in any order.
fn all_performed<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
    requests: usize,
    submit: impl FnOnce(*mut native::rd_kafka_queue_t),
) -> KafkaResult<Vec<Owned<native::rd_kafka_event_t>>> {
    // SAFETY: the client outlives the queue, which is dropped at the end of this function.
    let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
    let queue = Owned::new(queue, native::rd_kafka_queue_destroy)?;
    submit(queue.ptr());
    let deadline = Instant::now() + timeout + GRACE;
    let mut events = Vec::with_capacity(requests);
    while events.len() < requests {
        let left = millis(deadline.saturating_duration_since(Instant::now()));
        // SAFETY: the queue is alive; a late answer is dropped by librdkafka together with the queue.
        let event = unsafe { native::rd_kafka_queue_poll(queue.ptr(), left) };
        let Some(event) = NonNull::new(event) else {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        };
        let event = Owned { pointer: event, free: native::rd_kafka_event_destroy };
        // SAFETY: the event is alive.
        match RDKafkaErrorCode::from(unsafe { native::rd_kafka_event_error(event.ptr()) }) {
            RDKafkaErrorCode::NoError => events.push(event),
            code => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(events)
}

/// What a client says of its connections.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
}

impl Complaint {
    /// Whether it only says that all brokers are down, which follows from what was said of each.
    pub(super) fn is_of_all(&self) -> bool {
        self.code == RDKafkaErrorCode::AllBrokersDown
    }
}

/// What the client has said, since it was asked last, of connections that failed, for example that it was refused or that
/// the broker did not accept the password. A request that got no answer for that reason only tells that it timed out.
pub(super) fn complaints<C: ClientContext>(client: &Client<C>) -> Vec<Complaint> {
    // SAFETY: the client is alive; the reference to its queue is ours and given back by the drop.
    let queue = unsafe { native::rd_kafka_queue_get_main(client.native_ptr()) };
    let mut complaints = Vec::new();
    let Ok(queue) = Owned::new(queue, native::rd_kafka_queue_destroy) else { return complaints };
    // SAFETY: the queue is alive. The answers to requests come on queues of their own, so nobody misses these events.
    while let Some(event) = NonNull::new(unsafe { native::rd_kafka_queue_poll(queue.ptr(), 0) }) {
        let event = Owned { pointer: event, free: native::rd_kafka_event_destroy };
        // SAFETY: the event is alive.
        let (kind, code) = unsafe {
            let code = native::rd_kafka_event_error(event.ptr());
            (native::rd_kafka_event_type(event.ptr()), RDKafkaErrorCode::from(code))
        };
        if kind == native::RD_KAFKA_EVENT_ERROR {
            // SAFETY: an error event has a text, which ends with a zero byte and lives as long as the event.
            let text = unsafe { CStr::from_ptr(native::rd_kafka_event_error_string(event.ptr())) };
            complaints.push(Complaint { code, text: text.to_string_lossy().into_owned() });
        }
    }
    complaints
}

/// A native object with its destructor.
struct Owned<T> {
    pointer: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> KafkaResult<Self> {
        let pointer = NonNull::new(pointer).ok_or_else(|| {
            KafkaError::AdminOpCreation("librdkafka refused the request's arguments".to_owned())
        })?;
        Ok(Self { pointer, free })
    }

    fn ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl Owned<native::rd_kafka_AdminOptions_t> {
    fn options<C: ClientContext>(
        client: &Client<C>,
        operation: Operation,
        timeout: Duration,
    ) -> KafkaResult<Self> {
        // SAFETY: the client is alive; the options refer to it only while they are made.
        let options = unsafe { native::rd_kafka_AdminOptions_new(client.native_ptr(), operation) };
        let options = Self::new(options, native::rd_kafka_AdminOptions_destroy)?;
        let mut error: [c_char; 256] = [0; 256];
        // SAFETY: the options are alive and the buffer is as long as said.
        let code = unsafe {
            native::rd_kafka_AdminOptions_set_request_timeout(
                options.ptr(),
                millis(timeout),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => Ok(options),
            code => Err(KafkaError::AdminOp(code)),
        }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `pointer` came from the constructor that `free` belongs to, and is freed only here.
        unsafe { (self.free)(self.pointer.as_ptr()) }
    }
}

/// Frees a native error and returns its code.
fn checked(error: *mut native::rd_kafka_error_t) -> KafkaResult<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a returned error is the caller's; it is read once and freed once.
    let code = unsafe {
        let code = native::rd_kafka_error_code(error);
        native::rd_kafka_error_destroy(error);
        code
    };
    Err(KafkaError::AdminOp(code.into()))
}

fn not_null<T>(result: *const T) -> KafkaResult<()> {
    if result.is_null() {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::InvalidType));
    }
    Ok(())
}

/// Copies an element out of a native list.
///
/// # Safety
/// `element` points to a live element of librdkafka's.
unsafe fn copied(
    element: *const native::rd_kafka_topic_partition_t,
) -> KafkaResult<PartitionOffset> {
    not_null(element)?;
    // SAFETY: the caller's promise. The error is read as a number: a broker newer than the bindings may send a code
    // that their enum does not have.
    let (topic, partition, offset, code) = unsafe {
        let code = (&raw const (*element).err).cast::<i32>().read();
        (text((*element).topic), (*element).partition, (*element).offset, code)
    };
    let code =
        RDKafkaRespErr::try_from(code).map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from);
    let offset = if code == RDKafkaErrorCode::NoError { Ok(offset) } else { Err(code) };
    Ok(PartitionOffset { topic, partition, offset, timestamp: -1 })
}

/// # Safety
/// `pointer` is null or a live text that ends in a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
