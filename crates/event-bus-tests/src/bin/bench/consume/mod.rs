//! From Kafka into handlers, on the workloads W2, W3, W6 and W7 that `docs/BENCHMARKS.md` describes.

mod effects;
mod event;
mod keyed;
mod latency;
mod mark;
mod poison;
mod running;
mod tally;

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use event_bus::KafkaConfig;

use crate::broker::memory::{Watch, mebibytes};
use mark::Mark;

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// PostgreSQL's maintenance database, `postgres://…`
    #[arg(long)]
    postgres: String,
    /// The workloads to run
    #[arg(value_enum, default_values_t = [Workload::W2, Workload::W3, Workload::W6, Workload::W7])]
    workloads: Vec<Workload>,
    /// Events of W2; W3 has half as many
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Times that W2 and W3 run, and interleaved runs of W6
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each run of W6 that count
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Exactly one effect in PostgreSQL
    W2,
    /// Waiting handlers, in order per key
    W3,
    /// Latency from publish to handler
    W6,
    /// Poison events
    W7,
}

/// Where the servers are.
struct Servers {
    bootstrap: String,
    postgres: String,
}

impl Servers {
    fn kafka(&self) -> KafkaConfig {
        KafkaConfig::plain(&self.bootstrap)
    }

    /// The URL of a database that does not exist yet.
    fn new_database(&self) -> String {
        let (server, _) = self.postgres.rsplit_once('/').expect("a URL has a path");
        format!("{server}/bench_{:08x}", rand::random::<u32>())
    }
}

/// Runs the workloads and prints figures and marks; fails when a mark is missed.
pub async fn run(args: &Args) -> ExitCode {
    let servers = Servers { bootstrap: args.bootstrap.clone(), postgres: args.postgres.clone() };
    let memory = Watch::start(std::process::id());
    let mut marks = Vec::new();
    for workload in &args.workloads {
        marks.extend(match workload {
            Workload::W2 => effects::run(&servers, args.events, args.rounds).await,
            Workload::W3 => keyed::run(&servers, args.events / 2, args.rounds).await,
            Workload::W6 => latency::run(&servers, args.rounds, args.seconds).await,
            Workload::W7 => poison::run(&servers).await,
        });
    }
    println!(
        "peak memory, events made for the workloads included: {} MiB",
        mebibytes(memory.peak_bytes())
    );
    marks.iter().for_each(|mark| println!("{mark}"));
    if marks.iter().all(Mark::is_reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
fn rate(events: usize, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
