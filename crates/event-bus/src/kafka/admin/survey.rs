use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::super::admin_native::{self, Isolation, PartitionOffset};
use super::groups::{COORDINATOR_PAUSE, is_passing};
use super::{Admin, AdminError, TopicPartition, is_unanswered};
use crate::dead_letter::error_chain;
use crate::names::TopicName;

/// How long one request may take. A broker that does not answer must not hold up what the others tell for long.
const REQUEST: Duration = Duration::from_secs(5);

/// The state of a group that this client has no words for: a share group, for example.
const UNTOLD: &str = "Unknown";

/// Which groups and topics a [`Survey`] is about.
#[derive(Clone)]
pub struct Wanted {
    /// Whether it is about this group.
    pub group: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Whether it is about this topic.
    pub topic: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// The offsets of a cluster's topics and groups at one time, also of those that no catalogue knows.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many brokers the cluster has now.
    pub brokers: usize,
    /// The topics that were wanted, sorted by name.
    pub topics: Vec<TopicOffsets>,
    /// The groups that were wanted, sorted by name.
    pub groups: Vec<GroupOffsets>,
    /// Whether all brokers told their groups, so that one which is not among them does not exist.
    pub has_all_groups: bool,
    /// Partitions that have no leader, which nobody can tell of.
    pub leaderless: Vec<TopicPartition>,
    /// What else was not told, each with the reason: a broker, a group or a partition.
    pub failures: Vec<String>,
}

/// A topic of a [`Survey`].
#[derive(Debug)]
pub struct TopicOffsets {
    /// Its name.
    pub name: TopicName,
    /// Each partition, by its number; `None` for one that did not tell, for want of a leader.
    pub partitions: Vec<Option<Span>>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first offset that is still there.
    pub start: i64,
    /// The last stable offset: up to here records may be read, for no transaction before it is open.
    pub stable: i64,
    /// The offset behind the last record, or behind the last transaction's marker.
    pub end: i64,
}

/// A consumer group of a [`Survey`].
#[derive(Debug)]
pub struct GroupOffsets {
    /// Its name, which may be any text.
    pub name: String,
    /// Kafka's word for its state, such as `Stable` or `Empty`; `Unknown` where the client can't tell.
    pub state: String,
    /// How many members it has, where that was told.
    pub members: Option<usize>,
    /// What it has committed, sorted; `None` where its coordinator did not tell.
    pub committed: Option<Vec<Committed>>,
}

/// What a group has committed in one partition that the survey has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Committed {
    /// The topic's place in [`Survey::topics`].
    pub topic: usize,
    /// The partition's number, within the topic's partitions.
    pub partition: usize,
    /// The offset of the next record that the group will handle.
    pub offset: i64,
}

impl Survey {
    /// A group of the survey.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupOffsets> {
        let place = self.groups.binary_search_by(|group| group.name.as_str().cmp(name)).ok()?;
        Some(&self.groups[place])
    }

    /// The place of a topic in [`Self::topics`].
    #[must_use]
    pub fn place_of(&self, topic: &TopicName) -> Option<usize> {
        self.topics.binary_search_by(|found| found.name.cmp(topic)).ok()
    }
}

impl Admin {
    /// Asks about all groups and topics that are wanted, in few requests. Brokers, groups and partitions that do not answer
    /// are missed in it, and take nothing else away.
    ///
    /// # Errors
    /// When no broker answered.
    pub async fn survey(&self, wanted: &Wanted) -> Result<Survey, AdminError> {
        let mut failures = Vec::new();
        let (groups, has_all_groups) = self.known_groups(wanted, &mut failures).await?;
        // In this order, so that a group which goes on meanwhile is not ahead of the log.
        let names = groups.iter().map(|group| group.name.clone()).collect();
        let committed = self.all_committed(names).await?;
        let (brokers, mut topics) = self.led_partitions(wanted).await?;
        let leaderless = leaderless(&topics);
        self.fill_in(&mut topics, &mut failures).await?;
        let places: HashMap<&str, usize> =
            topics.iter().enumerate().map(|(place, topic)| (topic.name.as_str(), place)).collect();
        let groups = groups.into_iter().zip(committed).map(|(group, answer)| {
            let committed = answer.map_err(|error| {
                failures.push(format!("group {}: {}", group.name, error_chain(&error)));
            });
            let committed = committed.ok().filter(|offsets| {
                // A partition that is left out would look as if nothing had been committed.
                let refused = offsets.iter().find_map(|found| Some((found, found.offset.err()?)));
                if let Some((PartitionOffset { topic, partition, .. }, code)) = refused {
                    failures.push(format!("group {}: {topic}[{partition}]: {code}", group.name));
                }
                refused.is_none()
            });
            let committed = committed.map(|offsets| placed(offsets, &places, &topics));
            GroupOffsets { committed, ..group }
        });
        let groups = groups.collect();
        Ok(Survey { brokers, topics, groups, has_all_groups, leaderless, failures })
    }

