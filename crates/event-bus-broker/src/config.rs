//! How a broker is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// How a broker is set up. The default keeps everything in memory and listens on a free loopback port.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data stays.
    pub storage: Storage,
    /// What an acknowledgement means.
    pub durability: Durability,
}

/// Where the data stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone with the broker.
    Memory,
    /// In this directory; the next broker on it goes on where the last one was.
    Directory(PathBuf),
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The records were fsynced. One fsync serves every request that waits for it.
    #[default]
    Fsync,
    /// The operating system has the records, as with Kafka's defaults: they outlive the process, not the machine.
    Lazy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            storage: Storage::Memory,
            durability: Durability::Fsync,
        }
    }
}
