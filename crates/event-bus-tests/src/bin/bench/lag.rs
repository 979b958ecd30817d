//! The lag of many groups, collected by an ops process and by another exporter in turn.

mod cluster;
mod side;

use std::process::ExitCode;
use std::time::Duration;

use event_bus::KafkaConfig;

use crate::broker::memory::mebibytes;
use cluster::Cluster;
use side::{Measured, Setting, Side};

/// What one of our collections may take of a peer's: processor, time and memory.
const WANTED: f64 = 0.5;
/// Ten times the groups may take so many times as much.
const GROWTH_WANTED: f64 = 10.0;
const TIMES: usize = 10;
/// From one collection to the next, on either side.
const EVERY: Duration = Duration::from_secs(2);
/// With ten times the groups.
const EVERY_GROWN: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// The `event-bus` program
    #[arg(long)]
    program: String,
    /// The peer's program, klag-exporter
    #[arg(long)]
    peer: String,
    /// How many groups commit, in each partition of ten topics with six partitions
    #[arg(long, default_value_t = 300)]
    groups: usize,
    /// How often each side has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Collections of a turn
    #[arg(long, default_value_t = 15)]
    collections: usize,
}

/// Runs it, and says whether it is well.
pub async fn run(args: &Args) -> ExitCode {
    let kafka = KafkaConfig::plain(&*args.bootstrap);
    let cluster = Cluster::of(&kafka, args.groups).await;
    println!("{} groups, {} lags", args.groups, cluster.lags());
    let setting = |every| Setting {
        bootstrap: args.bootstrap.clone(),
        program: args.program.clone(),
        peer: args.peer.clone(),
        every,
    };
    let (usual, mut ours, mut theirs) = (setting(EVERY), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        for (side, taken) in [(Side::Ours, &mut ours), (Side::Klag, &mut theirs)] {
            let measured = usual.measure(side, &cluster, args.collections).await;
            println!("{round}  {:<15} {measured}", side.name());
            taken.push(measured);
        }
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let mut is_well = true;
    for (what, ours, theirs) in [
        ("processor a collection", ours.cpu.as_secs_f64(), theirs.cpu.as_secs_f64()),
        ("time a collection", ours.took.as_secs_f64(), theirs.took.as_secs_f64()),
        ("memory", mebibytes(ours.peak_bytes) as f64, mebibytes(theirs.peak_bytes) as f64),
    ] {
        let ratio = ours / theirs;
        is_well &= ratio <= WANTED;
        println!("{what}: {ratio:.2} of the peer's, wanted at most {WANTED}");
    }

    let grown = Cluster::of(&kafka, args.groups * TIMES).await;
    let many = setting(EVERY_GROWN).measure(Side::Ours, &grown, 3).await;
    println!("{TIMES} times the groups: {many}");
    let growth = many.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
    is_well &= growth <= GROWTH_WANTED;
    println!("processor: {growth:.1} times, wanted at most {GROWTH_WANTED}");
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median of each figure by itself.
fn median(measured: &[Measured]) -> Measured {
    fn middle<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
    Measured {
        cpu: middle(measured.iter().map(|measured| measured.cpu)),
        took: middle(measured.iter().map(|measured| measured.took)),
        scraped: middle(measured.iter().map(|measured| measured.scraped)),
        peak_bytes: middle(measured.iter().map(|measured| measured.peak_bytes)),
    }
}