    /// The groups that are wanted, sorted, without their offsets, and whether that is all of them.
    async fn known_groups(
        &self,
        wanted: &Wanted,
        failures: &mut Vec<String>,
    ) -> Result<(Vec<GroupOffsets>, bool), AdminError> {
        const OPERATION: &str = "list its groups";
        let list = |client: &rdkafka::admin::AdminClient<_>| {
            admin_native::list_groups(client.inner(), REQUEST)
        };
        let describe = |client: &rdkafka::admin::AdminClient<_>| {
            admin_native::describe_groups(client.inner(), REQUEST)
        };
        let (listed, described) =
            tokio::join!(self.blocking(OPERATION, list), self.blocking(OPERATION, describe));
        let (listed, errors) = listed?;
        let has_all_groups = errors.is_empty();
        failures.extend(errors);
        let described = match described {
            Ok((described, is_complete)) => {
                if !is_complete {
                    failures.push("members: not all brokers answered".to_owned());
                }
                described
            }
            Err(error) => {
                failures.push(format!("members: {}", error_chain(&error)));
                Vec::new()
            }
        };
        let mut groups: BTreeMap<String, GroupOffsets> = BTreeMap::new();
        for group in described.into_iter().filter(|group| (wanted.group)(&group.name)) {
            // Nobody lists a group that is dead: this one is of a kind that was not understood.
            let is_known = group.state != "Dead";
            let (state, members) = if is_known {
                (group.state, Some(group.members))
            } else {
                (UNTOLD.to_owned(), None)
            };
            let name = group.name;
            let found = GroupOffsets { name: name.clone(), state, members, committed: None };
            groups.insert(name, found);
        }
        let mut of_brokers = Vec::new();
        for group in listed.into_iter().filter(|group| (wanted.group)(&group.name)) {
            let known = groups.entry(group.name.clone()).or_insert_with(|| GroupOffsets {
                name: group.name.clone(),
                state: String::new(),
                members: None,
                committed: None,
            });
            known.state = group.state;
            if group.is_assigned_by_broker {
                known.members = (known.state == "Empty").then_some(0);
                if known.state != "Empty" {
                    of_brokers.push(group.name);
                }
            }
        }
        let names = of_brokers.clone();
        let counts = self.blocking("describe its groups", move |client| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            admin_native::member_counts(client.inner(), &names, REQUEST)
        });
        match counts.await {
            Ok(counts) => {
                for (name, count) in of_brokers.iter().zip(counts) {
                    groups.entry(name.clone()).and_modify(|group| group.members = count);
                }
            }
            Err(error) => failures.push(format!("members: {}", error_chain(&error))),
        }
        Ok((groups.into_values().collect(), has_all_groups))
    }

    /// What each group has committed. A coordinator that has moved or still loads is asked again.
    async fn all_committed(
        &self,
        names: Vec<String>,
    ) -> Result<Vec<Result<Vec<PartitionOffset>, AdminError>>, AdminError> {
        const OPERATION: &str = "tell a group's committed offsets";
        let is_open = |answer: &KafkaResult<_>| answer.as_ref().is_err_and(is_passing);
        let deadline = Instant::now() + REQUEST;
        let mut answers: Vec<_> = names.iter().map(|_| None).collect();
        loop {
            let open: Vec<usize> =
                (0..names.len()).filter(|nth| answers[*nth].as_ref().is_none_or(is_open)).collect();
            if open.is_empty() {
                break;
            }
            let asked: Vec<String> = open.iter().map(|nth| names[*nth].clone()).collect();
            let ask = move |client: &_| {
                let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                admin_native::list_group_offsets(client, &asked, REQUEST)
            };
            let told = self.blocking_grouped(OPERATION, ask, |told| {
                is_unanswered(told) || told.iter().flatten().any(is_unanswered)
            });
            for (nth, answer) in open.into_iter().zip(told.await?) {
                answers[nth] = Some(answer);
            }
            if !answers.iter().flatten().any(is_open) || Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(COORDINATOR_PAUSE).await;
        }
        let answers = answers.into_iter().map(|answer| {
            let answer = answer.unwrap_or(Err(KafkaError::NoMessageReceived));
            answer.map_err(|source| self.failed_with(OPERATION, None, source))
        });
        Ok(answers.collect())
    }

    /// The brokers, and the topics that are wanted with those of their partitions that have a leader.
    async fn led_partitions(
        &self,
        wanted: &Wanted,
    ) -> Result<(usize, Vec<TopicOffsets>), AdminError> {
        let is_wanted = Arc::clone(&wanted.topic);
        self.blocking("list its topics", move |client| {
            let metadata = client.inner().fetch_metadata(None, REQUEST)?;
            let topics = metadata.topics().iter().filter_map(|topic| {
                // A topic that is just being deleted has an error or no partitions.
                if topic.error().is_some() || topic.partitions().is_empty() {
                    return None;
                }
                let name = is_wanted(topic.name()).then(|| TopicName::new(topic.name()).ok())??;
                let mut partitions = vec![None; topic.partitions().len()];
                for partition in topic.partitions().iter().filter(|found| found.leader() >= 0) {
                    let id = usize::try_from(partition.id()).ok();
                    if let Some(span) = id.and_then(|id| partitions.get_mut(id)) {
                        *span = Some(Span { start: -1, stable: -1, end: -1 });
                    }
                }
                Some(TopicOffsets { name, partitions })
            });
            let mut topics: Vec<_> = topics.collect();
            topics.sort_by(|a, b| a.name.cmp(&b.name));
            Ok((metadata.brokers().len(), topics))
        })
        .await
    }

    /// Asks for where partitions that have a leader begin and end.
    async fn fill_in(
        &self,
        topics: &mut [TopicOffsets],
        failures: &mut Vec<String>,
    ) -> Result<(), AdminError> {
        let mut asked = Vec::new();
        for topic in topics.iter() {
            for (partition, span) in (0..).zip(&topic.partitions) {
                if span.is_some() {
                    asked.push((topic.name.clone(), partition));
                }
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let asked = Arc::new(asked);
        let at = |spec, isolation| {
            let asked = Arc::clone(&asked);
            self.blocking("tell the offsets of its partitions", move |client| {
                let asked: Vec<(&str, i32)> =
                    asked.iter().map(|(topic, partition)| (topic.as_str(), *partition)).collect();
                admin_native::list_offsets(client.inner(), &asked, (spec, isolation), REQUEST)
            })
        };
        let (starts, stable, ends) = tokio::try_join!(
            at(admin_native::SPEC_EARLIEST, Isolation::Uncommitted),
            at(admin_native::SPEC_LATEST, Isolation::Committed),
            at(admin_native::SPEC_LATEST, Isolation::Uncommitted),
        )?;
        let mut told: HashMap<(&str, i32), [i64; 3]> = HashMap::with_capacity(asked.len());
        let mut refused = HashMap::new();
        for (nth, answers) in [&starts, &stable, &ends].into_iter().enumerate() {
            for answer in answers {
                let place = (answer.topic.as_str(), answer.partition);
                match answer.offset {
                    Ok(offset) => told.entry(place).or_insert([-1; 3])[nth] = offset,
                    Err(code) => drop(refused.insert(place, code)),
                }
            }
        }
        for topic in topics {
            for (partition, span) in (0..).zip(&mut topic.partitions) {
                let Some(found) = span else { continue };
                let place = (topic.name.as_str(), partition);
                let [start, stable, end] = told.get(&place).copied().unwrap_or([-1; 3]);
                *found = Span { start, stable, end };
                if start < 0 || stable < 0 || end < 0 {
                    let why = refused.get(&place).map_or_else(
                        || "its leader told no offset".to_owned(),
                        RDKafkaErrorCode::to_string,
                    );
                    failures.push(format!("{}[{partition}]: {why}", topic.name));
                    *span = None;
                }
            }
        }
        Ok(())
    }
}

fn leaderless(topics: &[TopicOffsets]) -> Vec<TopicPartition> {
    let of = |topic: &TopicOffsets| {
        let spans = (0..).zip(&topic.partitions).filter(|(_, span)| span.is_none());
        let places =
            spans.map(|(partition, _)| TopicPartition { topic: topic.name.clone(), partition });
        places.collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

/// Commits in partitions that the survey has, sorted.
fn placed(
    offsets: Vec<PartitionOffset>,
    places: &HashMap<&str, usize>,
    topics: &[TopicOffsets],
) -> Vec<Committed> {
    let mut committed: Vec<Committed> = offsets
        .into_iter()
        .filter_map(|found| {
            let topic = *places.get(found.topic.as_str())?;
            let partition = usize::try_from(found.partition).ok()?;
            let offset = found.offset.ok().filter(|offset| *offset >= 0)?;
            let is_there = partition < topics[topic].partitions.len();
            is_there.then_some(Committed { topic, partition, offset })
        })
        .collect();
    committed.sort_unstable();
    committed
}
