//! From Kafka into handlers, on the workloads W2, W3, W6 and W7 that `docs/BENCHMARKS.md` describes.

mod effects;
pub mod event;
pub mod handle;
mod keyed;
mod latency;
pub mod mark;
mod poison;
mod running;
mod side;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use event_bus::kafka::admin::Admin;
use event_bus::names::GroupName;
use event_bus::{Catalogue, KafkaConfig};

use crate::database;
use crate::publish::turn::Quartiles;
use mark::Mark;
use side::{Running, Side, Work};

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// PostgreSQL's maintenance database, `postgres://…`
    #[arg(long)]
    postgres: String,
    /// Where the peers were built
    #[arg(long)]
    peers: PathBuf,
    /// The workloads to run
    #[arg(value_enum, default_values_t = [Workload::W2, Workload::W3, Workload::W6, Workload::W7])]
    workloads: Vec<Workload>,
    /// Events of W2; W3 has half as many
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Times that each workload runs, all its sides in turns
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

/// Where servers and peers are.
struct Setting {
    bootstrap: String,
    postgres: String,
    peers: PathBuf,
}

/// What a side did.
#[derive(Clone, Copy, Default)]
struct Ran {
    seconds: f64,
    /// Of its process's memory.
    peak_bytes: u64,
}

impl Ran {
    #[expect(clippy::cast_precision_loss, reason = "a process has less memory than 2^53 bytes")]
    fn mebibytes(&self) -> f64 {
        self.peak_bytes as f64 / f64::from(1 << 20)
    }
}

impl Setting {
    fn kafka(&self) -> KafkaConfig {
        KafkaConfig::plain(&self.bootstrap)
    }

    /// The contract with topics of its own.
    async fn catalogue(&self) -> Arc<Catalogue> {
        event::contract().create(&self.kafka(), "").await
    }

    /// The URL of a new database.
    async fn new_database(&self) -> String {
        database::create(&self.postgres).await.1
    }

    fn start(
        &self,
        side: Side,
        catalogue: &Catalogue,
        events: usize,
        more: &[(&'static str, &str)],
    ) -> Running {
        side.start(&self.peers, &Work { bootstrap: &self.bootstrap, catalogue, events, more })
    }

    /// The sum of the offsets that a side's group has committed.
    async fn committed(&self, side: Side, catalogue: &Catalogue) -> i64 {
        let group: GroupName = side.group(catalogue).parse().expect("a valid name");
        let admin = Admin::connect(&self.kafka()).expect("an admin client can be made");
        let offsets = admin.committed_offsets(&group).await.expect("Kafka answers");
        offsets.into_values().filter_map(|offset| offset.expect("Kafka answers")).sum()
    }
}

/// What each side did in its turn.
async fn turns<const SIDES: usize>(
    sides: [Side; SIDES],
    turn: impl AsyncFn(Side) -> Ran,
) -> [Ran; SIDES] {
    let mut round = [Ran::default(); SIDES];
    for (side, ran) in sides.into_iter().zip(&mut round) {
        *ran = turn(side).await;
    }
    round
}

/// The median of each side's figures over the rounds.
fn medians<const SIDES: usize>(
    rounds: &[[Ran; SIDES]],
    figure: impl Fn(&Ran) -> f64,
) -> [f64; SIDES] {
    std::array::from_fn(|side| {
        Quartiles::of(rounds.iter().map(|sides| figure(&sides[side]))).median()
    })
}

/// Runs the workloads and prints figures and marks; fails when a mark is missed.
pub async fn run(args: &Args) -> ExitCode {
    let setting = Setting {
        bootstrap: args.bootstrap.clone(),
        postgres: args.postgres.clone(),
        peers: args.peers.clone(),
    };
    let mut marks = Vec::new();
    for workload in &args.workloads {
        marks.extend(match workload {
            Workload::W2 => effects::run(&setting, args.events, args.rounds).await,
            Workload::W3 => keyed::run(&setting, args.events / 2, args.rounds).await,
            Workload::W6 => latency::run(&setting, args.rounds, args.seconds).await,
            Workload::W7 => poison::run(&setting, args.rounds).await,
        });
    }
    marks.iter().for_each(|mark| println!("{mark}"));
    if marks.iter().all(Mark::is_reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
fn rate(events: usize, seconds: f64) -> f64 {
    events as f64 / seconds
}
