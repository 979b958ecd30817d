//! Appending: a batch or a transaction marker goes to the log, becomes durable, and then visible.
//!
//! A write and its acknowledgement are two calls, so that all partitions of a request are flushed together.

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::ResponseError;
use kafka_protocol::records::TimestampType;

use crate::config::Durability;
use crate::log::{self, BatchHeader, FlushError, SyncFile, batch};

use super::marker::{self, COORDINATOR_EPOCH, Outcome};
use super::producers::{Membership, Refusal, Verdict, Written};
use super::stability::Aborted;
use super::{Partition, State, StorageError, replay};

/// A batch that is in the log.
#[derive(Debug)]
pub(crate) struct Appended {
    pub base_offset: i64,
    /// The time that the log gave the records, or for one that was there already, its latest timestamp; -1 when the
    /// producer's times stand.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// What to wait for before the batch may be acknowledged.
    pub ticket: Ticket,
}

/// An append that is not acknowledged yet; see [`Partition::settle`].
#[derive(Debug)]
#[must_use = "nobody sees what is not settled"]
pub(crate) struct Ticket {
    file: Option<Arc<SyncFile>>,
    generation: u64,
    reach: Reach,
}

/// How far the log reached at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The offset after the last record.
    pub end: i64,
    /// The bytes that were appended since the partition was opened, whatever retention took.
    pub bytes: u64,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// The producer's state forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log could not be written.
    #[error("{topic}-{partition}: {source}")]
    Log { topic: String, partition: i32, source: log::AppendError },
    /// What an earlier failure left can't be taken back yet.
    #[error("{topic}-{partition} refuses records until its log can be cut back: {source}")]
    Unrecovered { topic: String, partition: i32, source: RecoverError },
    /// The topic is gone.
    #[error(transparent)]
    Closed(StorageError),
}

impl AppendError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Refused(refusal) => refusal.response_error(),
            Self::Log { .. } | Self::Unrecovered { .. } => ResponseError::KafkaStorageError,
            Self::Closed(error) => error.response_error(),
        }
    }
}

