//! The inbox from outside: what it holds, and the removal of what no offset reset can bring back unnoticed.
//!
//! A row of `processed_events` says that an event took effect. It may go once the group has committed an offset behind it
//! and it is older than any reset is expected to reach. Even then nothing takes effect again: before rows are removed,
//! the offset behind them is noted, and what stands below it is skipped by its position. The note names the topic's id,
//! so a topic that was deleted and made anew is read from its beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::types::Uuid;

use crate::catalogue::{Catalogue, Retention};
use crate::kafka::admin::{Admin, AdminError};
use crate::names::{GroupName, TopicName};
use crate::store::{Expired, Store};

/// How long rows are kept when nobody says.
pub const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The least that rows are kept. Until then the same event may come again behind where it stands, from a relay that lost
/// its lease unknowingly, say; it is known by its row alone.
pub const KEEP_AT_LEAST: Duration = Duration::from_secs(24 * 60 * 60);

/// What was removed of one group and topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// The consumer group.
    pub group: GroupName,
    /// The topic.
    pub topic: TopicName,
    /// Rows that are gone.
    pub removed: u64,
    /// Below which offset of each partition everything counts as handled, where something was removed.
    pub below: BTreeMap<i32, i64>,
}

/// Why nothing was removed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// Rows would go while their events may still come again behind where they stand.
    #[error(
        "rows of the inbox are kept for {KEEP_AT_LEAST:?} at least, for until then an event may come again behind where it \
         stands: purge what is older than that, not than {older_than:?}"
    )]
    TooSoon {
        /// What was asked for.
        older_than: Duration,
    },
    /// Rows would go while Kafka still has their events.
    #[error(
        "{topic} keeps its events for {retention:?}, so rows of its inbox are kept at least as long: purge what is older \
         than that, not than {older_than:?}"
    )]
    TooYoung {
        /// The topic.
        topic: TopicName,
        /// How long its events are kept.
        retention: Duration,
        /// What was asked for.
        older_than: Duration,
    },
    /// The topic is not there, so nobody can say which of its events were handled.
    #[error(
        "{topic} does not exist on this cluster, so its inbox rows are left: check the bootstrap servers and the namespace"
    )]
    NoTopic {
        /// The topic.
        topic: TopicName,
    },
    /// Kafka was asked how far the group is.
    #[error("Kafka could not be asked what the group has committed")]
    Kafka(#[from] AdminError),
    /// The database refused or did not answer. What was removed before is gone, and the rest is there.
    #[error("the inbox could not be purged")]
    Store(#[from] sqlx::Error),
}

/// Removes rows of a service's inbox that are older than `older_than` and whose events the group has committed. Rows of
/// dead letters stay, for replays are told by them; rows of groups that the catalogue does not have stay as well.
///
/// Afterwards an event at or below a removed row's offset counts as handled, also one that an offset reset had skipped.
///
/// # Errors
/// When a topic's retention is longer than `older_than`, and when Kafka or the database fail. Purging again goes on.
pub async fn purge(
    store: &Store,
    admin: &Admin,
    catalogue: &Catalogue,
    older_than: Duration,
) -> Result<Vec<Purged>, PurgeError> {
    if older_than < KEEP_AT_LEAST {
        return Err(PurgeError::TooSoon { older_than });
    }
    let shares = store.inbox_shares().await?;
    let held = |group: &GroupName, topic: &TopicName| {
        shares.iter().any(|share| share.group == group.as_ref() && share.topic == topic.as_ref())
    };
    let mut wanted = Vec::new();
    for subscription in catalogue.subscriptions() {
        let (group, event) = (&subscription.consumer.group, subscription.event);
        if !held(group, &event.topic) {
            continue;
        }
        match event.retention {
            Retention::For(retention) if retention > older_than => {
                let topic = event.topic.clone();
                return Err(PurgeError::TooYoung { topic, retention, older_than });
            }
            Retention::For(_) | Retention::Unlimited => wanted.push((group, &event.topic)),
        }
    }
    let mut purged = Vec::new();
    for (group, topic) in wanted {
        purged.push(purge_one(store, admin, group, topic, older_than).await?);
    }
    Ok(purged)
}

async fn purge_one(
    store: &Store,
    admin: &Admin,
    group: &GroupName,
    topic: &TopicName,
    older_than: Duration,
) -> Result<Purged, PurgeError> {
    let no_topic = || PurgeError::NoTopic { topic: topic.clone() };
    let topic_id = admin.topic_id(topic).await?.ok_or_else(no_topic)?;
    let committed = admin.committed_offsets(group).await?;
    let of_topic = committed.into_iter().filter(|(of, _)| of.topic == *topic);
    let mut purged =
        Purged { group: group.clone(), topic: topic.clone(), removed: 0, below: BTreeMap::new() };
    for (of, offset) in of_topic {
        // Nothing committed, nothing to remove.
        let Some(committed) = offset? else { continue };
        let expired = Expired { group, topic, partition: of.partition, committed, older_than };
        if let Some(below) = store.settle_expired(&expired, topic_id).await? {
            purged.below.insert(of.partition, below);
            purged.removed += remove(store, &expired).await?;
        }
    }
    Ok(purged)
}

async fn remove(store: &Store, expired: &Expired<'_>) -> Result<u64, sqlx::Error> {
    let (mut removed, mut behind): (u64, Option<Uuid>) = (0, None);
    loop {
        let (batch, last) = store.purge_batch(expired, behind).await?;
        removed += batch;
        if last.is_none() {
            return Ok(removed);
        }
        behind = last;
    }
}
