//! The embedded broker beside Apache Kafka, each in a process of its own: the same client does the same work on one and
//! then on the other, round after round. Each round gives one ratio of each measure.

mod load;
pub mod memory;
mod side;
mod summary;

use std::process::ExitCode;
use std::time::Duration;

use load::Values;
use side::{Side, Topic};
use summary::{Measured, Summary};

/// Once is over before a processor is shared fairly.
const WARM_READS: u32 = 5;

#[derive(clap::Args)]
pub struct Args {
    /// The embedded broker's `host:port`
    #[arg(long)]
    embedded: String,
    /// The embedded broker's process
    #[arg(long)]
    embedded_pid: u32,
    /// Kafka's `host:port`
    #[arg(long)]
    kafka: String,
    /// Kafka's process
    #[arg(long)]
    kafka_pid: u32,
    /// Records that each side takes in a round
    #[arg(long, default_value_t = 300_000)]
    records: usize,
    /// Rounds that count
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Rounds before them, in which a virtual machine compiles its code
    #[arg(long, default_value_t = 3)]
    warm_ups: usize,
    /// How long latency is measured in each round, in seconds
    #[arg(long, default_value_t = 10)]
    latency_seconds: u64,
}

/// Runs the rounds and prints what was measured; fails when the embedded broker is behind.
pub async fn run(args: &Args) -> ExitCode {
    let embedded = Side::new("embedded", &args.embedded, args.embedded_pid);
    let kafka = Side::new("Kafka", &args.kafka, args.kafka_pid);
    println!(
        "{} records of {} bytes a round and side, acks=all; resident memory when idle: embedded {} MiB, Kafka {} MiB",
        args.records,
        load::RECORD_BYTES,
        memory::mebibytes(embedded.resident_bytes()),
        memory::mebibytes(kafka.resident_bytes()),
    );
    let values = Values::random();
    let mut summary = Summary::default();
    for round in 0..args.warm_ups + args.rounds {
        let is_warm_up = round < args.warm_ups;
        // Who comes second finds what the first has left: a warm disk, a busy writeback.
        let embedded_first = round % 2 == 0;
        let (first, second) =
            if embedded_first { (&embedded, &kafka) } else { (&kafka, &embedded) };
        let first = measure(first, &values, args).await;
        let second = measure(second, &values, args).await;
        let (ours, theirs) = if embedded_first { (first, second) } else { (second, first) };
        let name = if is_warm_up { "warm-up" } else { "round" };
        println!("{name} {round}: embedded {ours}");
        println!("{name} {round}: Kafka    {theirs}");
        if !is_warm_up {
            summary.add(ours, theirs);
        }
    }
    if summary.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One side's round, on a topic of its own.
async fn measure(side: &Side, values: &Values, args: &Args) -> Measured {
    let topic = Topic::create(side).await;
    let watched = memory::Watch::start(side.pid);
    let produced = load::produce(&topic, values, args.records);
    let consumed = load::consume(&topic, args.records, WARM_READS);
    let cold = side::forget_files().then(|| load::consume(&topic, args.records, 1));
    let mut latencies =
        load::latencies(&topic, values, Duration::from_secs(args.latency_seconds)).await;
    latencies.sort_unstable();
    let peak_bytes = watched.peak_bytes();
    topic.delete().await;
    Measured {
        produced: summary::per_second(args.records, produced),
        consumed: summary::per_second(args.records, consumed),
        cold: cold.map(|took| summary::per_second(args.records, took)),
        p50: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
        peak_bytes,
        after_bytes: side.resident_bytes(),
    }
}
