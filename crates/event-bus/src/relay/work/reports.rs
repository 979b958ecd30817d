//! What follows from delivery reports.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::flight::Flying;
use super::super::sender::{Report, Sender};
use super::{TurnError, Work, in_time};
use crate::dead_letter::error_chain;
use crate::kafka::admin::Admin;
use crate::kafka::producer::SendError;

/// How long the brokers may take to tell that they are there: less than a lease lasts.
const ASK: Duration = Duration::from_secs(5);

/// What is to be done once each row on its way has its report.
#[derive(Default)]
pub(super) struct Trouble {
    /// Rows that Kafka will never take, with their shards.
    pub(super) refused: Vec<(i64, i32, SendError)>,
    /// Whether something was learnt, so that the others are to be sent again at once.
    pub(super) again: bool,
    /// Why they were not sent.
    pub(super) failure: Option<SendError>,
}

impl Work<'_> {
    /// Takes note of a delivery report.
    pub(super) fn note(&mut self, Report { id, result }: Report) {
        let alone = self.alone.take_if(|(alone, _)| *alone == id);
        let Err(error) = result else {
            if let (Some((_, place)), Some(sender)) = (alone, &mut self.sender) {
                sender.opened(place);
            }
            self.relay.metrics.published();
            self.flight.arrived(id, Instant::now());
            self.back_off.reset();
            return;
        };
        let Some(Flying { shard, topic, .. }) = self.flight.came_back(id, Instant::now()) else {
            return;
        };
        let trouble = self.trouble.get_or_insert_default();
        match error {
            error @ SendError::Refused { .. } if alone.is_some() => {
                trouble.again = true;
                trouble.refused.push((id, shard, error));
            }
            error @ SendError::Refused { .. } => {
                tracing::warn!(
                    row = id,
                    error = error_chain(&error),
                    "Kafka refused a row in company: its topic's rows go one by one"
                );
                trouble.again = true;
                self.topics.goes_one_by_one_now(topic);
            }
            error @ SendError::UnknownTopic { .. } => {
                trouble.again = true;
                self.miss(&topic, &error);
            }
            error => trouble.failure = Some(error),
        }
    }

    /// Makes the producer anew where it hears of nothing that it sent, although the brokers answer others. Its rows are
    /// sent once more; those that it may send after all come twice and in order, as from a relay that died.
    pub(super) async fn watch_the_producer(&mut self) {
        if !self.watch.asks(self.flight.stands_since(), Instant::now()) {
            return;
        }
        let asked = async { Admin::connect(&self.relay.kafka)?.cluster().await };
        let is_answered = matches!(tokio::time::timeout(ASK, asked).await, Ok(Ok(_)));
        while let Ok(report) = self.reports.1.try_recv() {
            self.note(report);
        }
        let now = Instant::now();
        if !self.watch.told(is_answered, self.flight.stands_since(), now) {
            return;
        }
        tracing::error!(
            service = self.relay.service,
            rows = self.flight.unreported(),
            "the relay's producer hears of nothing that it sent, although brokers answer: it is made anew"
        );
        self.relay.metrics.rebuilt();
        self.flight.give_up();
        (self.alone, self.trouble) = (None, None);
        self.start_over();
        self.look_at = now;
        // Late reports of the old one are nobody's, and its end may take as long as it likes.
        self.reports = mpsc::unbounded_channel();
        let stuck = self.sender.take();
        tokio::task::spawn_blocking(move || drop(stuck));
    }

    /// Each row has its report: what follows from them.
    pub(super) async fn end_trouble(&mut self) -> Result<(), TurnError> {
        let trouble = self.trouble.take().unwrap_or_default();
        self.start_over();
        self.look_at = Instant::now();
        if self.sender.as_ref().is_some_and(Sender::has_ended) {
            self.drop_sender().await;
        }
        for (id, shard, error) in trouble.refused {
            self.quarantine(id, shard, error_chain(&error)).await?;
        }
        match trouble.failure {
            Some(failure) if !trouble.again => Err(failure.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn quarantine(
        &self,
        id: i64,
        shard: i32,
        error: String,
    ) -> Result<(), TurnError> {
        let Some(lease) = self.holdings.lease_of(shard) else { return Ok(()) };
        tracing::error!(
            service = self.relay.service,
            row = id,
            error,
            "an outbox row is quarantined and halts its key"
        );
        in_time(self.relay.store.quarantine_outgoing(lease, id, &error)).await
    }
}
