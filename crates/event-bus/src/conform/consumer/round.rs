//! A consumer's topics during a trial: what is sent to it, how far it is, and its dead letters as they come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Trial, TrialError};
use crate::envelope::OutgoingRecord;
use crate::headers;
use crate::kafka::admin::{Admin, Cluster, Position, TopicPartition};
use crate::kafka::producer::{Delivered, OnDelivery, Producer, SendError};
use crate::kafka::reader::{Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::lag::GroupLag;
use crate::names::TopicName;
use crate::replay::OutcomeReport;

/// The wait before another look at what does not tell by itself.
const PAUSE: Duration = Duration::from_millis(200);

/// The topics of a trial.
pub(super) struct Round<'a> {
    trial: &'a Trial<'a>,
    admin: Admin,
    producer: Producer,
    pub(super) partitions: i32,
    pub(super) letter_partitions: i32,
    /// Dead letters and outcomes, as they come.
    news: Reader,
    /// The dead letters of the trial's group, by their ids.
    pub(super) letters: BTreeMap<String, Vec<Record>>,
    /// What the consumer told of replays.
    pub(super) outcomes: Vec<OutcomeReport>,
    /// Whether there is a topic where it could tell that.
    pub(super) has_outcomes: bool,
}

impl<'a> Round<'a> {
    /// Looks whether a trial can and may begin.
    pub(super) async fn open(trial: &'a Trial<'a>) -> Result<Self, TrialError> {
        let event = trial.subscription.event;
        let admin = Admin::connect(trial.kafka)?;
        let cluster = admin.cluster().await?;
        let partitions = partitions_of(&cluster, &event.topic)?;
        let letter_partitions = partitions_of(&cluster, &event.dead_letter_topic)?;
        if !trial.used_topics {
            for topic in [&event.topic, &event.dead_letter_topic] {
                refuse_used(trial.kafka, topic).await?;
            }
        }
        let outcomes = trial.catalogue.outcomes_topic();
        let has_outcomes = cluster.topics.contains_key(&outcomes);
        let mut followed = vec![event.dead_letter_topic.clone()];
        followed.extend(has_outcomes.then_some(outcomes));
        let news = Reader::start(trial.kafka, &followed, Position::End, Until::Stopped).await?;
        let producer = Producer::connect(trial.kafka)?;
        let (letters, outcomes) = (BTreeMap::new(), Vec::new());
        let round = Self {
            trial,
            admin,
            producer,
            partitions,
            letter_partitions,
            news,
            letters,
            outcomes,
            has_outcomes,
        };
        round.wait_for_members().await?;
        Ok(round)
    }

    async fn wait_for_members(&self) -> Result<(), TrialError> {
        let group = &self.trial.subscription.consumer.group;
        let topic = &self.trial.subscription.event.topic;
        let deadline = self.deadline();
        loop {
            let state = self.admin.group(group).await?;
            let mut members = state.iter().flat_map(|state| &state.members);
            if members.any(|member| !member.partitions_of(topic).is_empty()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(TrialError::NoMembers { group: group.clone() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until when something is waited for that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.trial.within
    }

    /// Sends a record, and reads it back for the time that it got.
    pub(super) async fn send(&self, record: &OutgoingRecord) -> Result<Record, TrialError> {
        let (report, reported) = oneshot::channel();
        self.producer.send(record, OnDelivery::Tell(report)).map_err(|(error, _)| error)?;
        let Delivered { partition, offset } = reported.await.map_err(|_| SendError::Gone)??;
        let at = TopicPartition { topic: record.topic.clone(), partition };
        let mut reader = Reader::within(self.trial.kafka, [(at, offset..offset + 1)].into())?;
        loop {
            let records = reader.next().await?.ok_or(SendError::Gone)?;
            if let Some(sent) = records.into_iter().find(|sent| sent.offset == offset) {
                return Ok(sent);
            }
        }
    }

    /// Waits until the group has committed behind everything in its topic. How much is left where it has not in time.
    pub(super) async fn settled(&mut self) -> Result<u64, TrialError> {
        let deadline = self.deadline();
        let group = self.trial.subscription.consumer.group.clone();
        let asked = [(group, self.trial.subscription.event.topic.clone())];
        loop {
            let lag: u64 = self.admin.lag(&asked).await?.iter().map(GroupLag::total).sum();
            if lag == 0 || Instant::now() >= deadline {
                return Ok(lag);
            }
            self.listen(PAUSE).await?;
        }
    }

    /// Waits until the dead letters of these ids are there, or it is time.
    pub(super) async fn await_letters(&mut self, ids: &[String]) -> Result<(), TrialError> {
        let deadline = self.deadline();
        while !ids.iter().all(|id| self.letters.contains_key(id)) && Instant::now() < deadline {
            self.listen(PAUSE).await?;
        }
        Ok(())
    }

    /// Takes in what comes within a while.
    pub(super) async fn listen(&mut self, time: Duration) -> Result<(), TrialError> {
        let until = Instant::now() + time;
        let (outcomes, group) =
            (self.trial.catalogue.outcomes_topic(), &self.trial.subscription.consumer.group);
        while let Ok(records) =
            timeout(until.saturating_duration_since(Instant::now()), self.news.next()).await
        {
            for record in records?.unwrap_or_default() {
                if record.topic == outcomes {
                    let value = record.value.as_deref().unwrap_or_default();
                    self.outcomes.extend(serde_json::from_slice(value).ok());
                } else if headers::last(&record.headers, headers::DLQ_ERRORS_GROUP)
                    == Some(group.as_str())
                {
                    let id = headers::last(&record.headers, headers::DLQ_ID).unwrap_or_default();
                    self.letters.entry(id.to_owned()).or_default().push(record);
                }
            }
        }
        Ok(())
    }
}

fn partitions_of(cluster: &Cluster, topic: &TopicName) -> Result<i32, TrialError> {
    let state = cluster.topics.get(topic);
    let missing = || TrialError::UnknownTopic { topic: topic.clone() };
    Ok(state.ok_or_else(missing)?.partitions)
}

/// Refuses a topic that holds anything: what a trial writes there would reach those who count on it.
async fn refuse_used(kafka: &KafkaConfig, topic: &TopicName) -> Result<(), TrialError> {
    // A reader waits for the leaders of a topic that was just made.
    let topics = std::slice::from_ref(topic);
    let reader = Reader::start(kafka, topics, Position::Start, Until::CaughtUp).await?;
    match reader.total() {
        0 => Ok(()),
        records => Err(TrialError::InUse { topic: topic.clone(), records }),
    }
}
