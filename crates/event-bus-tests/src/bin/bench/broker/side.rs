//! One of the two brokers, and a topic on it.

use std::fs;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::memory;

/// Partitions of each topic.
pub const PARTITIONS: i32 = 6;

/// A broker that runs.
pub struct Side {
    pub name: &'static str,
    pub bootstrap: String,
    pub pid: u32,
}

impl Side {
    pub fn new(name: &'static str, bootstrap: &str, pid: u32) -> Self {
        Self { name, bootstrap: bootstrap.to_owned(), pid }
    }

    /// The memory that the broker has now.
    pub fn resident_bytes(&self) -> u64 {
        memory::resident_bytes(self.pid).expect("the broker runs")
    }

    /// A client's configuration with nothing but the address.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}

/// A topic of one round.
pub struct Topic<'s> {
    pub side: &'s Side,
    pub name: String,
    admin: AdminClient<DefaultClientContext>,
}

impl<'s> Topic<'s> {
    pub async fn create(side: &'s Side) -> Self {
        let admin: AdminClient<_> = side.client().create().expect("an admin client can be made");
        let name = format!("bench-{:08x}", rand::random::<u32>());
        let new = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
        let created = admin.create_topics([&new], &AdminOptions::new()).await;
        for created in created.expect("the broker answers") {
            created.unwrap_or_else(|refused| panic!("{} refuses a topic: {refused:?}", side.name));
        }
        Self { side, name, admin }
    }

    /// So that no disk is filled.
    pub async fn delete(self) {
        let deleted = self.admin.delete_topics(&[&self.name], &AdminOptions::new()).await;
        for deleted in deleted.expect("the broker answers") {
            deleted.unwrap_or_else(|refused| panic!("{} keeps it: {refused:?}", self.side.name));
        }
    }
}

/// Makes the operating system forget the files that it holds in memory, so that the next read comes from the disk.
/// `false` where only root may.
pub fn forget_files() -> bool {
    // What is not written yet can't be forgotten.
    let synced = std::process::Command::new("sync").status();
    synced.is_ok_and(|status| status.success())
        && fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}
