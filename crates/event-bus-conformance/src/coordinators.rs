//! The coordinators of groups and of transactions, which Apache Kafka starts when they are first asked for.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetFetchRequest};

use crate::connection::Connection;
use crate::eventually::eventually;
use crate::outcome::outcome;
use crate::subject::unique;
use crate::topic::{SOON, text};

/// Groups are spread over a few partitions of the coordinator's topic; as many as these meet all of them.
const GROUPS: usize = 200;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Waits until both coordinators answer for every group and every transaction.
///
/// # Panics
/// When one never does.
pub async fn until_ready(connection: &mut Connection) {
    for kind in [GROUP, TRANSACTION] {
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(vec![text(&unique("any"))]);
        eventually(SOON, async || {
            outcome(connection.call(4, &request).await.coordinators[0].error_code)
        })
        .await;
    }
    let groups = (0..GROUPS).map(|_| {
        OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(&unique("any"))))
            .with_topics(None)
    });
    let request = OffsetFetchRequest::default().with_groups(groups.collect());
    eventually(SOON, async || {
        let response = connection.call(8, &request).await;
        let failed = response.groups.iter().find_map(|group| outcome(group.error_code).err());
        failed.map_or(Ok(()), Err::<(), ResponseError>)
    })
    .await;
}
