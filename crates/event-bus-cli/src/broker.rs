//! `event-bus broker`: the embedded broker as a process.

mod security;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use event_bus::dead_letter::error_chain;
use event_bus_broker::{Broker, Config, Durability, FaultScript, Storage};

use crate::address::address;
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::stop;
use security::Security;

#[derive(clap::Args)]
pub struct Args {
    /// Keep the data here; the next start on it goes on where this one ends
    #[arg(long, value_name = "DIR", required_unless_present = "memory", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep the data in memory: it is gone with the process
    #[arg(long)]
    memory: bool,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092", value_parser = address)]
    listen: SocketAddr,
    /// What clients are told to connect to, where that is not the address of --listen
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// What an acknowledgement means
    #[arg(long, value_enum, default_value_t)]
    durability: Acknowledged,
    /// Listen where other machines can reach it although nobody has to log in: whoever does may read, write and delete
    /// everything
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    security: Security,
    /// What goes wrong on purpose, for tests: a script in TOML, see docs/FAULTS.md
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Acknowledged {
    /// The records are on the disk
    #[default]
    Fsync,
    /// The operating system has the records: they outlive the process, not the machine
    Lazy,
}

impl From<Acknowledged> for Durability {
    fn from(acknowledged: Acknowledged) -> Self {
        match acknowledged {
            Acknowledged::Fsync => Self::Fsync,
            Acknowledged::Lazy => Self::Lazy,
        }
    }
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        // Before anything is opened, so that a signal meanwhile is not lost.
        let requested = stop::requested(false)?;
        let faults = self.faults.as_deref().map(script).transpose()?.unwrap_or_default();
        let broker = Broker::start(Config {
            listen: self.listen,
            advertise: self.advertise,
            allow_remote: self.allow_remote,
            users: self.security.users()?,
            tls: self.security.tls()?,
            super_users: self.security.super_users(),
            storage: self.data.map_or(Storage::Memory, Storage::Directory),
            durability: self.durability.into(),
            faults,
            ..Config::default()
        })
        .await?;
        let mut output = global.output();
        // Whoever starts this process reads where it is from this line.
        if output.is_json() {
            output.json_line(&serde_json::json!({ "kafka": broker.bootstrap() }))?;
        } else {
            output.line(&format!("Kafka protocol on {}", broker.bootstrap()))?;
        }
        output.flush()?;
        stop::of(requested).await;
        broker.stop().await;
        Ok(Exit::Done)
    }
}

fn script(path: &Path) -> anyhow::Result<FaultScript> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the faults {} can't be read", path.display()))?;
    FaultScript::parse(&text)
        .or_else(|error| usage(format!("{}: {}", path.display(), error_chain(&error))))
}
