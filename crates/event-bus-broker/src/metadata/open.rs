//! Loads the topics at start, and opens the partitions of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::config::{ConfigError, TopicConfigs};
use super::entry::{Recorded, ReplayError, replay};
use super::{State, StoreError, Topic, Topics};
use crate::journal::{Journal, JournalError};
use crate::log::{Flusher, OpenError, sync_dir_of};
use crate::partition::Partition;

/// How many partitions are opened at a time.
const OPENED_AT_ONCE: usize = 16;

/// Why the topics can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum OpenTopicsError {
    /// The journal of topics can't be read.
    #[error("the journal of topics can't be read: {0}")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it says makes no sense.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A topic's settings are none of this version.
    #[error("topic {topic} has a setting that this version does not know: {reason}")]
    Config {
        /// The topic's name.
        topic: String,
        /// What is wrong.
        reason: String,
    },
    /// A partition's log can't be opened.
    #[error("partition {partition} of topic {topic} (directory {}) can't be opened: {source}", dir.display())]
    Partition {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// Where its records are.
        dir: PathBuf,
        /// What is wrong with them.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The directory of topics can't be used.
    #[error("{} can't be used: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl Topics {
    /// Loads the topics whose journal and records are at these paths; without them they are in memory.
    ///
    /// # Errors
    /// When the journal or a log can't be read or is damaged.
    pub fn open(
        journal: Option<&Path>,
        dir: Option<PathBuf>,
        flusher: Flusher,
    ) -> Result<Self, OpenTopicsError> {
        let unreadable = |source: JournalError| OpenTopicsError::Journal(source.into());
        let (journal, entries) = Journal::open(journal, flusher.clone()).map_err(unreadable)?;
        let recorded = replay(&entries)?;
        if let Some(dir) = &dir {
            let failed = |source| OpenTopicsError::Io { path: dir.clone(), source };
            fs::create_dir_all(dir).map_err(failed)?;
            sync_dir_of(dir).map_err(failed)?;
            sweep(dir, &recorded).map_err(failed)?;
        }
        let mut state = State::default();
        for (id, recorded) in recorded {
            let topic = load(dir.as_deref(), id, recorded, &flusher)?;
            state.names.insert(id, topic.name.clone());
            state.partitions += topic.partitions.len();
            state.topics.insert(topic.name.clone(), Arc::new(topic));
        }
        let state = RwLock::new(state);
        Ok(Self { dir, journal, flusher, changing: Mutex::new(()), state })
    }

    /// Opens partitions of a topic, whose directories survive a crash from then on. On another thread, for it waits
    /// for the disk.
    pub(super) async fn open_partitions(
        &self,
        topic: Topic,
        indexes: Range<i32>,
    ) -> Result<Topic, StoreError> {
        let (dir, flusher) = (self.dir.clone(), self.flusher.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let mut topic = topic;
            let dir = dir.map(|dir| dir.join(topic.id.to_string()));
            open_all(&mut topic, dir.as_deref(), indexes, &flusher).map_err(|(_, error)| error)?;
            if let Some(dir) = dir {
                // The partition's directory in the topic's, and that in the topics'.
                sync_dir_of(&dir.join("0"))
                    .and_then(|()| sync_dir_of(&dir))
                    .map_err(|source| StoreError::Io { path: dir, source })?;
            }
            Ok(topic)
        });
        opening.await.expect("opening partitions does not panic, and is not cancelled")
    }

    /// Removes the directory of a topic that is no more. What can't be removed goes at the next start.
    pub(super) async fn remove_directory(&self, id: Uuid) {
        let Some(dir) = self.dir.as_ref().map(|dir| dir.join(id.to_string())) else { return };
        let removing = tokio::task::spawn_blocking(move || match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(dir = %dir.display(), %error, "a deleted topic's records stay until the next start");
            }
            _ => {}
        });
        removing.await.expect("removing a directory does not panic, and is not cancelled");
    }
}

fn load(
    dir: Option<&Path>,
    id: Uuid,
    recorded: Recorded,
    flusher: &Flusher,
) -> Result<Topic, OpenTopicsError> {
    let Recorded { name, partitions, configs } = recorded;
    let configs = TopicConfigs::new(configs).map_err(|error: ConfigError| {
        OpenTopicsError::Config { topic: name.clone(), reason: error.to_string() }
    })?;
    let mut topic = Topic { name, id, partitions: Vec::new(), configs };
    let dir = dir.map(|dir| dir.join(id.to_string()));
    let opened = open_all(&mut topic, dir.as_deref(), 0..partitions, flusher);
    opened.map_err(|(partition, source)| OpenTopicsError::Partition {
        topic: topic.name.clone(),
        partition,
        dir: dir.map(|dir| dir.join(partition.to_string())).unwrap_or_default(),
        source: source.into(),
    })?;
    Ok(topic)
}

/// Opens partitions of a topic in their directories below `dir`, many at a time: each waits for the disk, and a disk
/// serves many who wait in one go. The first that can't be opened is the error.
fn open_all(
    topic: &mut Topic,
    dir: Option<&Path>,
    indexes: Range<i32>,
    flusher: &Flusher,
) -> Result<(), (i32, OpenError)> {
    let (name, configs) = (&topic.name, &topic.configs);
    let open = |index: i32| {
        let settings = configs.settings(flusher.disk_faults().clone());
        let path = dir.map(|dir| dir.join(index.to_string()));
        Partition::open(path.as_deref(), (name, index), settings, flusher.clone())
            .map_err(|error| (index, error))
    };
    let mut partitions = Vec::new();
    let indexes: Vec<i32> = indexes.collect();
    for some in indexes.chunks(OPENED_AT_ONCE) {
        let opened: Vec<_> = thread::scope(|scope| {
            let opening: Vec<_> = some.iter().map(|index| scope.spawn(|| open(*index))).collect();
            opening
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for opened in opened {
            partitions.push(opened?);
        }
    }
    topic.partitions.extend(partitions);
    Ok(())
}

/// Removes the directories that belong to no topic: a crash came between a topic's directory and its entry in the
/// journal, or between its deletion and that of its directory.
fn sweep(dir: &Path, topics: &BTreeMap<Uuid, Recorded>) -> io::Result<()> {
    let known: BTreeSet<String> = topics.keys().map(Uuid::to_string).collect();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What is not named like a topic is not ours to remove.
        if Uuid::try_parse(&name).is_ok() && !known.contains(name.as_ref()) {
            tracing::info!(dir = %entry.path().display(), "removing records of a topic that is no more");
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
