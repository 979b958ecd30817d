//! Torture: the whole bus as processes, everything that can go wrong with them, and the promises afterwards. Start it by
//! `cargo xtask torture`.

mod bank;
mod bites;
mod checks;
mod clock;
mod history;
mod journal;
mod nemesis;
mod node;
mod nodes;
mod plan;
mod proxy;
mod reading;
mod run;
mod servers;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tortures worlds and checks every promise
    Run(run::Args),
    /// A process of a world, as `run` starts it
    #[command(hide = true)]
    Node(node::Args),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Cli::parse().what {
        What::Run(args) => run::run(args).await,
        What::Node(args) => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
            node::run(args).await
        }
    }
}
