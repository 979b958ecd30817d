//! Hears what is asked of a service's groups, and does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Answer, Message, Question, Told, What, outbox};
use crate::catalogue::Catalogue;
use crate::consumer::Runner;
use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::Position;
use crate::kafka::lasting_producer::LastingProducer;
use crate::kafka::producer::OnDelivery;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::{GroupName, ServiceName, TopicName};
use crate::{relay, shutdown};

/// The wait before the topic is looked for again: it may not be there, and a service does not need it.
const REST: Duration = Duration::from_secs(30);

/// The longest time that a subscription is out of its group.
const LONGEST: Duration = Duration::from_secs(600);

/// Until when a subscription is out of its group; `None` while it is in.
pub(crate) type Hold = watch::Sender<Option<Instant>>;

/// A subscription, as far as it is asked about.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) runner: Arc<Runner>,
    pub(crate) hold: Hold,
    /// Whether it is a static member, who stays in the group when it leaves.
    pub(crate) is_static: bool,
}

/// Hears for one service.
pub(crate) struct Listener {
    topic: TopicName,
    kafka: KafkaConfig,
    service: ServiceName,
    replica: Uuid,
    groups: BTreeMap<GroupName, Asked>,
    outbox: Option<relay::asked::Asked>,
}

impl Listener {
    pub(crate) fn new(
        catalogue: &Catalogue,
        kafka: KafkaConfig,
        service: ServiceName,
        asked: impl Iterator<Item = Asked>,
        outbox: Option<relay::asked::Asked>,
    ) -> Self {
        let groups = asked.map(|asked| (asked.runner.group().clone(), asked)).collect();
        let topic = catalogue.commands_topic();
        Self { topic, kafka, service, replica: Uuid::now_v7(), groups, outbox }
    }

    /// Hears until `stop` turns true.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        if self.groups.is_empty() && self.outbox.is_none() {
            return;
        }
        let listener = Arc::new(self);
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                ended = Arc::clone(&listener).follow() => if let Err(error) = ended {
                    let (service, error) = (&listener.service, error_chain(&error));
                    tracing::debug!(%service, error, "what operators ask is not heard yet");
                }
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                () = sleep(REST) => {}
            }
        }
    }

    async fn follow(self: Arc<Self>) -> Result<(), ReadError> {
        let topics = std::slice::from_ref(&self.topic);
        let mut reader = Reader::start(&self.kafka, topics, Position::End, Until::Stopped).await?;
        let mut doing = JoinSet::new();
        while let Some(records) = reader.next().await? {
            for record in records {
                let listener = Arc::clone(&self);
                match Message::read(record.value.as_deref()) {
                    Some(Message::Asks(question)) => {
                        if let Some(asked) = self.group_of(&question) {
                            doing.spawn(async move { listener.heed(question, asked).await });
                        }
                    }
                    Some(Message::AsksOutbox(question)) => {
                        if let Some(asked) = self.outbox_of(&question) {
                            doing.spawn(async move { listener.heed_outbox(question, asked).await });
                        }
                    }
                    Some(Message::Answers(_) | Message::AnswersOutbox(_)) | None => {}
                }
            }
            while doing.try_join_next().is_some() {}
        }
        Ok(())
    }

    /// The group that is asked about, if this replica is to answer.
    fn group_of(&self, question: &Question) -> Option<Asked> {
        let is_for_this = question.replica.is_none_or(|replica| replica == self.replica);
        self.groups.get(&question.group).filter(|_| is_for_this).cloned()
    }

    /// Who answers for the outbox, if this relay is to.
    fn outbox_of(&self, question: &outbox::Question) -> Option<relay::asked::Asked> {
        let asked = self.outbox.as_ref()?;
        let is_for_this = question.service.as_ref().is_none_or(|service| *service == self.service)
            && question.relay.is_none_or(|relay| relay == asked.relay);
        is_for_this.then(|| asked.clone())
    }

    async fn heed_outbox(&self, question: outbox::Question, asked: relay::asked::Asked) {
        let outbox::Question { id, by, what, .. } = question;
        if !matches!(what, outbox::What::Look { .. }) {
            tracing::info!(service = %self.service, by, ?what, "an operator decides about a row of the outbox");
        }
        let told = asked.heed(&by, &what).await;
        let (relay, service) = (asked.relay, self.service.clone());
        let answer = Message::AnswersOutbox(outbox::Answer { id, service, relay, told });
        self.answer(id, &answer).await;
    }

    async fn heed(&self, question: Question, asked: Asked) {
        tracing::info!(
            service = %self.service, group = %question.group, by = question.by, what = ?question.what, "an operator asks"
        );
        let told = match question.what {
            What::Look => asked.runner.look().await,
            What::Pause { .. } if asked.is_static => Told::Refused(
                "it is a static member (--instance), which stays in its group when it leaves: stop all replicas for longer \
                 than the session time-out"
                    .to_owned(),
            ),
            What::Pause { seconds } => {
                let until = Instant::now() + LONGEST.min(Duration::from_secs(seconds.into()));
                asked.hold.send_replace(Some(until));
                Told::Done
            }
            What::GoOn => {
                asked.hold.send_replace(None);
                Told::Done
            }
            What::Open(_) if asked.hold.borrow().is_none() => {
                Told::Refused("it is in its group again: the pause was over".to_owned())
            }
            What::Open(opening) => asked.runner.open_rerun(&opening).await,
            What::Try(trial) => asked.runner.dry_run(&self.kafka, &trial).await,
        };
        let (replica, service) = (self.replica, self.service.clone());
        let answer = Message::Answers(Answer { id: question.id, replica, service, told });
        self.answer(question.id, &answer).await;
    }

    async fn answer(&self, question: Uuid, answer: &Message) {
        let record = answer.record(&self.topic, question);
        // Questions are rare, and a producer that waits for one all day is a connection for nothing.
        let sent = async {
            let producer = LastingProducer::connect(&self.kafka)?;
            let (report, delivery) = tokio::sync::oneshot::channel();
            producer.send(&record, OnDelivery::Tell(report)).map_err(|(error, _)| error)?;
            delivery.await.unwrap_or(Err(crate::kafka::producer::SendError::Gone))
        };
        if let Err(error) = sent.await {
            let (service, error) = (&self.service, error_chain(&error));
            tracing::warn!(%service, error, "an operator could not be answered");
        }
    }
}
