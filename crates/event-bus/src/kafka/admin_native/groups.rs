//! What librdkafka tells of consumer groups.

use std::ffi::{CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Operation;

use super::{Owned, PartitionOffset, copied, millis, not_null, performed, text};

/// The longest time-out of a request that librdkafka takes.
const LONGEST: Duration = Duration::from_hours(1);

/// So many groups are asked about at once: their answers wait in memory, and a coordinator answers one after the other.
const AT_ONCE: usize = 64;

/// All offsets that a group has committed, or why they were not told.
pub(in super::super) type Committed = KafkaResult<Vec<PartitionOffset>>;

/// All offsets that each of these groups has committed, whether it has members or not, in the order of `groups`. Blocks,
/// for `timeout` at most; a group whose answer did not come by then has [`RDKafkaErrorCode::OperationTimedOut`].
///
/// After that error the request is still there, and the client must be dropped within an hour: a request to a coordinator
/// that librdkafka 2.12 itself has timed out takes its process along once that coordinator is found
/// (`rd_kafka_admin_coord_request` gives its last reference back, and fails the request, which gives it back once more).
pub(in super::super) fn list_group_offsets<C: ClientContext>(
    client: &Client<C>,
    groups: &[&str],
    timeout: Duration,
) -> KafkaResult<Vec<Committed>> {
    let deadline = Instant::now() + timeout;
    let timed_out = || Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
    let mut answers: Vec<_> = groups.iter().map(|_| timed_out()).collect();
    // SAFETY: the client outlives the queue, which is dropped at the end of this function.
    let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
    let queue = Owned::new(queue, native::rd_kafka_queue_destroy)?;
    let (mut asked, mut answered) = (0, 0);
    while answered < groups.len() {
        while asked < groups.len() && asked - answered < AT_ONCE {
            ask(client, &queue, groups[asked], asked)?;
            asked += 1;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // SAFETY: the queue is alive; late answers are dropped by librdkafka together with the queue.
        let event = unsafe { native::rd_kafka_queue_poll(queue.ptr(), millis(left)) };
        let Some(event) = NonNull::new(event) else { break };
        let event = Owned { pointer: event, free: native::rd_kafka_event_destroy };
        // SAFETY: the event is alive; its opaque is the number that `ask` gave it.
        let nth = unsafe { native::rd_kafka_event_opaque(event.ptr()) }.addr();
        if let Some(answer) = answers.get_mut(nth) {
            *answer = committed(&event);
            answered += 1;
        }
    }
    Ok(answers)
}

/// Asks for a group's offsets. The answer comes on the queue, with `nth` as its opaque.
fn ask<C: ClientContext>(
    client: &Client<C>,
    queue: &Owned<native::rd_kafka_queue_t>,
    group: &str,
    nth: usize,
) -> KafkaResult<()> {
    let name = CString::new(group)?;
    // SAFETY: the name is copied; a null list asks for all partitions.
    let request =
        unsafe { native::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null()) };
    let request = Owned::new(request, native::rd_kafka_ListConsumerGroupOffsets_destroy)?;
    let options =
        Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, LONGEST)?;
    let mut requests = [request.ptr()];
    let opaque: *mut c_void = ptr::without_provenance_mut(nth);
    // SAFETY: all are alive for the calls; one request in a list of one. librdkafka copies it and the options, and
    // hands the opaque back without looking at what it points to.
    unsafe {
        native::rd_kafka_AdminOptions_set_opaque(options.ptr(), opaque);
        native::rd_kafka_ListConsumerGroupOffsets(
            client.native_ptr(),
            requests.as_mut_ptr(),
            1,
            options.ptr(),
            queue.ptr(),
        );
    }
    Ok(())
}

/// What an answer tells of its one group.
fn committed(event: &Owned<native::rd_kafka_event_t>) -> Committed {
    // SAFETY: the event is alive; the result borrows from it.
    let (code, result) = unsafe {
        let code = RDKafkaErrorCode::from(native::rd_kafka_event_error(event.ptr()));
        (code, native::rd_kafka_event_ListConsumerGroupOffsets_result(event.ptr()))
    };
    if code != RDKafkaErrorCode::NoError {
        return Err(KafkaError::AdminOp(code));
    }
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let groups = unsafe {
        not_null(result)?;
        native::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count)
    };
    let mut offsets = Vec::new();
    for index in 0..count {
        // SAFETY: `groups` has `count` pointers that live as long as the event, and so do error and list of each.
        let (error, list) = unsafe {
            let group = *groups.add(index);
            (
                native::rd_kafka_group_result_error(group),
                native::rd_kafka_group_result_partitions(group),
            )
        };
        if !error.is_null() {
            // SAFETY: the error lives as long as the event.
            return Err(KafkaError::AdminOp(unsafe { native::rd_kafka_error_code(error) }.into()));
        }
        // SAFETY: a group without error has a list of `cnt` elements.
        let elements = unsafe { if list.is_null() { 0..0 } else { 0..(*list).cnt } };
        for element in elements {
            let index = usize::try_from(element).expect("an index below cnt is not negative");
            // SAFETY: within the list, which lives as long as the event.
            offsets.push(unsafe { copied((*list).elems.add(index)) }?);
        }
    }
    Ok(offsets)
}

/// A consumer group, as its broker lists it.
#[derive(Debug)]
pub(in super::super) struct Listed {
    pub(in super::super) name: String,
    pub(in super::super) state: String,
    /// Whether the broker assigns partitions, by the protocol of KIP-848, and not one of the members.
    pub(in super::super) is_assigned_by_broker: bool,
}

