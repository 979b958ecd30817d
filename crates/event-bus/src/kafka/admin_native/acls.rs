//! What librdkafka tells of access control lists.

use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
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
                resource_type: text(native::rd_kafka_ResourceType_name(kind)),
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
