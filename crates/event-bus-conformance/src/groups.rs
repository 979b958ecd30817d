//! Groups, as tools see them.

use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{DescribeGroupsRequest, GroupId};

use crate::connection::Connection;
use crate::topic::text;

/// What the coordinator says of a group.
pub async fn describe(connection: &mut Connection, group: &str) -> DescribedGroup {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    connection.call(5, &request).await.groups.remove(0)
}
