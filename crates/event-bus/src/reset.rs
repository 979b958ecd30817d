//! From where a consumer group goes on: an operator moves its committed offsets.
//!
//! Under the inbox a reset to an earlier offset takes effect only for what never did: each event has its row, or stands
//! below what was purged.

mod confirm;
mod target;

use std::collections::BTreeMap;

use crate::audit::{Deed, NotWritten, OffsetMove};
use crate::catalogue::Catalogue;
use crate::dead_letter::error_chain;
use crate::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use crate::names::{GroupName, TopicName};
use crate::publisher::Publisher;

pub use target::{Effect, Known, Target, TargetError, effect, offset};

/// A reset as it is asked for.
#[derive(Clone, Debug)]
pub struct Reset {
    /// Whose offsets move.
    pub group: GroupName,
    /// Only those of this topic; otherwise of the topic that the catalogue gives the group, or of all that it has
    /// committed.
    pub topic: Option<TopicName>,
    /// Only those of these partitions; all where there are none.
    pub partitions: Vec<i32>,
    /// Where to.
    pub target: Target,
}

/// What a reset would change.
#[derive(Clone, Debug)]
pub struct Moves {
    group: GroupName,
    /// By topic and partition.
    pub moves: Vec<OffsetMove>,
    /// What was known when they were planned, of each.
    known: Vec<Known>,
    /// How many partitions stay as they are: they did not tell their offsets, or the target says nothing of them.
    pub left: usize,
}

/// A reset that can't be meant, or that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The group is running.
    #[error(
        "{group} is running, with {members} in it who would commit over a reset: stop its service, reset, and start it again; or say --coordinate"
    )]
    HasMembers {
        /// The group.
        group: GroupName,
        /// How many.
        members: usize,
    },
    /// The catalogue gives the group another topic.
    #[error("{group} consumes {consumes}, and not {topic}")]
    OtherTopic {
        /// The group.
        group: GroupName,
        /// Its topic.
        consumes: TopicName,
        /// The one that was asked for.
        topic: TopicName,
    },
    /// Neither the cluster nor the catalogue has it.
    #[error("there is no group {group}: `event-bus groups list --all` shows them")]
    UnknownGroup {
        /// The group.
        group: GroupName,
    },
    /// No topic of the group has it.
    #[error("there is no partition {partition} that {group} could go on in")]
    UnknownPartition {
        /// The group.
        group: GroupName,
        /// The partition.
        partition: i32,
    },
    /// No partition would move.
    #[error("{group} has nothing to reset there: `event-bus groups lag` shows where it is")]
    NothingToReset {
        /// The group.
        group: GroupName,
    },
    /// The group is not where it was when the moves were shown.
    #[error(
        "partition {partition} of {group} is not as it was shown, where it would go from {} to {to}: it is at {} now, look again", told(*.shown), told(*.now)
    )]
    Changed {
        /// The group.
        group: GroupName,
        /// The partition.
        partition: i32,
        /// Where the group was when it was shown.
        shown: Option<i64>,
        /// Where it is.
        now: Option<i64>,
        /// Where it would go.
        to: i64,
    },
    /// Kafka did not answer or refused.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// It is not audited, and so was not made.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
}

/// An offset in a sentence.
fn told(offset: Option<i64>) -> String {
    offset.map_or_else(|| "no commit".to_owned(), |offset| offset.to_string())
}

impl Reset {
    /// What it would change.
    ///
    /// # Errors
    /// When it can't be meant, the group has members, or Kafka did not answer.
    pub async fn plan(&self, catalogue: &Catalogue, admin: &Admin) -> Result<Moves, ResetError> {
        let (moves, members) = self.preview(catalogue, admin).await?;
        match members {
            0 => Ok(moves),
            members => Err(ResetError::HasMembers { group: self.group.clone(), members }),
        }
    }

    /// What it would change if nobody were in the group, and how many are.
    ///
    /// # Errors
    /// When it can't be meant, or Kafka did not answer.
    pub async fn preview(
        &self,
        catalogue: &Catalogue,
        admin: &Admin,
    ) -> Result<(Moves, usize), ResetError> {
        let (topics, members) = self.topics(catalogue, admin).await?;
        let cluster = admin.cluster().await?;
        let all: Vec<_> = topics.iter().flat_map(|topic| cluster.partitions(topic)).collect();
        let is_there = |number: &&i32| all.iter().any(|place| place.partition == **number);
        if let Some(partition) = self.partitions.iter().find(|number| !is_there(number)) {
            let (group, partition) = (self.group.clone(), *partition);
            return Err(ResetError::UnknownPartition { group, partition });
        }
        let is_asked = |number| self.partitions.is_empty() || self.partitions.contains(&number);
        let asked: Vec<_> = all.into_iter().filter(|place| is_asked(place.partition)).collect();
        let count = asked.len();
        let (moves, known): (Vec<_>, Vec<_>) = self.moves(admin, asked).await?.into_iter().unzip();
        if moves.is_empty() {
            return Err(ResetError::NothingToReset { group: self.group.clone() });
        }
        let left = count - moves.len();
        Ok((Moves { group: self.group.clone(), moves, known, left }, members))
    }

