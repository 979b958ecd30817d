//! ListGroups (key 16), versions 0 to 5: the groups there are, from version 4 those in certain states, from version 5
//! those of certain types. All groups here are of the classic type.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ApiKey, GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::access::{CLUSTER, Kind, Operation};

/// The type of all groups here: their members agree among themselves.
const CLASSIC: &str = "classic";

pub(super) fn api() -> Api {
    Api::new(ApiKey::ListGroups, 0..=5, handle)
}

async fn handle(call: Call, request: ListGroupsRequest) -> Option<ListGroupsResponse> {
    let response = ListGroupsResponse::default();
    let groups = match call.node.groups.list() {
        Ok(groups) => groups,
        Err(error) => return Some(response.with_error_code(error.code())),
    };
    let sees_all = call.may(Operation::Describe, Kind::Cluster, CLUSTER);
    let listed = groups
        .into_iter()
        .filter(|group| sees_all || call.may(Operation::Describe, Kind::Group, &group.id))
        .filter(|group| asked(&request.states_filter, group.phase.name()))
        .filter(|_| asked(&request.types_filter, CLASSIC))
        .map(|group| {
            ListedGroup::default()
                .with_group_id(GroupId(group.id.into()))
                .with_protocol_type(group.protocol_type.into())
                .with_group_state(StrBytes::from_static_str(group.phase.name()))
                .with_group_type(StrBytes::from_static_str(CLASSIC))
        });
    Some(response.with_groups(listed.collect()))
}

/// Whether a filter lets this name through: an empty one lets all.
fn asked(filter: &[StrBytes], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|asked| asked.eq_ignore_ascii_case(name))
}
