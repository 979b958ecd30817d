//! What every request works on: the parts of the one node.

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::group::Groups;

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
    /// Where its data stays, and the lock on it; none in memory.
    pub data: Option<DataDir>,
    /// Who is in which consumer group, and what it has committed.
    pub groups: Groups,
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
