//! How a broker is set up.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::FaultScript;
use crate::group::GroupSettings;
use crate::limits::MAX_CONNECTIONS;
use crate::login::tls::Tls;
use crate::login::users::Users;

/// How a broker is set up. The default keeps everything in memory and listens on a free loopback port.
///
/// ```
/// use event_bus_broker::{Config, Durability};
///
/// let config = Config { durability: Durability::Lazy, ..Config::in_directory("data") };
/// assert!(!config.topics.auto_create);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `HOST:PORT` that clients are told to connect to; the address of the listener when there is none.
    pub advertise: Option<String>,
    /// Whether to listen where other machines can reach it although nobody has to log in: whoever reaches it may read,
    /// write and delete everything.
    pub allow_remote: bool,
    /// Who may log in by a password (SASL/SCRAM); with `None`, and without an authority of clients' certificates, nobody
    /// has to.
    pub users: Option<Users>,
    /// TLS, in the place of plain TCP.
    pub tls: Option<Tls>,
    /// Principals that may do everything, such as `User:admin`; everybody else may do what the access control lists say.
    /// With `None` everybody may do everything.
    pub super_users: Option<BTreeSet<String>>,
    /// Where the data stays.
    pub storage: Storage,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// What topics are like for which nothing else was said.
    pub topics: TopicDefaults,
    /// How consumer groups are treated.
    pub groups: GroupSettings,
    /// What the broker does wrong on purpose.
    pub faults: FaultScript,
    /// How often retention and compaction run (`log.retention.check.interval.ms`).
    pub retention_check_interval: Duration,
    /// How many connections are served at a time; those above it are closed at once.
    pub max_connections: usize,
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

/// What topics are like for which nothing else was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Partitions of a topic that is created without saying how many.
    pub partitions: i32,
    /// Whether a topic is created when somebody asks for it by name. Off: a misspelt name is an error then.
    pub auto_create: bool,
}

impl Config {
    /// Keeps the data in this directory; otherwise the default.
    pub fn in_directory(dir: impl Into<PathBuf>) -> Self {
        Self { storage: Storage::Directory(dir.into()), ..Self::default() }
    }

    /// Whether clients have to say who they are.
    pub fn needs_login(&self) -> bool {
        self.users.is_some() || self.tls.as_ref().is_some_and(Tls::names_clients)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            allow_remote: false,
            users: None,
            tls: None,
            super_users: None,
            storage: Storage::Memory,
            durability: Durability::Fsync,
            topics: TopicDefaults::default(),
            groups: GroupSettings::default(),
            faults: FaultScript::new(),
            retention_check_interval: Duration::from_secs(30),
            max_connections: MAX_CONNECTIONS,
        }
    }
}

impl Default for TopicDefaults {
    fn default() -> Self {
        Self { partitions: 1, auto_create: false }
    }
}