/// Why the unacknowledged tail could not be taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    /// The log can't be cut.
    #[error(transparent)]
    Truncate(#[from] log::TruncateError),
    /// What is left can't be read.
    #[error(transparent)]
    Read(#[from] log::ReadError),
}

impl Partition {
    /// Appends a batch whose bytes the caller has checked; `header` is its own.
    ///
    /// # Errors
    /// When its producer may not write it, or the log can't. Nothing has changed then.
    pub fn append(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        membership: Membership,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let mut state = self.ready()?;
        if let Verdict::Duplicate(written) = state.producers.check(header, membership)? {
            return Ok(self.again(&mut state, written));
        }
        let mut header = header.clone();
        let mut log_append_time_ms = -1;
        header.base_offset = match state.settings.timestamp_type {
            TimestampType::Creation => self.write(&mut state, batch, now_ms)?,
            TimestampType::LogAppend => {
                let mut batch = BytesMut::from(batch);
                batch::stamp_append_time(&mut batch, now_ms);
                header.max_timestamp = now_ms;
                log_append_time_ms = now_ms;
                self.write(&mut state, &batch, now_ms)?
            }
        };
        state.producers.wrote(&header);
        let ticket = self.ticket(&mut state);
        let log_start_offset = state.log.start_offset();
        let base_offset = header.base_offset;
        Ok(Appended { base_offset, log_append_time_ms, log_start_offset, ticket })
    }

    /// Ends the transaction of a producer with a marker. One that is no longer open is not ended again, so that a
    /// coordinator that was interrupted may repeat itself.
    ///
    /// # Errors
    /// When the log can't be written.
    pub fn end_transaction(
        &self,
        producer_id: i64,
        epoch: i16,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<Ticket, AppendError> {
        let mut state = self.ready()?;
        let seen = state.producers.epoch_of(producer_id);
        if let Some(current) = seen.filter(|seen| *seen > epoch) {
            return Err(Refusal::StaleEpoch { producer_id, epoch, current }.into());
        }
        if seen == Some(epoch) && !state.producers.has_open(producer_id) {
            return Ok(self.ticket(&mut state));
        }
        let batch = marker::batch(producer_id, epoch, outcome, now_ms);
        let mut header = BatchHeader::parse(&batch).expect("a marker has a header");
        header.base_offset = self.write(&mut state, &batch, now_ms)?;
        let marker_offset = header.base_offset;
        if let Some(first_offset) = state.producers.ended(&header, COORDINATOR_EPOCH) {
            state.stability.ended(first_offset, marker_offset);
            if outcome == Outcome::Abort {
                state.stability.aborted(Aborted { producer_id, first_offset, marker_offset });
            }
        }
        Ok(self.ticket(&mut state))
    }

    /// Waits until what the ticket stands for is durable, and makes it visible. Has to run to its end even when the
    /// client is gone, or its records stay invisible until the next append.
    ///
    /// # Errors
    /// When it can't be made durable. It is taken back then, and was never visible.
    pub async fn settle(&self, ticket: &Ticket) -> Result<(), StorageError> {
        let Some(file) = &ticket.file else { return Ok(()) };
        let flushed = self.flusher.durable(file).await;
        let mut state = self.lock();
        if state.generation != ticket.generation {
            let (topic, partition) = (self.topic.clone(), self.index);
            return Err(StorageError::GivenUp { topic, partition });
        }
        if let Err(source) = flushed {
            self.give_up_tail(&mut state, &source);
            let (topic, partition) = (self.topic.clone(), self.index);
            return Err(StorageError::Flush { topic, partition, source });
        }
        state.show_up_to(ticket.reach);
        drop(state);
        self.following.wake();
        Ok(())
    }

    /// The state, fit for an append: what an earlier failure left behind is taken back first.
    fn ready(&self) -> Result<std::sync::MutexGuard<'_, State>, AppendError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(AppendError::Closed(self.closed()));
        }
        if state.needs_recovery {
            state.recover().map_err(|source| {
                let (topic, partition) = (self.topic.clone(), self.index);
                AppendError::Unrecovered { topic, partition, source }
            })?;
        }
        Ok(state)
    }

    fn write(&self, state: &mut State, batch: &[u8], now_ms: i64) -> Result<i64, AppendError> {
        let bytes = batch.len() as u64;
        let appended = state.log.append(batch, now_ms).map_err(|source| {
            // Rolling to the next segment syncs the last one.
            if let log::AppendError::Failed(failure) = &source {
                self.give_up_tail(state, failure);
            }
            let (topic, partition) = (self.topic.clone(), self.index);
            AppendError::Log { topic, partition, source }
        })?;
        state.written.end = state.log.end_offset();
        state.written.bytes += bytes;
        Ok(appended.base_offset)
    }

    /// The answer to a batch that came before. It must not be acknowledged earlier than the first one is.
    fn again(&self, state: &mut State, written: Written) -> Appended {
        Appended {
            base_offset: written.base_offset,
            log_append_time_ms: written.timestamp_ms,
            log_start_offset: state.log.start_offset(),
            ticket: match written.last_offset < state.visible.end {
                true => Ticket { file: None, generation: state.generation, reach: state.visible },
                false => self.ticket(state),
            },
        }
    }

    /// What to wait for until all that is written is durable.
    fn ticket(&self, state: &mut State) -> Ticket {
        let (generation, reach) = (state.generation, state.written);
        let is_shown = reach.end <= state.visible.end;
        if !is_shown && self.flusher.durability() == Durability::Fsync {
            let file = state.log.tail();
            if file.is_some() {
                return Ticket { file, generation, reach };
            }
        }
        if !is_shown {
            state.show_up_to(reach);
            self.following.wake();
        }
        Ticket { file: None, generation, reach }
    }

    /// After a failed sync, nothing that isn't visible yet can become so: the kernel may have dropped any of it.
    fn give_up_tail(&self, state: &mut State, failure: &FlushError) {
        state.generation += 1;
        state.needs_recovery = true;
        let (topic, partition) = (&self.topic, self.index);
        let (from, end) = (state.visible.end, state.log.end_offset());
        tracing::error!(topic, partition, from, end, error = %failure, "records are taken back");
        if let Err(error) = state.recover() {
            tracing::error!(topic, partition, %error, "the log can't be cut back; the next produce tries again");
        }
    }
}

impl State {
    fn show_up_to(&mut self, reach: Reach) {
        self.visible.end = self.visible.end.max(reach.end);
        self.visible.bytes = self.visible.bytes.max(reach.bytes);
        self.stability.visible_up_to(self.visible.end);
    }

    fn recover(&mut self) -> Result<(), RecoverError> {
        let end = self.visible.end;
        self.log.truncate_to(end)?;
        self.written.end = end;
        (self.producers, self.stability) = replay::read_back(&self.log, end)?;
        self.stability.visible_up_to(end);
        self.needs_recovery = false;
        Ok(())
    }
}