    /// The topics whose offsets move, and how many are in the group.
    async fn topics(
        &self,
        catalogue: &Catalogue,
        admin: &Admin,
    ) -> Result<(Vec<TopicName>, usize), ResetError> {
        let group = self.group.clone();
        let found = admin.groups().await?.into_iter().find(|found| found.name == group.as_str());
        let members = found.as_ref().map_or(0, |found| found.members.len());
        let of_catalogue =
            catalogue.subscriptions().find(|subscription| subscription.consumer.group == group);
        let topics = match (
            self.topic.clone(),
            of_catalogue.map(|subscription| &subscription.event.topic),
        ) {
            (Some(topic), Some(consumes)) if topic != *consumes => {
                return Err(ResetError::OtherTopic { group, consumes: consumes.clone(), topic });
            }
            (_, Some(consumes)) => vec![consumes.clone()],
            (_, None) if found.is_none() => return Err(ResetError::UnknownGroup { group }),
            (Some(topic), None) => vec![topic],
            (None, None) => {
                let committed = admin.committed_offsets(&group).await?;
                let mut topics: Vec<_> = committed.into_keys().map(|place| place.topic).collect();
                topics.dedup();
                topics
            }
        };
        Ok((topics, members))
    }

    async fn moves(
        &self,
        admin: &Admin,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(OffsetMove, Known)>, AdminError> {
        let committed = admin.committed_offsets(&self.group).await?;
        let starts = admin.offsets(Position::Start, partitions.clone()).await?;
        let ends = admin.offsets(Position::End, partitions.clone()).await?;
        let at = match self.target {
            Target::At(time) => {
                let position = Position::At(time.as_millisecond());
                Some(admin.offsets(position, partitions.clone()).await?)
            }
            _ => None,
        };
        let told = |offsets: &Offsets, place: &TopicPartition| match offsets.get(place) {
            Some(Ok(offset)) => Some(*offset),
            Some(Err(_)) | None => None,
        };
        let moves = partitions.into_iter().filter_map(|place| {
            // Who did not tell is not taken for somebody who has nothing to tell.
            let known = Known {
                committed: committed
                    .get(&place)
                    .map_or(Some(None), |_| told(&committed, &place))?,
                log_start: told(&starts, &place)??,
                log_end: told(&ends, &place)??,
                at: at.as_ref().map_or(Some(None), |at| told(at, &place))?,
            };
            let to = offset(self.target, known)?;
            let (group, TopicPartition { topic, partition }) = (self.group.clone(), place);
            Some((OffsetMove { group, topic, partition, from: known.committed, to }, known))
        });
        Ok(moves.collect())
    }
}

impl Moves {
    /// These, of this group.
    #[must_use]
    pub fn of(group: GroupName, moves: Vec<OffsetMove>) -> Self {
        Self { group, moves, known: Vec::new(), left: 0 }
    }

    /// What was planned, each with what becomes of events.
    pub fn effects(&self) -> impl Iterator<Item = (&OffsetMove, Effect)> {
        let planned = self.moves.iter().zip(&self.known);
        planned.map(|(step, known)| (step, effect(*known, step.to)))
    }

    /// Moves the offsets. That is written first; and where it fails, that it did.
    ///
    /// # Errors
    /// When it can't be audited, or the group's coordinator did not answer or refused, as it does when somebody has joined.
    pub async fn carry_out(
        &self,
        admin: &Admin,
        publisher: &Publisher,
        by: &str,
        reason: Option<&str>,
    ) -> Result<(), ResetError> {
        let deed = Deed::about_offsets(self.moves.clone(), by, reason);
        deed.write(publisher).await?;
        let offsets: BTreeMap<_, _> = self.moves.iter().map(OffsetMove::place_and_offset).collect();
        if let Err(error) = admin.commit_offsets(&self.group, &offsets).await {
            deed.not_done(&error_chain(&error)).write(publisher).await?;
            return Err(error.into());
        }
        Ok(())
    }
}

impl OffsetMove {
    fn place_and_offset(&self) -> (TopicPartition, i64) {
        (TopicPartition { topic: self.topic.clone(), partition: self.partition }, self.to)
    }
}
