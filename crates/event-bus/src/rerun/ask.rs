//! A range that an operator asks for: what it is on the cluster, and how it is carried out.

use uuid::Uuid;

use super::{DryRun, InboxState, Only, Opening, Span, Trial};
use crate::audit::OffsetMove;
use crate::catalogue::Catalogue;
use crate::control::{AskError, Asker};
use crate::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use crate::names::{GroupName, TopicName};
use crate::publisher::Publisher;
use crate::reset::{Known, Moves, ResetError, Target, offset};
use crate::store::{ConnectError, OpenError, Store};

/// How a range is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What never took effect does.
    Redeliver,
    /// All of it does once more; `emits` where what handlers emit goes out again, under the ids that it had.
    Reprocess {
        /// Whether it does.
        emits: bool,
    },
}

/// A range as it is asked for.
#[derive(Clone, Debug)]
pub struct Range {
    /// Who reads it again.
    pub group: GroupName,
    /// The topic of the event that is meant, which must be the group's.
    pub topic: TopicName,
    /// Where it begins.
    pub from: Target,
    /// Where it ends; where the group is if nothing is said.
    pub to: Option<Target>,
    /// Which events of it.
    pub only: Only,
}

/// A range as it is on the cluster.
#[derive(Clone, Debug)]
pub struct Planned {
    range: Range,
    /// Partitions in which there is something to run again.
    pub spans: Vec<Span>,
}

