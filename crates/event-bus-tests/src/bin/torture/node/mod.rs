//! The processes of a world: users of the library like any others.

mod consumer;
mod relay;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use event_bus::dead_letter::error_chain;
use event_bus::names::{InstanceId, Namespace};
use event_bus::store::Migration;
use event_bus::{Catalogue, KafkaConfig, Service};
use tokio::signal::unix::{SignalKind, signal};

use crate::bank;
use crate::clock;
use crate::journal::{Journal, Note};

/// Of so many transactions one is held open for a moment, so that what happens to a process finds it open.
const ONE_IN: u32 = 8;
const PAUSE: Duration = Duration::from_millis(25);

/// Short sessions, so that a killed member's partitions move soon; and short requests, so that a connection on which no
/// answer comes is given up within the run.
const CLIENT: [(&str, &str); 3] = [
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "500"),
    ("socket.timeout.ms", "10000"),
];

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Moves money, and enqueues the events.
    Writer,
    /// Sends what the bank enqueued.
    Relay,
    /// A replica of the ledger.
    Consumer,
}

/// All that a node is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// What it does
    #[arg(value_enum)]
    pub role: Role,
    /// Kafka
    #[arg(long)]
    pub bootstrap: String,
    /// The database of its service
    #[arg(long)]
    pub store: String,
    /// Under which names
    #[arg(long, value_parser = Namespace::new)]
    pub namespace: Namespace,
    /// How the ledger consumes, as TOML lines
    #[arg(long, default_value = "")]
    pub consumption: String,
    /// Where it notes what it does
    #[arg(long)]
    pub journal: PathBuf,
    /// The name of a static member
    #[arg(long, value_parser = InstanceId::new)]
    pub instance: Option<InstanceId>,
    /// How many transactions a writer begins in a second
    #[arg(long, default_value_t = 40)]
    pub rate: u32,
    /// How many events are to abort the ledger's process, of all that the bank ever publishes
    #[arg(long, default_value_t = 0)]
    pub aborting: i64,
}

/// Runs a node until SIGTERM.
pub async fn run(args: Args) -> ExitCode {
    let ended = match args.role {
        Role::Writer => writer::run(&args).await,
        Role::Relay => relay::run(&args).await,
        Role::Consumer => consumer::run(&args).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{:?} ends: {}", args.role, error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

type Ended = Result<(), Box<dyn std::error::Error>>;

impl Args {
    fn catalogue(&self) -> Arc<Catalogue> {
        bank::catalogue(&self.namespace, &self.consumption)
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.journal)
    }

    async fn service(
        &self,
        name: &str,
        tables: &[Migration],
    ) -> Result<Service, Box<dyn std::error::Error>> {
        let kafka = kafka(&self.bootstrap);
        Ok(Service::open(name, self.catalogue(), kafka, &self.store, tables).await?)
    }
}

/// Holds the transaction of the event open, if it is one of those.
async fn pause(journal: &Journal, id: &str) {
    if rand::random_ratio(1, ONE_IN) {
        journal.note(&Note::Pausing(id.to_owned()));
        clock::pass(PAUSE).await;
    }
}

/// How everybody reaches Kafka.
pub fn kafka(bootstrap: &str) -> KafkaConfig {
    let properties = CLIENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    KafkaConfig::new(bootstrap, properties).expect("librdkafka knows the properties")
}

async fn sigterm() {
    let mut sigterm = signal(SignalKind::terminate()).expect("the signal can be listened to");
    sigterm.recv().await;
}