/// The consumer groups that brokers told of, and what those said that did not. Blocks.
pub(in super::super) fn list_groups<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
) -> KafkaResult<(Vec<Listed>, Vec<String>)> {
    use native::rd_kafka_consumer_group_type_t::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER as OF_BROKER;

    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, timeout)?;
    let event = performed(client, timeout, |queue| {
        // SAFETY: all three are alive for the call; librdkafka copies the options.
        unsafe { native::rd_kafka_ListConsumerGroups(client.native_ptr(), options.ptr(), queue) };
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_ListConsumerGroups_result(event.ptr()) };
    not_null(result)?;
    let (mut failed, mut count) = (0, 0);
    // SAFETY: the result is alive, and so are the `failed` errors and `count` listings that it has.
    let (errors, listings) = unsafe {
        (
            native::rd_kafka_ListConsumerGroups_result_errors(result, &raw mut failed),
            native::rd_kafka_ListConsumerGroups_result_valid(result, &raw mut count),
        )
    };
    // SAFETY: as above.
    let error = |index| unsafe { text(native::rd_kafka_error_string(*errors.add(index))) };
    let listed = |index| {
        // SAFETY: as above; the names live as long as the event, those of states as long as the process.
        unsafe {
            let group = *listings.add(index);
            let state = native::rd_kafka_ConsumerGroupListing_state(group);
            let kind = native::rd_kafka_ConsumerGroupListing_type(group);
            Listed {
                name: text(native::rd_kafka_ConsumerGroupListing_group_id(group)),
                state: text(native::rd_kafka_consumer_group_state_name(state)),
                is_assigned_by_broker: kind == OF_BROKER,
            }
        }
    };
    Ok(((0..count).map(listed).collect(), (0..failed).map(error).collect()))
}

/// How many members each of these groups has, in the order of `groups`, each of which must be named once; `None` where
/// that was not told. Blocks.
pub(in super::super) fn member_counts<C: ClientContext>(
    client: &Client<C>,
    groups: &[&str],
    timeout: Duration,
) -> KafkaResult<Vec<Option<usize>>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let owned = groups.iter().map(|name| CString::new(*name)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<*const c_char> = owned.iter().map(|name| name.as_ptr()).collect();
    let options =
        Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout)?;
    let event = performed(client, timeout, |queue| {
        let (list, count) = (names.as_mut_ptr(), names.len());
        // SAFETY: `list` holds `count` live names; librdkafka copies them and the options.
        unsafe {
            native::rd_kafka_DescribeConsumerGroups(
                client.native_ptr(),
                list,
                count,
                options.ptr(),
                queue,
            );
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_DescribeConsumerGroups_result(event.ptr()) };
    not_null(result)?;
    let mut count = 0;
    // SAFETY: the result is alive, and so are its `count` descriptions, which come in the order of the request.
    let described =
        unsafe { native::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count) };
    let members = |index| {
        // SAFETY: as above.
        unsafe {
            let group = *described.add(index);
            let error = native::rd_kafka_ConsumerGroupDescription_error(group);
            let is_told = error.is_null()
                || RDKafkaErrorCode::from(native::rd_kafka_error_code(error))
                    == RDKafkaErrorCode::NoError;
            is_told.then(|| native::rd_kafka_ConsumerGroupDescription_member_count(group))
        }
    };
    Ok((0..count).map(members).collect())
}

/// A group of any kind, as its coordinator describes it to a client of the first group protocol.
#[derive(Debug)]
pub(in super::super) struct Described {
    pub(in super::super) name: String,
    /// `Dead` for a group of a kind that this protocol does not know.
    pub(in super::super) state: String,
    pub(in super::super) members: usize,
}

/// All groups that brokers described, and whether all brokers did. Blocks.
pub(in super::super) fn describe_groups<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
) -> KafkaResult<(Vec<Described>, bool)> {
    let mut list = ptr::null();
    // SAFETY: the client is alive; a null group asks for all. The list is ours and freed by the drop.
    let code = unsafe {
        native::rd_kafka_list_groups(
            client.native_ptr(),
            ptr::null(),
            &raw mut list,
            millis(timeout),
        )
    };
    let code = RDKafkaErrorCode::from(code);
    if !matches!(code, RDKafkaErrorCode::NoError | RDKafkaErrorCode::Partial) {
        return Err(KafkaError::GroupListFetch(code));
    }
    not_null(list)?;
    let list = List(list);
    // SAFETY: the list is alive and has `group_cnt` groups in one array, which is null only where there are none.
    let groups = unsafe {
        let count = usize::try_from((*list.0).group_cnt).unwrap_or(0);
        if count == 0 { &[] } else { std::slice::from_raw_parts((*list.0).groups, count) }
    };
    let described = groups.iter().map(|group| Described {
        // SAFETY: both texts live as long as the list.
        name: unsafe { text(group.group) },
        // SAFETY: as above.
        state: unsafe { text(group.state) },
        members: usize::try_from(group.member_cnt).unwrap_or(0),
    });
    Ok((described.collect(), code == RDKafkaErrorCode::NoError))
}

struct List(*const native::rd_kafka_group_list);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: librdkafka made the list for us, and it is freed only here.
        unsafe { native::rd_kafka_group_list_destroy(self.0) }
    }
}
