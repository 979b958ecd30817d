//! DescribeGroups (key 15), versions 0 to 6: groups with their members and assignments.
//!
//! A group that doesn't exist is `Dead`; from version 6 it is `GROUP_ID_NOT_FOUND` as well.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call, operations};
use crate::access::Operation;
use crate::group::{Description, MemberDescription};

/// The first version in which a group that doesn't exist is an error.
const NOT_FOUND: i16 = 6;
/// The state of a group that doesn't exist.
const DEAD: &str = "Dead";

pub(super) fn api() -> Api {
    Api::new(ApiKey::DescribeGroups, 0..=6, handle)
}

async fn handle(call: Call, request: DescribeGroupsRequest) -> Option<DescribeGroupsResponse> {
    let asked = request.include_authorized_operations;
    let groups = request.groups.into_iter().map(|id| {
        let operations = operations::on_group(&call, asked, &id);
        described(&call, &id).with_authorized_operations(operations)
    });
    Some(DescribeGroupsResponse::default().with_groups(groups.collect()))
}

fn described(call: &Call, id: &GroupId) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(id.clone());
    if let Err(error) = call.check_group(Operation::Describe, id) {
        return group.with_error_code(error.code());
    }
    match call.node.groups.describe(id) {
        Ok(Some(found)) => filled(group, found),
        Ok(None) => {
            let group = group.with_group_state(StrBytes::from_static_str(DEAD));
            if call.version < NOT_FOUND {
                return group;
            }
            group
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(format!("Group {} not found.", id.as_str()).into()))
        }
        Err(error) => group.with_error_code(error.code()),
    }
}

fn filled(group: DescribedGroup, found: Description) -> DescribedGroup {
    group
        .with_group_state(StrBytes::from_static_str(found.phase.name()))
        .with_protocol_type(found.protocol_type.into())
        .with_protocol_data(found.protocol.into())
        .with_members(found.members.into_iter().map(member).collect())
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(member.id.into())
        .with_group_instance_id(member.instance_id.map(Into::into))
        .with_client_id(member.client_id.into())
        .with_client_host(member.client_host.into())
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
