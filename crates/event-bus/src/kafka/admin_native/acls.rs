//! What librdkafka tells of access control lists.

use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Operation;

use super::super::admin::Acl;
use super::{Owned, not_null, performed, text};

/// All entries that there are. Blocks.
pub(in super::super) fn describe_acls<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
) -> KafkaResult<Vec<Acl>> {
    let filter = any()?;
    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_DESCRIBEACLS, timeout)?;
    let event = performed(client, timeout, |queue| {
        // SAFETY: all four are alive for the call; librdkafka copies the filter and the options.
        unsafe {
            native::rd_kafka_DescribeAcls(client.native_ptr(), filter.ptr(), options.ptr(), queue);
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_DescribeAcls_result(event.ptr()) };
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let bindings = unsafe {
        not_null(result)?;
        native::rd_kafka_DescribeAcls_result_acls(result, &raw mut count)
    };
    let entry = |index| {
        // SAFETY: `bindings` has `count` pointers that live as long as the event, and so do their texts. librdkafka gives
        // the names of its own enumerations, in which it has put `Unknown` for what it does not know.
        unsafe {
            let binding = *bindings.add(index);
            let kind = native::rd_kafka_AclBinding_restype(binding);
            let pattern = native::rd_kafka_AclBinding_resource_pattern_type(binding);
            let operation = native::rd_kafka_AclBinding_operation(binding);
            let permission = native::rd_kafka_AclBinding_permission_type(binding);
            Acl {
                resource_type: kind_name(kind),
                resource: text(native::rd_kafka_AclBinding_name(binding)),
                pattern: text(native::rd_kafka_ResourcePatternType_name(pattern)),
                principal: text(native::rd_kafka_AclBinding_principal(binding)),
                host: text(native::rd_kafka_AclBinding_host(binding)),
                operation: text(native::rd_kafka_AclOperation_name(operation)),
                permission: text(native::rd_kafka_AclPermissionType_name(permission)),
            }
        }
    };
    Ok((0..count).map(entry).collect())
}

/// The kind as Kafka's tools write it: what is the cluster to them is a broker to librdkafka.
fn kind_name(kind: native::rd_kafka_ResourceType_t) -> String {
    if kind == native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER {
        return "CLUSTER".to_owned();
    }
    // SAFETY: librdkafka's names of its kinds are constants.
    unsafe { text(native::rd_kafka_ResourceType_name(kind)) }
}

/// What every entry passes.
fn any() -> KafkaResult<Owned<native::rd_kafka_AclBindingFilter_t>> {
    use native::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY;
    use native::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY;
    use native::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_ANY;
    use native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_ANY;

    // SAFETY: a null name, principal and host stand for any; a null buffer of no bytes takes no error text.
    let filter = unsafe {
        native::rd_kafka_AclBindingFilter_new(
            RD_KAFKA_RESOURCE_ANY,
            ptr::null(),
            RD_KAFKA_RESOURCE_PATTERN_ANY,
            ptr::null(),
            ptr::null(),
            RD_KAFKA_ACL_OPERATION_ANY,
            RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
            ptr::null_mut(),
            0,
        )
    };
    Owned::new(filter, native::rd_kafka_AclBinding_destroy)
}

/// Makes entries, and tells of each. Blocks.
pub(in super::super) fn create_acls<C: ClientContext>(
    client: &Client<C>,
    acls: &[Acl],
    timeout: Duration,
) -> KafkaResult<Vec<Result<(), RDKafkaErrorCode>>> {
    let bindings: Vec<_> = acls.iter().map(binding).collect::<KafkaResult<_>>()?;
    let mut pointers: Vec<_> = bindings.iter().map(Owned::ptr).collect();
    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_CREATEACLS, timeout)?;
    let event = performed(client, timeout, |queue| {
        // SAFETY: all are alive for the call; librdkafka copies the bindings and the options.
        unsafe {
            let (first, count) = (pointers.as_mut_ptr(), pointers.len());
            native::rd_kafka_CreateAcls(client.native_ptr(), first, count, options.ptr(), queue);
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_CreateAcls_result(event.ptr()) };
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let results = unsafe {
        not_null(result)?;
        native::rd_kafka_CreateAcls_result_acls(result, &raw mut count)
    };
    // SAFETY: `results` has `count` pointers that live as long as the event, and so do their errors.
    let outcome = |index| unsafe { told(native::rd_kafka_acl_result_error(*results.add(index))) };
    Ok((0..count).map(outcome).collect())
}

/// Takes exactly these entries away, and tells of each. Blocks.
pub(in super::super) fn delete_acls<C: ClientContext>(
    client: &Client<C>,
    acls: &[Acl],
    timeout: Duration,
) -> KafkaResult<Vec<Result<(), RDKafkaErrorCode>>> {
    // A filter with all its parts given passes one entry; librdkafka has one type for both.
    let filters: Vec<_> = acls.iter().map(binding).collect::<KafkaResult<_>>()?;
    let mut pointers: Vec<_> = filters.iter().map(Owned::ptr).collect();
    let options = Owned::options(client, Operation::RD_KAFKA_ADMIN_OP_DELETEACLS, timeout)?;
    let event = performed(client, timeout, |queue| {
        // SAFETY: all are alive for the call; librdkafka copies the filters and the options.
        unsafe {
            let (first, count) = (pointers.as_mut_ptr(), pointers.len());
            native::rd_kafka_DeleteAcls(client.native_ptr(), first, count, options.ptr(), queue);
        }
    })?;
    // SAFETY: the event is alive; the result borrows from it.
    let result = unsafe { native::rd_kafka_event_DeleteAcls_result(event.ptr()) };
    let mut count = 0;
    // SAFETY: as above; a null result means an event of another type and is checked for first.
    let responses = unsafe {
        not_null(result)?;
        native::rd_kafka_DeleteAcls_result_responses(result, &raw mut count)
    };
    let outcome = |index| {
        // SAFETY: `responses` has `count` pointers that live as long as the event, and so do their errors.
        unsafe { told(native::rd_kafka_DeleteAcls_result_response_error(*responses.add(index))) }
    };
    Ok((0..count).map(outcome).collect())
}

/// # Safety
/// `error` is null or a live error.
unsafe fn told(error: *const native::rd_kafka_error_t) -> Result<(), RDKafkaErrorCode> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    match unsafe { native::rd_kafka_error_code(error) }.into() {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(code),
    }
}

/// An entry in librdkafka's own words.
fn binding(acl: &Acl) -> KafkaResult<Owned<native::rd_kafka_AclBinding_t>> {
    let unknown = |what: &str, word: &str| {
        KafkaError::AdminOpCreation(format!("the client has no {what} of an entry called {word}"))
    };
    let kind = kind(&acl.resource_type).ok_or_else(|| unknown("kind", &acl.resource_type))?;
    let pattern = pattern(&acl.pattern).ok_or_else(|| unknown("pattern", &acl.pattern))?;
    let operation =
        operation(&acl.operation).ok_or_else(|| unknown("operation", &acl.operation))?;
    let permission =
        permission(&acl.permission).ok_or_else(|| unknown("permission", &acl.permission))?;
    let (name, principal, host) = (
        CString::new(acl.resource.as_str())?,
        CString::new(acl.principal.as_str())?,
        CString::new(acl.host.as_str())?,
    );
    let mut error: [c_char; 256] = [0; 256];
    // SAFETY: the texts are alive and copied; the buffer is as long as said.
    let made = unsafe {
        native::rd_kafka_AclBinding_new(
            kind,
            name.as_ptr(),
            pattern,
            principal.as_ptr(),
            host.as_ptr(),
            operation,
            permission,
            error.as_mut_ptr(),
            error.len(),
        )
    };
    Owned::new(made, native::rd_kafka_AclBinding_destroy)
}

fn kind(word: &str) -> Option<native::rd_kafka_ResourceType_t> {
    use native::rd_kafka_ResourceType_t as Kind;
    Some(match word {
        "TOPIC" => Kind::RD_KAFKA_RESOURCE_TOPIC,
        "GROUP" => Kind::RD_KAFKA_RESOURCE_GROUP,
        "CLUSTER" => Kind::RD_KAFKA_RESOURCE_BROKER,
        "TRANSACTIONAL_ID" => Kind::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
        _ => return None,
    })
}

fn pattern(word: &str) -> Option<native::rd_kafka_ResourcePatternType_t> {
    use native::rd_kafka_ResourcePatternType_t as Pattern;
    Some(match word {
        "LITERAL" => Pattern::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        "PREFIXED" => Pattern::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
        _ => return None,
    })
}

fn operation(word: &str) -> Option<native::rd_kafka_AclOperation_t> {
    use native::rd_kafka_AclOperation_t as Operation;
    Some(match word {
        "ALL" => Operation::RD_KAFKA_ACL_OPERATION_ALL,
        "READ" => Operation::RD_KAFKA_ACL_OPERATION_READ,
        "WRITE" => Operation::RD_KAFKA_ACL_OPERATION_WRITE,
        "CREATE" => Operation::RD_KAFKA_ACL_OPERATION_CREATE,
        "DELETE" => Operation::RD_KAFKA_ACL_OPERATION_DELETE,
        "ALTER" => Operation::RD_KAFKA_ACL_OPERATION_ALTER,
        "DESCRIBE" => Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE,
        "CLUSTER_ACTION" => Operation::RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION,
        "DESCRIBE_CONFIGS" => Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        "ALTER_CONFIGS" => Operation::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
        "IDEMPOTENT_WRITE" => Operation::RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE,
        _ => return None,
    })
}

fn permission(word: &str) -> Option<native::rd_kafka_AclPermissionType_t> {
    use native::rd_kafka_AclPermissionType_t as Permission;
    Some(match word {
        "ALLOW" => Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
        "DENY" => Permission::RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
        _ => return None,
    })
}
