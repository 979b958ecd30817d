use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Acls, Client, Inbox, Observed};
use crate::catalogue::Catalogue;
use crate::dead_letter::error_chain;
use crate::kafka::ConfigError;
use crate::kafka::admin::{Admin, AdminError, Cluster, Position, TopicPartition, Wanted};
use crate::lag::RETENTION_NEAR_PERCENT;
use crate::store::{Claimant, Store, StoreError};

/// Why nothing can be said of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The client's properties are not taken.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] AdminError),
    /// A service's database did not answer.
    #[error("a service's inbox could not be read")]
    Store(#[from] StoreError),
}

/// Asks a cluster about all that the catalogue names and what looks like it, and the services' databases about their
/// inboxes, which it reads as a whole. What this user may not see is missed in it and takes nothing else away.
///
/// # Errors
/// When no broker answered, a topic's configs may not be read, or a database did not answer.
pub async fn observe(
    catalogue: &Catalogue,
    client: Client,
    stores: &[Store],
    now: Timestamp,
) -> Result<Observed, ObserveError> {
    let admin = Admin::connect(&client.config()?)?;
    let cluster = admin.cluster_with_configs(&catalogue.topics()).await?;
    let layout = admin.layout().await?;
    let survey = admin.survey(&wanted(catalogue)).await?;
    // Of a partition without leader nothing is known, and that is a finding.
    let mut unseen = survey.failures.clone();
    let known = catalogue.topics();
    let led = known.iter().flat_map(|topic| cluster.partitions(topic));
    let led =
        led.filter(|at| layout.partitions.get(at).is_some_and(|found| found.leader.is_some()));
    let led: Vec<TopicPartition> = led.collect();
    let times = admin.times(led.clone()).await?;
    let newest = times.into_iter().map(|(at, (_, newest))| (at, newest)).collect();
    let safe_from = safe_from(&admin, &cluster, led, now).await?;
    let mut broker_configs = BTreeMap::new();
    for id in &layout.brokers {
        match admin.broker_configs(*id).await {
            Ok(configs) => drop(broker_configs.insert(*id, configs)),
            Err(error) => unseen.push(format!("configs of broker {id}: {}", error_chain(&error))),
        }
    }
    let acls = match admin.acls().await {
        Ok(Some(acls)) => Acls::On(acls),
        Ok(None) => Acls::Off,
        Err(error) => {
            unseen.push(format!("access control lists: {}", error_chain(&error)));
            Acls::Untold
        }
    };
    let mut inboxes = Vec::new();
    for store in stores {
        inboxes.extend(inbox(&admin, store, catalogue, &cluster).await?);
    }
    Ok(Observed {
        client,
        cluster,
        layout,
        survey,
        newest,
        safe_from,
        broker_configs,
        acls,
        inboxes,
        unseen,
    })
}

/// What begins as the namespace's topics and groups do.
fn wanted(catalogue: &Catalogue) -> Wanted {
    let beginning = |separator: char| format!("{}{separator}", catalogue.namespace());
    let (groups, topics) = (beginning('-'), beginning('.'));
    Wanted {
        group: Arc::new(move |name| name.starts_with(&groups)),
        topic: Arc::new(move |name| name.starts_with(&topics)),
    }
}

/// Where in each partition what is not about to be removed begins, in topics that remove something.
async fn safe_from(
    admin: &Admin,
    cluster: &Cluster,
    led: Vec<TopicPartition>,
    now: Timestamp,
) -> Result<BTreeMap<TopicPartition, Option<i64>>, AdminError> {
    let mut by_retention: BTreeMap<i64, Vec<TopicPartition>> = BTreeMap::new();
    for at in led {
        let state = cluster.topics.get(&at.topic);
        let millis = state.and_then(|state| state.configs.get("retention.ms")?.parse().ok());
        if let Some(millis) = millis.filter(|millis| *millis >= 0) {
            by_retention.entry(millis).or_default().push(at);
        }
    }
    let mut safe = BTreeMap::new();
    for (retention, partitions) in by_retention {
        let near = retention / 100 * i64::from(RETENTION_NEAR_PERCENT);
        let since = Position::At(now.as_millisecond().saturating_sub(near));
        let offsets = admin.offsets(since, partitions).await?;
        safe.extend(offsets.into_iter().filter_map(|(at, offset)| Some((at, offset.ok()?))));
    }
    Ok(safe)
}

/// What a database says of each partition of the topics of which it has rows.
async fn inbox(
    admin: &Admin,
    store: &Store,
    catalogue: &Catalogue,
    cluster: &Cluster,
) -> Result<Vec<Inbox>, ObserveError> {
    let begins = store.inbox_begins().await?;
    let mut inboxes = Vec::new();
    for subscription in catalogue.subscriptions() {
        let (group, topic) = (&subscription.consumer.group, &subscription.event.topic);
        let own = begins
            .iter()
            .filter(|found| found.group == group.as_str() && found.topic == topic.as_str());
        let first: BTreeMap<i32, i64> = own.map(|found| (found.partition, found.offset)).collect();
        if first.is_empty() {
            // The group is another service's, or its handler needs no inbox.
            continue;
        }
        let topic_id = admin.topic_id(topic).await?;
        for at in cluster.partitions(topic) {
            let claimant = Claimant::of(group, topic, at.partition);
            let purged = store.purged_below(&claimant).await?;
            // What was purged of a topic of the same name that is gone says nothing of this one.
            let purged = purged.into_iter().find(|(of, _)| Some(*of) == topic_id);
            let purged_below = purged.map_or(0, |(_, below)| below);
            let first = first.get(&at.partition).copied();
            inboxes.push(Inbox { group: group.clone(), at, first, purged_below });
        }
    }
    Ok(inboxes)
}
