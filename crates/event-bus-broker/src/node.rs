//! What every request works on: the parts of the one node.

use crate::access::{Access, AccessError};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::faults::Faults;
use crate::fetch::Sessions;
use crate::group::{Groups, OpenError as GroupsError};
use crate::log::Flusher;
use crate::metadata::{OpenTopicsError, Topics};
use crate::server::Windows;
use crate::transactions::Transactions;

/// The id of the one node.
pub(crate) const NODE_ID: i32 = 1;

/// The epoch of every leader: leadership never changes.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// The node.
#[derive(Debug)]
pub(crate) struct Node {
    /// How it was set up.
    pub config: Config,
    /// What clients are told about it.
    pub cluster: ClusterInfo,
    /// Who may do what.
    pub access: Access,
    /// The topics and their records.
    pub topics: Topics,
    /// Who is in which consumer group, and what it has committed.
    pub groups: Groups,
    /// The transactions, and who may write in them.
    pub transactions: Transactions,
    /// What consumers asked for before, so that they need not repeat it.
    pub fetch_sessions: Sessions,
    /// The buffers through which records go from the disk to consumers.
    pub windows: Windows,
    /// What it does wrong on purpose.
    pub faults: Faults,
    /// Where its data stays, and the lock on it; none in memory. Last, for it is given up last.
    #[expect(dead_code, reason = "held for its lock")]
    pub data: Option<DataDir>,
}

/// What clients are told about the cluster of one.
#[derive(Clone, Debug)]
pub(crate) struct ClusterInfo {
    /// The cluster's id: 22 characters, stored with the data.
    pub id: String,
    /// The id of the one node.
    pub node_id: i32,
    /// The host that clients connect to.
    pub host: String,
    /// The port that clients connect to.
    pub port: u16,
}

/// Why data can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The topics or their records.
    #[error(transparent)]
    Topics(#[from] OpenTopicsError),
    /// What consumer groups committed.
    #[error(transparent)]
    Groups(#[from] GroupsError),
    /// The access control lists.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The transactions.
    #[error("the transactions can't be loaded: {0}")]
    Transactions(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Node {
    /// Loads all data.
    ///
    /// # Errors
    /// When any of it can't be read or is damaged.
    pub fn load(
        config: Config,
        cluster: ClusterInfo,
        data: Option<DataDir>,
    ) -> Result<Self, LoadError> {
        let flusher = Flusher::start(config.durability);
        let faults = Faults::new(config.faults.clone(), flusher.disk_faults().clone());
        let journal = |name| data.as_ref().map(|data| data.journal(name));
        let dir = data.as_ref().map(DataDir::topics);
        let topics = Topics::open(journal("topics").as_deref(), dir, flusher.clone())?;
        let settings = config.groups.clone();
        let exists = |topic: &str| topics.topic(topic).is_some();
        let groups = Groups::open(journal("groups").as_deref(), flusher.clone(), settings, exists)?;
        let super_users = config.super_users.clone();
        let access = Access::open(journal("acls").as_deref(), flusher.clone(), super_users)?;
        let transactions = Transactions::open(journal("transactions").as_deref(), flusher)
            .map_err(|error| LoadError::Transactions(error.into()))?;
        let fetch_sessions = Sessions::default();
        let windows = Windows::default();
        Ok(Self {
            config,
            cluster,
            access,
            topics,
            groups,
            transactions,
            fetch_sessions,
            windows,
            faults,
            data,
        })
    }
}
