//! The broker as its users hold it: started, stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

use crate::clock::now_ms;
use crate::config::{Config, Storage};
use crate::data_dir::{DataDir, DataDirError};
use crate::file_limit;
use crate::node::{ClusterInfo, LoadError, NODE_ID, Node};
use crate::server::{self, Phase};
use crate::transactions;
use crate::upkeep;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Other machines could reach it.
    #[error(
        "{0} can be reached from other machines, and nobody has to log in: name users (--users), listen on a loopback \
         address such as 127.0.0.1, or allow it with `allow_remote` (--allow-remote)"
    )]
    Remote(SocketAddr),
    /// Who may do what is told apart, and nobody says who they are.
    #[error(
        "access control lists tell users apart, and nobody has to log in: name users (--users)"
    )]
    Nameless,
    /// The script of faults fills a disk that there is not.
    #[error(
        "the script of faults fills the disk, and this broker is in memory: give it a data directory"
    )]
    NoDisk,
    /// The address to advertise is not `HOST:PORT`.
    #[error("`{0}` is no address that clients can connect to: write HOST:PORT")]
    Advertise(String),
    /// The address can't be listened on.
    #[error("{addr} can't be listened on: choose another address, or port 0 for a free one")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The data can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A transaction that was decided before can't be carried out.
    #[error("a transaction that was decided before the last stop can't be carried out: {0}")]
    Transactions(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running broker. [`stop`](Self::stop) ends it with an answer to everything that was asked; dropped, it ends at
/// once, and what was acknowledged is kept all the same.
///
/// It runs on the tokio runtime that it was started on.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    bootstrap: String,
    phase: watch::Sender<Phase>,
    node: Arc<Node>,
    server: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

impl Broker {
    /// Starts a broker. When this returns, all data is loaded and clients can connect.
    ///
    /// # Errors
    /// When the configuration is refused, the address can't be listened on, or the data can't be loaded.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let is_open = !config.needs_login() && !config.allow_remote;
        if !config.listen.ip().is_loopback() && is_open {
            return Err(StartError::Remote(config.listen));
        }
        if config.super_users.is_some() && !config.needs_login() {
            return Err(StartError::Nameless);
        }
        if config.faults.needs_disk() && config.storage == Storage::Memory {
            return Err(StartError::NoDisk);
        }
        file_limit::raise();
        let data = match &config.storage {
            Storage::Directory(path) => Some(DataDir::open(path).await?),
            Storage::Memory => None,
        };
        let failed = |source| StartError::Listen { addr: config.listen, source };
        let listener = server::listen(config.listen).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (host, port) = match &config.advertise {
            Some(advertise) => host_and_port(advertise)?,
            None => (addr.ip().to_string(), addr.port()),
        };
        let bootstrap = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let id = data
            .as_ref()
            .map_or_else(crate::data_dir::new_cluster_id, |data| data.cluster_id.clone());
        let cluster = ClusterInfo { id, node_id: NODE_ID, host, port };
        let node = Arc::new(Node::load(config, cluster, data)?);
        transactions::recover(&node, now_ms())
            .await
            .map_err(|error| StartError::Transactions(error.into()))?;
        let (phase, stopping) = watch::channel(Phase::Running);
        let server = tokio::spawn(server::run(listener, node.clone(), stopping));
        let upkeep = tokio::spawn(upkeep::run(node.clone()));
        info!(%addr, cluster = node.cluster.id, "the broker is ready");
        Ok(Self { addr, bootstrap, phase, node, server, upkeep })
    }

    /// What its requests work on.
    #[cfg(test)]
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `HOST:PORT` for clients' `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Ends the broker: nothing new is accepted, what runs is answered, and everything is on disk when this returns.
    pub async fn stop(mut self) {
        // Before the connections end, so that members hear where to look next.
        self.node.groups.stop();
        self.phase.send_replace(Phase::Stopping);
        self.upkeep.abort();
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the broker's server ended with a defect");
        }
        if let Err(error) = self.node.topics.close().await {
            tracing::error!(%error, "the topics can't be closed");
        }
        if let Err(error) = self.node.access.close().await {
            tracing::error!(%error, "the access control lists can't be closed");
        }
        if let Err(error) = self.node.transactions.close() {
            tracing::error!(%error, "the transactions can't be closed");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ends the connections' tasks with it.
        self.server.abort();
        self.upkeep.abort();
    }
}

fn host_and_port(address: &str) -> Result<(String, u16), StartError> {
    let refused = || StartError::Advertise(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| refused())?;
    if host.is_empty() || port == 0 { Err(refused()) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests;
