//! Asks running services.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{Answer, Message, Question, Told, What};
use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::{Admin, AdminError, Position};
use crate::kafka::producer::SendError;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::{GroupName, TopicName};
use crate::publisher::Publisher;
use crate::rerun::{DryRun, InboxState, Opening, Trial};

/// How long a service that runs may take to say that it is there.
const IS_THERE: Duration = Duration::from_secs(10);
/// How long the rest may take that is asked of it.
const ANSWERS: Duration = Duration::from_secs(600);
/// How long a group stays paused without a further word.
const PAUSE: Duration = Duration::from_secs(120);
/// How long it may take until nobody is in a group that pauses: handlers end first.
const LEAVES: Duration = Duration::from_secs(90);
/// How often it is looked whether somebody still is.
const LOOK: Duration = Duration::from_millis(200);

/// Why nothing came of a question.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The topic could not be read.
    #[error("the topic of commands could not be read")]
    Read(#[from] ReadError),
    /// The question could not be sent.
    #[error("the topic of commands could not be written")]
    Send(#[from] SendError),
    /// Kafka did not tell who is in the group.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Nobody answered.
    #[error("no running service of {group} answered within {}s: start it, or see its log", within.as_secs())]
    NoAnswer {
        /// The group.
        group: GroupName,
        /// How long was waited.
        within: Duration,
    },
    /// The service refused.
    #[error("the service of {group} refused: {reason}")]
    Refused {
        /// The group.
        group: GroupName,
        /// Why.
        reason: String,
    },
    /// Somebody stays in the group.
    #[error(
        "{group} was asked to pause and still has {members} in it after {}s: nothing was changed, and it goes on", within.as_secs()
    )]
    Stays {
        /// The group.
        group: GroupName,
        /// How many.
        members: usize,
        /// How long was waited.
        within: Duration,
    },
}

/// Asks for one group.
#[derive(Debug)]
pub struct Asker {
    group: GroupName,
    by: String,
    topic: TopicName,
    publisher: Arc<Publisher>,
    reader: Reader,
}

impl Asker {
    /// For a group, in the name of an operator.
    ///
    /// # Errors
    /// When the topic of commands can't be read.
    pub async fn of(
        group: GroupName,
        by: impl Into<String>,
        kafka: &KafkaConfig,
        publisher: Arc<Publisher>,
    ) -> Result<Self, AskError> {
        let topic = publisher.catalogue().commands_topic();
        // Before the first question, so that no answer is missed.
        let topics = std::slice::from_ref(&topic);
        let reader = Reader::start(kafka, topics, Position::End, Until::Stopped).await?;
        Ok(Self { group, by: by.into(), topic, publisher, reader })
    }

    /// The replica of the group that is the first to say that it is there, and what its inbox says of ranges.
    ///
    /// # Errors
    /// When none is, or Kafka did not answer.
    pub async fn look(&mut self) -> Result<(Uuid, InboxState), AskError> {
        let Answer { replica, told, .. } = self.ask(None, What::Look, IS_THERE).await?;
        match told {
            Told::Here(state) => Ok((replica, state)),
            other => Err(self.another(&other)),
        }
    }

    /// Has a replica run ranges again when they come.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub async fn open(&mut self, replica: Uuid, opening: Opening) -> Result<(), AskError> {
        self.ask(Some(replica), What::Open(opening), IS_THERE).await.map(drop)
    }

    /// Has a replica run ranges in transactions that are rolled back.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub async fn try_out(&mut self, replica: Uuid, trial: Trial) -> Result<DryRun, AskError> {
        let answer = self.ask(Some(replica), What::Try(trial), ANSWERS).await?;
        match answer.told {
            Told::Tried(told) => Ok(told),
            other => Err(self.another(&other)),
        }
    }

    /// A service of another version may answer what was not asked.
    fn another(&self, told: &Told) -> AskError {
        let reason = format!("it answers {told:?}, which is another question's answer");
        AskError::Refused { group: self.group.clone(), reason }
    }

    /// Has all replicas leave the group, and waits until they have. They come back by themselves after two minutes, or
    /// when they are to go on.
    ///
    /// # Errors
    /// When somebody stays, or nobody answers.
    pub async fn pause(&mut self, admin: &Admin) -> Result<(), AskError> {
        let left = self.leave(admin).await;
        if left.is_err()
            && let Err(error) = self.go_on().await
        {
            let (group, error) = (&self.group, error_chain(&error));
            tracing::warn!(%group, error, "its replicas come back by themselves");
        }
        left
    }

    /// Does something while nobody is in the group.
    ///
    /// # Errors
    /// When somebody stays or nobody answers, which is before anything is done; those of the work; and when the group can't
    /// be asked to go on.
    pub async fn while_away<T, E: From<AskError>>(
        &mut self,
        admin: &Admin,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.pause(admin).await?;
        let done = work.await;
        // What went wrong first is what is told.
        let goes_on = self.go_on().await;
        let done = done?;
        goes_on?;
        Ok(done)
    }

    async fn leave(&mut self, admin: &Admin) -> Result<(), AskError> {
        let seconds = u32::try_from(PAUSE.as_secs()).unwrap_or(u32::MAX);
        self.ask(None, What::Pause { seconds }, IS_THERE).await?;
        let until = Instant::now() + LEAVES;
        loop {
            let groups = admin.groups().await?;
            let found = groups.iter().find(|found| found.name == self.group.as_str());
            let members = found.map_or(0, |found| found.members.len());
            if members == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(AskError::Stays { group: self.group.clone(), members, within: LEAVES });
            }
            sleep(LOOK).await;
        }
    }

    /// Has all replicas be in the group again.
    ///
    /// # Errors
    /// When that can't be sent: they come back by themselves then.
    pub async fn go_on(&self) -> Result<(), AskError> {
        self.send(None, What::GoOn).await.map(drop)
    }

    async fn send(&self, replica: Option<Uuid>, what: What) -> Result<Uuid, AskError> {
        let id = Uuid::now_v7();
        let (group, by) = (self.group.clone(), self.by.clone());
        let question = Message::Asks(Question { id, group, replica, by, what });
        self.publisher.send(question.record(&self.topic, id)).await?;
        Ok(id)
    }

    async fn ask(
        &mut self,
        replica: Option<Uuid>,
        what: What,
        within: Duration,
    ) -> Result<Answer, AskError> {
        let asked = self.send(replica, what).await?;
        let until = Instant::now() + within;
        while let Ok(read) = timeout_at(until, self.reader.next()).await {
            for record in read?.unwrap_or_default() {
                match Message::read(record.value.as_deref()) {
                    Some(Message::Answers(answer)) if answer.id == asked => {
                        return match answer.told {
                            Told::Refused(reason) => {
                                Err(AskError::Refused { group: self.group.clone(), reason })
                            }
                            _ => Ok(answer),
                        };
                    }
                    _ => {}
                }
            }
        }
        Err(AskError::NoAnswer { group: self.group.clone(), within })
    }
}
