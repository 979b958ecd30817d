//! Consumer groups: who is in them, how far behind, and how far they were.

use std::time::Instant;

use event_bus::catalogue::Subscription;
use event_bus::kafka::admin::GroupMember;
use event_bus::lag::{GroupLag, Level, PartitionReading, Thresholds};
use event_bus::names::{EventName, GroupName, ServiceName, TopicName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Desk, DeskError};
use crate::Moment;
use crate::access::policy::{Action, Actor, Denied, Object, decide};

/// The state of a group of the catalogue that the cluster has never seen.
const ABSENT: &str = "absent";

/// A consumer group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub group: GroupName,
    /// Whose it is.
    pub service: ServiceName,
    /// What it consumes.
    pub event: EventName,
    /// From where.
    pub topic: TopicName,
    /// Kafka's word for its state, or `absent`.
    pub state: String,
    /// How many are in it.
    pub members: usize,
    /// How far behind it is; none before Kafka told that.
    #[serde(flatten)]
    pub behind: Option<Behind>,
}

/// How far behind a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// How many events it has still to settle.
    pub lag: u64,
    /// How bad that is.
    pub level: Level,
    /// The threshold that it is above, where it is above one.
    pub above: Option<u64>,
    /// Events that retention took before it settled them.
    pub lost: u64,
    /// Partitions whose lag is unknown, so that all of it is too low.
    pub unknown_partitions: usize,
}

/// A consumer group with all that is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupPage {
    /// Its name.
    pub group: GroupName,
    /// Whose it is.
    pub service: ServiceName,
    /// What it consumes.
    pub event: EventName,
    /// From where.
    pub topic: TopicName,
    /// Kafka's word for its state, or `absent`.
    pub state: String,
    /// How partitions are assigned; empty when nobody is in it.
    pub protocol: String,
    /// Who is in it.
    pub members: Vec<Member>,
    /// How far behind it is, and was.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How far behind a group is, partition by partition, and how far it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// How far behind it is; none before Kafka told that.
    #[serde(flatten)]
    pub behind: Option<Behind>,
    /// From how many events on somebody is told, as the catalogue says of the topic.
    pub thresholds: Thresholds,
    /// When Kafka told the offsets.
    pub at: Option<Timestamp>,
    /// Each partition.
    pub partitions: Vec<PartitionReading>,
    /// How far behind it was: of each quarter of a minute the most, over some hours, as long as this process has run.
    pub lag_over_time: Vec<LagAt>,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Its partitions of the group's topic.
    pub partitions: Vec<i32>,
}

/// A lag at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LagAt {
    /// When.
    pub at: Timestamp,
    /// So many events.
    pub lag: u64,
}

impl Behind {
    pub(super) fn of(group: &GroupLag, thresholds: Thresholds) -> Self {
        let lag = group.total();
        let level = thresholds.level(lag);
        Self {
            lag,
            level,
            above: thresholds.below(level),
            lost: group.lost(),
            unknown_partitions: group.unknown(),
        }
    }
}

impl Member {
    fn of(member: &GroupMember, topic: &TopicName) -> Self {
        Self {
            id: member.id.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
            partitions: member.partitions_of(topic).to_vec(),
        }
    }
}

impl LagAt {
    fn of(moment: &Moment) -> Self {
        Self { at: time_of(moment.at), lag: moment.lag }
    }
}

/// What a clock on the wall showed.
pub(super) fn time_of(at: Instant) -> Timestamp {
    let ago = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Desk {
    /// All groups in scope, in the catalogue's order.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn groups(&self, actor: &Actor) -> Result<Vec<GroupRow>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        let states = self.admin.groups().await?;
        let newest = self.watch.newest();
        let rows = self.catalogue.subscriptions().filter(|found| may(actor, Action::See, *found));
        let rows = rows.map(|found| {
            let group = &found.consumer.group;
            let state = states.iter().find(|state| state.name == group.as_str());
            let lag = newest.as_ref().and_then(|newest| newest.lag_of(group));
            GroupRow {
                group: group.clone(),
                service: found.consumer.service.clone(),
                event: found.event.name.clone(),
                topic: found.event.topic.clone(),
                state: state.map_or(ABSENT, |state| &state.state).to_owned(),
                members: state.map_or(0, |state| state.members.len()),
                behind: lag.map(|lag| Behind::of(lag, found.event.lag)),
            }
        });
        Ok(rows.collect())
    }

    /// A group. One that is out of scope does not exist.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn group(&self, actor: &Actor, group: &str) -> Result<GroupPage, DeskError> {
        let found = self.subscription(actor, Action::See, group)?;
        let (group, topic) = (&found.consumer.group, &found.event.topic);
        let state = self.admin.group(group).await?;
        let members = state.iter().flat_map(|state| &state.members);
        Ok(GroupPage {
            group: group.clone(),
            service: found.consumer.service.clone(),
            event: found.event.name.clone(),
            topic: topic.clone(),
            members: members.map(|member| Member::of(member, topic)).collect(),
            protocol: state.as_ref().map(|state| state.protocol.clone()).unwrap_or_default(),
            state: state.map_or_else(|| ABSENT.to_owned(), |state| state.state),
            standing: self.standing_of(found),
        })
    }

    /// How far behind a group is, and was, as it was seen last: Kafka is not asked for it.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn standing(&self, actor: &Actor, group: &str) -> Result<Standing, DeskError> {
        let found = self.subscription(actor, Action::See, group)?;
        Ok(self.standing_of(found))
    }

    fn standing_of(&self, found: Subscription<'_>) -> Standing {
        let group = &found.consumer.group;
        let Some(newest) = self.watch.newest() else {
            return Standing { thresholds: found.event.lag, ..Standing::default() };
        };
        let lag = newest.lag_of(group);
        Standing {
            behind: lag.map(|lag| Behind::of(lag, found.event.lag)),
            thresholds: found.event.lag,
            at: Some(time_of(newest.at)),
            partitions: lag.map(|lag| lag.partitions.clone()).unwrap_or_default(),
            lag_over_time: self.watch.lag_of(group).iter().map(LagAt::of).collect(),
        }
    }

    /// A group for somebody who wants to do this with it.
    pub(crate) fn subscription(
        &self,
        actor: &Actor,
        action: Action,
        group: &str,
    ) -> Result<Subscription<'_>, DeskError> {
        decide(actor, action, Object::InScope)?;
        let none = || DeskError::NoGroup(group.chars().take(MAX_NAME_CHARS).collect());
        let found = self.catalogue.subscriptions().find(|found| found.consumer.group == *group);
        let found = found.ok_or_else(none)?;
        match decide(actor, action, object(found)) {
            Ok(()) => Ok(found),
            Err(Denied::OutOfScope) => Err(none()),
            Err(denied) => Err(denied.into()),
        }
    }
}

/// So much of a name that somebody asks for is told back.
pub(super) const MAX_NAME_CHARS: usize = 249;

fn object(found: Subscription<'_>) -> Object<'_> {
    Object::Group { service: found.consumer.service.as_str() }
}

/// Whether somebody may do this with a group.
pub(super) fn may(actor: &Actor, action: Action, found: Subscription<'_>) -> bool {
    decide(actor, action, object(found)).is_ok()
}
