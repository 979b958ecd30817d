//! From an outbox in PostgreSQL to Kafka, on the workloads W4a and W4b that `docs/BENCHMARKS.md` describes, and a backlog
//! of a million rows.

mod drain;
mod log;
mod rows;
mod side;
mod steady;
pub mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use event_bus::KafkaConfig;
use event_bus::kafka::admin::{Admin, NewTopic};
use event_bus::names::TopicName;

use crate::consume::mark::Mark;
use crate::database;
use side::Side;

/// Partitions of the topic, as every workload has.
const PARTITIONS: i32 = 6;

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// PostgreSQL's maintenance database, `postgres://…`, on a server with wal_level=logical
    #[arg(long)]
    postgres: String,
    /// Where the peers were built
    #[arg(long)]
    peers: PathBuf,
    /// The `event-bus` program
    #[arg(long)]
    program: PathBuf,
    /// The workloads to run
    #[arg(value_enum, default_values_t = [Workload::Backlog, Workload::W4a, Workload::W4b])]
    workloads: Vec<Workload>,
    /// Rows of W4a
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Rows of the backlog
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Times that W4a and W4b run, both sides in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each run of W4b that count
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// A backlog, then the relay starts
    W4a,
    /// A steady stream of transactions of other processes
    W4b,
    /// A larger backlog, of our relay alone
    Backlog,
}

/// Where servers and programs are.
struct Setting {
    bootstrap: String,
    postgres: String,
    peers: PathBuf,
    program: PathBuf,
}

/// A topic and a database of a turn's own.
struct Turn {
    topic: TopicName,
    url: String,
}

impl Setting {
    async fn turn(&self, side: Side) -> Turn {
        let (name, url) = database::create(&self.postgres).await;
        rows::prepare(side, &url).await;
        Turn { topic: self.topic(&name).await, url }
    }

    /// A topic whose records tell when the broker appended them.
    async fn topic(&self, name: &str) -> TopicName {
        let kafka = KafkaConfig::plain(&self.bootstrap);
        let admin = Admin::connect(&kafka).expect("an admin client can be made");
        let topic: TopicName = name.parse().expect("a topic's name");
        let configs = BTreeMap::from([("message.timestamp.type", "LogAppendTime".to_owned())]);
        let new = NewTopic { name: topic.clone(), partitions: PARTITIONS, replication: 1, configs };
        for (_, made) in admin.create_topics(&[new]).await.expect("Kafka answers") {
            made.expect("the topic is made");
        }
        let wanted = [(topic.clone(), PARTITIONS)];
        let soon = std::time::Duration::from_secs(20);
        admin.await_topics(&wanted, soon).await.expect("it gets its leaders");
        topic
    }
}

/// Runs the workloads and prints figures and marks; fails when a mark is missed.
pub async fn run(args: &Args) -> ExitCode {
    let setting = Setting {
        bootstrap: args.bootstrap.clone(),
        postgres: args.postgres.clone(),
        peers: args.peers.clone(),
        program: args.program.clone(),
    };
    let mut marks = Vec::new();
    for workload in &args.workloads {
        match workload {
            Workload::W4a => marks.extend(drain::run(&setting, args.events, args.rounds).await),
            Workload::W4b => marks.extend(steady::run(&setting, args.rounds, args.seconds).await),
            Workload::Backlog => marks.extend(drain::backlog(&setting, args.rows).await),
        }
    }
    marks.iter().for_each(|mark| println!("{mark}"));
    if marks.iter().all(Mark::is_reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
