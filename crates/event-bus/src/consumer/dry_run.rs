//! Runs a range of the log in transactions that are rolled back.

use std::collections::BTreeMap;
use std::time::Instant;

use super::attempts::Attempts;
use super::execute::{Executor, GATE};
use super::invoke::cause_of;
use super::job::Job;
use super::receive::{Received, Replayed};
use crate::kafka::admin::TopicPartition;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::middleware::Place;
use crate::rerun::{DryRun, Failing, Only, Past, Span, Trial};
use crate::store::Tx;
use crate::tracer::Tracer;

/// A dry run that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DryRunError {
    #[error("the events could not be read")]
    Read(#[from] ReadError),
    #[error("the database failed")]
    Store(#[from] sqlx::Error),
    #[error("what the inbox knows of partition {partition} could not be read")]
    Past { partition: i32 },
}

impl Executor {
    /// Runs the events of each partition in their order, in one transaction that is rolled back. An event that fails is
    /// taken back by itself.
    pub(crate) async fn dry_run(
        &self,
        kafka: &KafkaConfig,
        trial: &Trial,
    ) -> Result<DryRun, DryRunError> {
        let mut told = DryRun::default();
        for span in &trial.spans {
            let partition = span.partition;
            let past = self.past(&self.claimant(partition), None).await;
            let past = past.map_err(|_| DryRunError::Past { partition })?;
            let mut records = self.records(kafka, span, trial.most, &trial.only).await?;
            told.is_cut |= records.len() as u64 > trial.most;
            records.truncate(usize::try_from(trial.most).unwrap_or(usize::MAX));
            // Beside an event that may kill the process nothing runs.
            let _shared = GATE.read().await;
            let mut tx = self.outbox.begin().await?;
            let before = tx.rows_changed().await?;
            // Live events may wait for its locks, and must not fail for it.
            let until = Instant::now() + self.invoker.timeout / 2;
            for record in records {
                if Instant::now() > until {
                    told.is_cut = true;
                    break;
                }
                self.try_one(&mut tx, record, &past, &mut told).await?;
            }
            for record in tx.outgoing() {
                *told.emitted.entry(record.topic.to_string()).or_default() += 1;
            }
            for (table, rows) in tx.rows_changed().await? {
                let rows = rows - before.get(&table).copied().unwrap_or(0);
                if rows > 0 {
                    *told.rows.entry(table).or_default() += rows;
                }
            }
            tx.rollback().await?;
        }
        Ok(told)
    }

    /// What is meant of a range, and one more if there is.
    async fn records(
        &self,
        kafka: &KafkaConfig,
        span: &Span,
        most: u64,
        only: &Only,
    ) -> Result<Vec<Record>, ReadError> {
        let at = TopicPartition { topic: self.event.topic.clone(), partition: span.partition };
        let places = BTreeMap::from([(at, span.first)]);
        let mut reader = Reader::start_at(kafka, &places, Until::CaughtUp).await?;
        let mut meant = Vec::new();
        while let Some(records) = reader.next().await? {
            for record in records {
                if record.offset >= span.upto || meant.len() as u64 > most {
                    return Ok(meant);
                }
                let received = Received::read(record.clone(), &self.event, &self.group);
                let is_event = matches!(received.replayed, Replayed::Not);
                if is_event && only.means(record.key.as_deref(), &received.claim.tenant) {
                    meant.push(record);
                }
            }
        }
        Ok(meant)
    }

    async fn try_one(
        &self,
        tx: &mut Tx,
        record: Record,
        past: &Past,
        told: &mut DryRun,
    ) -> Result<(), sqlx::Error> {
        let (partition, offset) = (record.partition, record.offset);
        let received = Received::read(record, &self.event, &self.group);
        let claim = &received.claim;
        let id = claim.event_id;
        told.events += 1;
        let claimant = self.claimant(partition);
        let has_row = tx.has_any_row(&claimant, &claim.tenant, id.as_uuid()).await?;
        told.known += u64::from(has_row || offset < past.purged_below);
        let failing = |error: String| Failing { partition, offset, event_id: id, error };
        if let Err(cause) = &received.envelope {
            told.fails(failing(cause.message.clone()));
            return Ok(());
        }
        tx.mark().await?;
        let job = Job { received, attempt: 1, death: None, to_note: None };
        let mut attempts = Attempts::new(&Tracer::none());
        let place = Place::Transaction(tx, &self.outbox);
        let called = self.invoker.call(&[&job], self.subscriber(), place, &mut attempts).await;
        let error = match called {
            Ok(Ok(())) => match tx.keep().await {
                Ok(()) => return Ok(()),
                // The handler swallowed an error of the database.
                Err(error) => error.to_string(),
            },
            Ok(Err(failure)) => cause_of(&failure).message,
            Err(cause) => cause.message,
        };
        tx.undo().await?;
        told.fails(failing(error));
        Ok(())
    }
}
