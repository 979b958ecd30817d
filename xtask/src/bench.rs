//! Benchmarks on a real Kafka.

use std::process::ExitCode;

use anyhow::Result;

use crate::child;
use crate::kafka::{Kafka, Options};
use crate::test::cargo;

/// Compare the library's speed with bare client calls on the same broker, in the same run.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The publisher, as events per second
    Publish {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

/// `cargo xtask bench`
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Publish { rest } => publish(rest)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when the publisher is slower than it has to be.
pub fn publish(rest: &[String]) -> Result<()> {
    const BENCH: [&str; 5] = ["--release", "-p", "event-bus-tests", "--bin", "bench"];
    // Compiled before the broker starts, so that the two don't share the cores.
    child::run(cargo().arg("build").args(BENCH))?;
    let kafka = Kafka::start(&Options::default())?;
    let mut bench = cargo();
    bench.arg("run").args(BENCH).args(["--", "publish", "--bootstrap", &kafka.bootstrap()]);
    child::run(bench.args(rest))
}
