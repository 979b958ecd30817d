//! The topics: which there are, their partitions and settings. What changes them is durable before it takes effect.
//!
//! The journal of topics is the truth; a topic's directory is named by its id, so that one that was deleted and made
//! again never meets its old records. Directories without a topic are what a crash left, and are removed at start.

pub(crate) mod config;
mod configure;
mod create;
mod delete;
mod entry;
mod grow;
mod name;
mod open;
mod topic;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use kafka_protocol::ResponseError;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::journal::{Journal, JournalError};
use crate::log::{Flusher, OpenError};
use crate::partition::Partition;

pub(crate) use configure::NewConfigs;
pub(crate) use create::{CreateError, NewTopic};
use entry::Entry;
pub use entry::ReplayError;
pub(crate) use name::{NameError, TopicName};
pub use open::OpenTopicsError;
pub(crate) use topic::Topic;

/// Whether to do something, or only to say whether it could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    Validate,
}

impl Mode {
    /// From the flag that requests carry.
    pub fn of(validate_only: bool) -> Self {
        if validate_only { Self::Validate } else { Self::Apply }
    }
}

/// The topics.
#[derive(Debug)]
pub(crate) struct Topics {
    /// Where topics' directories are; `None` keeps records in memory.
    dir: Option<PathBuf>,
    journal: Journal,
    flusher: Flusher,
    /// Held by whoever changes topics, from the check to the effect.
    changing: Mutex<()>,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
    partitions: usize,
}

/// Why a change could not be made durable. It has no effect then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a partition can't be opened: {0}")]
    Partition(#[from] OpenError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Topics {
    /// The partition.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition` when there is none.
    pub fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ResponseError> {
        let state = self.state();
        let partition = state.topics.get(topic).and_then(|topic| topic.partition(index));
        partition.cloned().ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.state().topics.get(name).cloned()
    }

    /// The topic of that id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let state = self.state();
        state.topics.get(state.names.get(&id)?).cloned()
    }

    /// The id of the topic of that name.
    pub fn id_of(&self, name: &str) -> Option<Uuid> {
        self.state().topics.get(name).map(|topic| topic.id)
    }

    /// All topics, by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.state().topics.values().cloned().collect()
    }

    /// All topics from that name on, by name.
    pub fn from(&self, name: &str) -> Vec<Arc<Topic>> {
        let range = (Bound::Included(name), Bound::Unbounded);
        self.state().topics.range::<str, _>(range).map(|(_, topic)| topic.clone()).collect()
    }

    /// Applies retention and compaction to all partitions.
    pub fn clean(&self, now_ms: i64) {
        for topic in self.all() {
            for partition in &topic.partitions {
                partition.clean(now_ms);
            }
        }
    }

    /// Refuses all further work, and puts everything on disk.
    ///
    /// # Errors
    /// When the journal can't be synced.
    pub async fn close(&self) -> Result<(), JournalError> {
        let _changing = self.changing.lock().await;
        for topic in self.all() {
            topic.partitions.iter().for_each(|partition| partition.close());
        }
        self.journal.close()
    }

    /// Makes a change durable.
    async fn store(
        &self,
        _changing: &MutexGuard<'_, ()>,
        entry: &Entry,
    ) -> Result<(), JournalError> {
        self.journal.push(&entry.encode())?.durable().await
    }

    /// Lets a topic be what it is from now on.
    fn put(&self, _changing: &MutexGuard<'_, ()>, topic: &Arc<Topic>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.names.insert(topic.id, topic.name.clone());
        state.partitions += topic.partitions.len();
        if let Some(before) = state.topics.insert(topic.name.clone(), topic.clone()) {
            state.partitions -= before.partitions.len();
        }
    }

    /// Shortens the journal when most of it is out of date. Called after the change that made it long has its effect.
    fn tidy(&self, _changing: &MutexGuard<'_, ()>) {
        if !self.journal.wants_rewrite() {
            return;
        }
        let entries = self.all().into_iter().map(|topic| topic.created().encode());
        if let Err(error) = self.journal.rewrite(entries) {
            tracing::warn!(%error, "the journal of topics can't be shortened; it goes on growing");
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // Every change of the state is one insertion or removal: a panic elsewhere leaves it whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}
