//! Benchmarks of the library beside its peers, on the same servers and in the same run. Start them by
//! `cargo xtask bench`.

mod broker;
mod consume;
mod contract;
mod database;
mod dlq;
mod lag;
mod outbox;
mod panel;
mod publish;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The allocator of the `event-bus` program. Both sides of a comparison have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The publisher beside bare client calls that send the same bytes
    Publish(publish::Args),
    /// The embedded broker beside Apache Kafka
    Broker(broker::Args),
    /// From Kafka into handlers, beside the peers
    Consume(consume::Args),
    /// From an outbox to Kafka, beside a peer
    Outbox(outbox::Args),
    /// An ops process with many dead letters
    Dlq(dlq::Args),
    /// The panel of an ops process with many dead letters and partitions
    Panel(panel::Args),
    /// The lag of many groups, beside a peer
    Lag(lag::Args),
    /// A writer of an outbox, as `outbox` starts it
    #[command(hide = true)]
    Write(outbox::write::Args),
    /// Our side of a consuming workload, as `consume` starts it
    #[command(hide = true)]
    Handle(consume::handle::Args),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Cli::parse().what {
        What::Publish(args) => publish::run(&args).await,
        What::Broker(args) => broker::run(&args).await,
        What::Consume(args) => consume::run(&args).await,
        What::Outbox(args) => outbox::run(&args).await,
        What::Dlq(args) => dlq::run(&args).await,
        What::Panel(args) => panel::run(&args).await,
        What::Lag(args) => lag::run(&args).await,
        What::Write(args) => {
            outbox::write::run(&args).await;
            ExitCode::SUCCESS
        }
        What::Handle(args) => consume::handle::run(&args).await,
    }
}