/// Why a range is not run again.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The group reads another event.
    #[error(
        "{group} consumes {consumes}, and not {topic}: nothing of one event goes into the consumer of another"
    )]
    OtherTopic {
        /// The group.
        group: GroupName,
        /// Its topic.
        consumes: TopicName,
        /// The one that was asked for.
        topic: TopicName,
    },
    /// The catalogue does not have it.
    #[error("the catalogue has no consumer group {group}: `event-bus groups list` shows them")]
    UnknownGroup {
        /// The group.
        group: GroupName,
    },
    /// Nothing of it was settled.
    #[error(
        "{group} has settled nothing in that range that is still there: `event-bus groups lag {group} --partitions` shows \
         where it is, and what is behind that comes anyway"
    )]
    Nothing {
        /// The group.
        group: GroupName,
    },
    /// The inbox does not know any more what took effect there.
    #[error(
        "the inbox of {group} was purged below offset {below} of partition {partition}: what is there counts as done and would \
         take no effect. Begin at {below} or later, or have it run again with --mode reprocess"
    )]
    Purged {
        /// The group.
        group: GroupName,
        /// The partition.
        partition: i32,
        /// The offset.
        below: i64,
    },
    /// Nobody is there who could do it.
    #[error(
        "{group} does not run, so nobody is there who could note which events run again: start its service, or name its \
         database with --store"
    )]
    NeedsStore {
        /// The group.
        group: GroupName,
    },
    /// The group never worked there.
    #[error("{group} never worked on that database: name the one of its service")]
    NotIts {
        /// The group.
        group: GroupName,
    },
    /// Kafka does not know the topic.
    #[error("the topic {topic} does not exist: `event-bus topics apply` creates it")]
    NoTopic {
        /// The topic.
        topic: TopicName,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The service did not answer, or refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The offsets were not moved.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// The database refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database did not answer.
    #[error("the service's database did not answer")]
    Store(#[from] sqlx::Error),
}

impl Range {
    /// What it is on the cluster now. Ends where the group is: what is behind that comes anyway.
    ///
    /// # Errors
    /// When the group does not read that event, or nothing of the range was settled.
    pub async fn plan(&self, catalogue: &Catalogue, admin: &Admin) -> Result<Planned, RerunError> {
        let (group, topic) = (self.group.clone(), self.topic.clone());
        let mut subscriptions = catalogue.subscriptions();
        let found = subscriptions.find(|subscription| subscription.consumer.group == group);
        match found.map(|subscription| subscription.event.topic.clone()) {
            None => return Err(RerunError::UnknownGroup { group }),
            Some(consumes) if consumes != topic => {
                return Err(RerunError::OtherTopic { group, consumes, topic });
            }
            Some(_) => {}
        }
        let cluster = admin.cluster().await?;
        let partitions = cluster.partitions(&topic).collect();
        let spans = self.spans(admin, partitions).await?;
        if spans.is_empty() {
            return Err(RerunError::Nothing { group });
        }
        Ok(Planned { range: self.clone(), spans })
    }

    async fn spans(
        &self,
        admin: &Admin,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<Span>, RerunError> {
        let committed = admin.committed_offsets(&self.group).await?;
        let starts = admin.offsets(Position::Start, partitions.clone()).await?;
        let ends = admin.offsets(Position::End, partitions.clone()).await?;
        let first_at = at(admin, Some(self.from), &partitions).await?;
        let upto_at = at(admin, self.to, &partitions).await?;
        let mut spans = Vec::with_capacity(partitions.len());
        for place in partitions {
            let known = Known {
                committed: told(&committed, &place)?,
                log_start: told(&starts, &place)?.unwrap_or(0),
                log_end: told(&ends, &place)?.unwrap_or(0),
                at: told(&first_at, &place)?,
            };
            let Some(end) = known.committed else { continue };
            let end = end.min(known.log_end);
            let first = offset(self.from, known).unwrap_or(end);
            let upto = match self.to {
                None => end,
                Some(to) => {
                    let known = Known { at: told(&upto_at, &place)?, ..known };
                    offset(to, known).map_or(end, |upto| upto.min(end))
                }
            };
            if first < upto {
                spans.push(Span { partition: place.partition, first, upto, end });
            }
        }
        Ok(spans)
    }
}

/// What was told of a partition; nothing where it was not asked about. Who did not tell is not taken for somebody who has
/// nothing to tell.
fn told(offsets: &Offsets, place: &TopicPartition) -> Result<Option<i64>, AdminError> {
    offsets.get(place).cloned().transpose().map(Option::flatten)
}

/// The offsets of a target that is a time.
async fn at(
    admin: &Admin,
    target: Option<Target>,
    partitions: &[TopicPartition],
) -> Result<Offsets, AdminError> {
    match target {
        Some(Target::At(time)) => {
            admin.offsets(Position::At(time.as_millisecond()), partitions.to_vec()).await
        }
        _ => Ok(Offsets::default()),
    }
}

impl Planned {
    /// Records of the range, those included that are not meant: they are counted by their offsets.
    #[must_use]
    pub fn records(&self) -> u64 {
        let each = self.spans.iter().map(|span| span.upto.abs_diff(span.first));
        each.sum()
    }

    /// Has a running service run it in transactions that are rolled back, at most so many events of each partition.
    ///
    /// # Errors
    /// When no service answers, or it refuses.
    pub async fn try_out(&self, asker: &mut Asker, most: u64) -> Result<DryRun, RerunError> {
        let (replica, _) = asker.look().await?;
        let (spans, only) = (self.spans.clone(), self.range.only.clone());
        Ok(asker.try_out(replica, Trial { spans, only, most }).await?)
    }

    /// Has the running service leave its group, moves the group back, and has the service go on. The offsets move first:
    /// where this breaks off then, events come again and take no effect.
    ///
    /// # Errors
    /// When the service does not answer, stays or refuses, or the offsets can't be moved.
    pub async fn run_again(
        &self,
        mode: Mode,
        asker: &mut Asker,
        (admin, publisher): (&Admin, &Publisher),
        (by, reason): (&str, Option<&str>),
    ) -> Result<(), RerunError> {
        let (replica, state) = asker.look().await?;
        self.check(mode, &state)?;
        asker.pause(admin).await?;
        let done = async {
            // The group may have gone on meanwhile, and so may another operator.
            let planned = self.range.plan(publisher.catalogue(), admin).await?;
            planned.move_back(mode, (admin, publisher), (by, reason)).await?;
            Ok(asker.open(replica, planned.opening(mode)).await?)
        };
        let done = done.await;
        // What went wrong first is what is told.
        let goes_on = asker.go_on().await;
        done.and(goes_on.map_err(RerunError::from))
    }

    /// As [`Self::run_again`], for a group that nobody is in. Its database is needed unless only what never took effect is
    /// meant, and all of that.
    ///
    /// # Errors
    /// When somebody is in the group, the database is needed and not there, or the offsets can't be moved.
    pub async fn run_again_at_rest(
        &self,
        mode: Mode,
        store: Option<&Store>,
        (admin, publisher): (&Admin, &Publisher),
        (by, reason): (&str, Option<&str>),
    ) -> Result<(), RerunError> {
        let Range { group, topic, only, .. } = &self.range;
        let topic_id = admin.topic_id(topic).await?;
        let topic_id = topic_id.ok_or_else(|| RerunError::NoTopic { topic: topic.clone() })?;
        let is_all = only.is_everything() && self.spans.iter().all(|span| span.upto == span.end);
        match store {
            Some(store) => {
                let state = store.inbox_state(group, topic, topic_id).await?;
                let state = state.ok_or_else(|| RerunError::NotIts { group: group.clone() })?;
                self.check(mode, &state)?;
            }
            None if mode == Mode::Redeliver && is_all => {}
            None => return Err(RerunError::NeedsStore { group: group.clone() }),
        }
        self.move_back(mode, (admin, publisher), (by, reason)).await?;
        if let Some(store) = store {
            store.open_rerun((group, topic, topic_id), &self.opening(mode)).await?;
        }
        Ok(())
    }

    /// Refuses before anything is done what the inbox can't do.
    fn check(&self, mode: Mode, state: &InboxState) -> Result<(), RerunError> {
        let group = || self.range.group.clone();
        for span in &self.spans {
            let partition = span.partition;
            let below = state.purged_below.get(&partition).copied().unwrap_or(0);
            match (mode, state.parked.get(&partition)) {
                (Mode::Redeliver, _) if span.first < below => {
                    return Err(RerunError::Purged { group: group(), partition, below });
                }
                (Mode::Reprocess { .. }, Some(keys)) => {
                    let keys = *keys;
                    return Err(OpenError::Parked { group: group(), partition, keys }.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn opening(&self, mode: Mode) -> Opening {
        let (is_anew, emits) = match mode {
            Mode::Redeliver => (false, true),
            Mode::Reprocess { emits } => (true, emits),
        };
        let (spans, only) = (self.spans.clone(), self.range.only.clone());
        Opening { id: Uuid::now_v7(), spans, only, is_anew, emits }
    }

    async fn move_back(
        &self,
        mode: Mode,
        (admin, publisher): (&Admin, &Publisher),
        (by, reason): (&str, Option<&str>),
    ) -> Result<(), ResetError> {
        let moves = self.spans.iter().map(|span| OffsetMove {
            group: self.range.group.clone(),
            topic: self.range.topic.clone(),
            partition: span.partition,
            from: Some(span.end),
            to: span.first,
        });
        let what = match mode {
            Mode::Redeliver => "redeliver",
            Mode::Reprocess { emits: false } => "reprocess",
            Mode::Reprocess { emits: true } => "reprocess, and emit again",
        };
        let reason = reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}"));
        let moves = Moves::of(self.range.group.clone(), moves.collect());
        moves.carry_out(admin, publisher, by, Some(&reason)).await
    }
}

/// So many events of each partition are tried where nothing is said, as their transaction is open until the last one ran.
pub const MOST_TRIED: u64 = 1_000;
