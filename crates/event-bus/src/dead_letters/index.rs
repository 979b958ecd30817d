//! Keeps the index of the ops store: reads the topics on from where it was, and goes on with what comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Progress;
use super::told::{Sources, Told};
use crate::catalogue::Catalogue;
use crate::dead_letter::error_chain;
use crate::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::personal::Personal;
use crate::shutdown;
use crate::store::ops::{Batch, OpsStore, TakeInError};

/// So many records are taken in by one transaction, as far as they are there.
const AT_ONCE: usize = 2_000;
/// So many records change what is where.
const MANY: u64 = 1_000;
/// How often it is looked for partitions that came.
const PARTITIONS: Duration = Duration::from_secs(30);
/// The wait after a trouble.
const REST: Duration = Duration::from_secs(2);

/// What keeps the index from being read on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Kafka did not tell what there is.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The topics could not be read.
    #[error("the dead letter topics could not be read")]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    TakeIn(#[from] TakeInError),
    /// The store did not answer.
    #[error("the ops store did not answer")]
    Store(#[from] sqlx::Error),
}

/// What keeps the index.
pub struct Indexer {
    store: Arc<OpsStore>,
    kafka: KafkaConfig,
    catalogue: Arc<Catalogue>,
}

impl Indexer {
    /// Of the dead letters of this catalogue's topics.
    #[must_use]
    pub fn new(store: Arc<OpsStore>, kafka: KafkaConfig, catalogue: Arc<Catalogue>) -> Self {
        Self { store, kafka, catalogue }
    }

    /// Reads what is there now, and has the store's database know what it has. `progress` is told how many records there
    /// are to read, and then how many were each time.
    ///
    /// # Errors
    /// See [`IndexError`]. What was taken in stays.
    pub async fn catch_up(&self, mut progress: impl FnMut(Progress)) -> Result<(), IndexError> {
        let Some(mut reading) = self.start(Until::CaughtUp).await? else { return Ok(()) };
        progress(Progress::Of(reading.reader.total()));
        let mut all = 0;
        while let Some(records) = reading.next().await? {
            let count = records.len() as u64;
            match self.take_in(&mut reading, records).await {
                Err(IndexError::TakeIn(TakeInError::Overtaken { .. })) => {
                    // Two that start at once take turns by chance.
                    sleep(REST.mul_f64(rand::random())).await;
                    match self.start(Until::CaughtUp).await? {
                        Some(other) => reading = other,
                        None => break,
                    }
                    continue;
                }
                taken_in => taken_in?,
            }
            progress(Progress::Read(count));
            all += count;
        }
        if all >= MANY {
            self.store.analyze().await?;
        }
        Ok(())
    }

    /// Reads on until `stop` turns true. What can't be read is tried again.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let ended = tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                ended = self.follow() => ended,
            };
            if let Err(error) = ended {
                tracing::warn!(error = error_chain(&error), "the index of dead letters is behind");
                tokio::select! {
                    () = shutdown::requested(&mut stop) => return,
                    () = sleep(REST) => {}
                }
            }
        }
    }

    /// Reads on until it is time to look for new partitions.
    async fn follow(&self) -> Result<(), IndexError> {
        let until = Instant::now() + PARTITIONS;
        let Some(mut reading) = self.start(Until::Stopped).await? else {
            sleep(REST).await;
            return Ok(());
        };
        while let Ok(read) = timeout_at(until, reading.next()).await {
            let Some(records) = read? else { break };
            self.take_in(&mut reading, records).await?;
        }
        Ok(())
    }

    /// Begins to read where the store is; `None` where no topic is there.
    async fn start(&self, until: Until) -> Result<Option<Reading>, IndexError> {
        let sources = Sources::of(&self.catalogue);
        let admin = Admin::connect(&self.kafka)?;
        let cluster = admin.cluster().await?;
        let partitions: Vec<TopicPartition> =
            sources.all().flat_map(|topic| cluster.partitions(topic)).collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        let mut stored = self.store.positions().await?;
        let offset = |offsets: &mut Offsets, at: &TopicPartition| {
            Ok::<_, AdminError>(offsets.remove(at).transpose()?.flatten())
        };
        let mut starts = admin.offsets(Position::Start, partitions.clone()).await?;
        let mut ends = admin.offsets(Position::End, partitions.clone()).await?;
        let mut from = BTreeMap::new();
        for at in partitions {
            let start = offset(&mut starts, &at)?.unwrap_or(0);
            let end = offset(&mut ends, &at)?.unwrap_or(start);
            if stored.get(&at).is_some_and(|position| *position > end) {
                tracing::warn!(topic = %at.topic, partition = at.partition,
                    "the topic was made anew: what the index knows of the old one stays");
                self.store.forget_position(&at).await?;
                stored.remove(&at);
            }
            from.insert(at.clone(), stored.get(&at).copied().unwrap_or(start).max(start));
        }
        let reader = Reader::start_at(&self.kafka, &from, until).await?;
        Ok(Some(Reading { reader, stored, sources }))
    }

    async fn take_in(&self, reading: &mut Reading, records: Vec<Record>) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        let mut unreadable: Option<String> = None;
        for record in records {
            let at = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            match reading.sources.read(&record) {
                Ok(Told::Letter(letter)) => {
                    // What is personal is in no index, so that nobody finds it out there either.
                    let value = record.value.as_deref();
                    let personal = Personal::of_letter(&self.catalogue, &letter, value);
                    batch.letters.push(personal.letter(*letter));
                }
                Ok(Told::Deed(deed)) => batch.deeds.push(deed),
                Ok(Told::Outcome(told)) => batch.outcomes.push(told),
                Ok(Told::Audited) => {}
                Err(error) => drop(unreadable.get_or_insert(error)),
            }
            let stored = reading.stored.get(&at).copied();
            batch.read.entry(at).or_insert((stored, 0)).1 = record.offset + 1;
        }
        if let Some(first) = unreadable {
            tracing::warn!(first, "records that are none of the bus's are not in the index");
        }
        self.store.take_in(&batch).await?;
        reading.stored.extend(batch.read.into_iter().map(|(at, (_, to))| (at, to)));
        Ok(())
    }
}

struct Reading {
    reader: Reader,
    /// How far the store is.
    stored: BTreeMap<TopicPartition, i64>,
    sources: Sources,
}

impl Reading {
    /// The next records, and those behind them that are there already.
    async fn next(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        let Some(mut records) = self.reader.next().await? else { return Ok(None) };
        while records.len() < AT_ONCE
            && let Some(more) = self.reader.next().now_or_never()
        {
            match more? {
                Some(more) => records.extend(more),
                None => break,
            }
        }
        Ok(Some(records))
    }
}
