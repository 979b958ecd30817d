//! Runs events without a database: handler, and where all attempts failed the dead letter, before the offset moves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::attempts::Attempts;
use super::command::Turn;
use super::execute::GATE;
use super::invoke::{Invoker, verdict_of};
use super::job::{Death, Job, Report, Verdict};
use super::receive::Received;
use crate::catalogue;
use crate::dead_letter::{Cause, Obituary, Reason, dlq_id, error_chain};
use crate::envelope::OutgoingRecord;
use crate::flaw::{Flaw, Flaws};
use crate::kafka::lasting_producer::LastingProducer;
use crate::kafka::producer::{OnDelivery, SendError};
use crate::metrics::Tally;
use crate::middleware::{Place, Subscriber};
use crate::names::{GroupName, ServiceName, TopicName};
use crate::replay::{Outcome, OutcomeReport, Replay};

/// How long one question about a topic's partitions may take.
const ASK: Duration = Duration::from_secs(5);

type Event = Job<Arc<Received>>;

/// What runs one subscription's events without a database.
#[derive(Clone)]
pub(crate) struct StatelessExecutor {
    pub(crate) producer: LastingProducer,
    pub(crate) event: Arc<catalogue::Event>,
    pub(crate) group: GroupName,
    pub(crate) service: ServiceName,
    pub(crate) invoker: Invoker,
    /// Where it is told what became of replays.
    pub(crate) outcomes: TopicName,
}

impl StatelessExecutor {
    /// Runs the jobs one after another. A session gives one at a time: what ran is settled by itself.
    pub(crate) async fn run(&self, turn: &Turn<Arc<Received>>) -> Report {
        let mut verdicts = Vec::with_capacity(turn.jobs.len());
        for job in turn.jobs.iter() {
            let verdict = match &job.death {
                // Boxed: it is rare, and large beside what a handler takes.
                _ if !job.received.is_for_this_group() => Verdict::Settled,
                Some(death) => self.bury(job, death).boxed().await,
                None => self.handle(job).await,
            };
            if verdict.is_settled() && job.received.is_for_this_group() {
                let tally = match &job.death {
                    Some(death) => Tally { dead: vec![death.cause.reason], ..Tally::default() },
                    None => Tally { handled: 1, ..Tally::default() },
                };
                self.invoker.metrics.committed(&tally);
                if let Some(replay) = job.received.replay() {
                    self.tell(replay, job.death.is_some()).boxed().await;
                }
            }
            verdicts.push((job.received.record.offset, verdict));
        }
        Report { verdicts, trouble: None }
    }

    async fn handle(&self, job: &Event) -> Verdict {
        // Not for a dead letter: its wait for Kafka has no end, and nothing of the event runs meanwhile.
        let _shared = GATE.read().await;
        let subscriber = self.subscriber();
        let mut attempts = Attempts::new(&self.invoker.tracer);
        let called = self.invoker.call(&[job], subscriber, Place::Outside, &mut attempts).await;
        attempts.committed();
        let verdict = match called {
            Ok(Ok(())) => return Verdict::Settled,
            Ok(Err(failure)) => verdict_of(&failure),
            Err(cause) => Verdict::Failed(cause),
        };
        subscriber.log(job, &verdict);
        verdict
    }

    fn subscriber(&self) -> Subscriber<'_> {
        Subscriber { event: &self.event, group: &self.group, service: &self.service }
    }

    /// Writes the dead letter. Until Kafka has it, the event is not settled.
    async fn bury(&self, job: &Event, death: &Death) -> Verdict {
        let received = &job.received;
        let id = dlq_id(&self.group, &received.record);
        let obituary = Obituary {
            id,
            record: &received.record,
            event_id: received.claim.event_id,
            group: &self.group,
            service: &self.service,
            cause: &death.cause,
            attempts: death.attempts,
            first_failed_at: death.first_failed_at,
            failed_at: death.failed_at,
            chain_seq: None,
            previous: received.replay().map(|replay| replay.of),
        };
        let mut attempts = Attempts::new(&self.invoker.tracer);
        attempts.bury(self.subscriber(), received, death, id);
        match self.send(obituary.record(&self.event.dead_letter_topic)).await {
            Ok(()) => {
                attempts.committed();
                tracing::error!(
                    group = %self.group, topic = %received.record.topic, partition = received.record.partition,
                    offset = received.record.offset, event_id = %received.claim.event_id,
                    reason = %death.cause.reason, error = death.cause.message, "dead letter"
                );
                Verdict::Settled
            }
            Err(error) => {
                tracing::error!(
                    group = %self.group, topic = %self.event.dead_letter_topic, error = error_chain(&error),
                    "a dead letter can't be written, and its event's offset does not move"
                );
                Verdict::Failed(Cause::of(Reason::RetriesExhausted, "DeadLetterNotWritten", &error))
            }
        }
    }

    /// Tells what became of a replay. Whether that arrives holds nothing up: what is done is done.
    async fn tell(&self, replay: &Replay, is_dead: bool) {
        let outcome = if is_dead { Outcome::DeadAgain } else { Outcome::Processed };
        let report = OutcomeReport::of(replay, &self.service, outcome, Timestamp::now());
        if let Err(error) = self.send(report.record(&self.outcomes)).await {
            tracing::warn!(
                group = %self.group, topic = %self.outcomes, error = error_chain(&error), dlq_id = %replay.of, ?outcome,
                "it can't be told what became of a replay"
            );
        }
    }

    async fn send(&self, mut record: OutgoingRecord) -> Result<(), SendError> {
        let producer = self.producer.current()?;
        let (asking, topic) = (producer.clone(), record.topic.clone());
        let asked = tokio::task::spawn_blocking(move || asking.partition_count(&topic, ASK));
        let count = asked.await.unwrap_or(Err(SendError::Gone))?;
        record.partition = record.partition.map(|partition| partition % count);
        let (report, delivered) = oneshot::channel();
        let sent = producer.send(&record, OnDelivery::Tell(report));
        sent.map_err(|(error, _)| error)?;
        if Flaws::of_process().have(Flaw::DeadLetterUnawaited) {
            return Ok(());
        }
        let delivered = delivered.await.unwrap_or(Err(SendError::Gone));
        if matches!(delivered, Err(SendError::UnknownTopic { .. })) {
            producer.forget_partition_count(&record.topic);
        }
        delivered.map(drop)
    }
}
