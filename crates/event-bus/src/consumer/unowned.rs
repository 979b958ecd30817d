//! Partitions that no member of a group has, although it is at rest.
//!
//! A static member (KIP-345) that dies between giving partitions up and joining again leaves them to nobody. Whoever
//! comes back under its name gets what it had kept, without a rebalance; and it is at a rebalance that the others would be
//! given away. Nothing else brings one about as long as the members stay.

use std::time::{Duration, Instant};

use crate::dead_letter::error_chain;
use crate::kafka::admin::{Admin, AdminError};
use crate::names::{GroupName, TopicName};

/// The wait between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// For how long nobody has a partition before somebody joins anew. In good order it lasts from the time at which its
/// member hears that it goes to another until that member has let go of it.
const GRACE: Duration = Duration::from_secs(10);

/// Looks until all of the topic's partitions have owners, or some have had none for long: these.
pub(super) async fn find(admin: &Admin, group: &GroupName, topic: &TopicName) -> Vec<i32> {
    let mut since = None;
    loop {
        match look(admin, group, topic).await {
            Ok(Some(unowned)) if unowned.is_empty() => return unowned,
            Ok(Some(unowned)) => {
                if since.get_or_insert_with(Instant::now).elapsed() >= GRACE {
                    return unowned;
                }
            }
            Ok(None) => since = None,
            // The consumer itself tells of brokers that don't answer.
            Err(error) => {
                let error = error_chain(&error);
                tracing::debug!(%group, %topic, error, "who owns which partition is not known");
                since = None;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The partitions without an owner; `None` while the group hands them out, or nobody is in it.
async fn look(
    admin: &Admin,
    group: &GroupName,
    topic: &TopicName,
) -> Result<Option<Vec<i32>>, AdminError> {
    let Some(state) = admin.group(group).await?.filter(|state| state.state == "Stable") else {
        return Ok(None);
    };
    let cluster = admin.cluster().await?;
    let owned = |partition: &i32| {
        state.members.iter().any(|member| member.partitions_of(topic).contains(partition))
    };
    let all = cluster.partitions(topic).map(|place| place.partition);
    Ok(Some(all.filter(|partition| !owned(partition)).collect()))
}
