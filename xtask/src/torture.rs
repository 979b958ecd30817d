//! The whole bus as processes, and everything that can go wrong with them.

use std::process::{Command, ExitCode};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Result, bail};

use crate::steps::Steps;
use crate::test::{ALL, cargo};
use crate::{child, dirs, kafka, postgres};

/// Run writers, relays, consumers, a broker and a database as processes that are killed, frozen and cut off, and check
/// every promise afterwards.
#[derive(clap::Args)]
pub struct Args {
    /// Decides what goes wrong and when; the first of them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many worlds beside each other
    #[arg(long, default_value_t = 1)]
    at_once: u32,
    /// For how many minutes faults come
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// For how many seconds faults come [default: 60]
    #[arg(long)]
    seconds: Option<u64>,
    /// Which broker
    #[arg(long, value_parser = ["embedded", "kafka"])]
    broker: String,
    /// Which database
    #[arg(long, value_parser = ["postgres", "sqlite"])]
    store: String,
    /// A mistake that the library is to make, see docs/RELIABILITY.md
    #[arg(long, value_name = "NAME")]
    flaw: Option<String>,
    /// Passed on to the program
    #[arg(last = true)]
    rest: Vec<String>,
}

/// What is run, several worlds beside each other.
struct Run {
    broker: &'static str,
    store: &'static str,
    seeds: u64,
    at_once: u32,
    seconds: u64,
    /// Transactions of each writer in a second. While a broker is away they pile up, and Kafka takes long to start.
    rate: u32,
}

/// What fits into CI.
const SHORT: [Run; 2] = [
    Run { broker: "embedded", store: "sqlite", seeds: 4, at_once: 4, seconds: 15, rate: 40 },
    Run { broker: "kafka", store: "postgres", seeds: 2, at_once: 2, seconds: 15, rate: 20 },
];

/// The full length. A world of Kafka has a virtual machine, which starts again and again.
const FULL: [Run; 2] = [
    Run { broker: "embedded", store: "sqlite", seeds: 20, at_once: 5, seconds: 60, rate: 40 },
    Run { broker: "kafka", store: "postgres", seeds: 20, at_once: 4, seconds: 60, rate: 20 },
];

/// `cargo xtask torture`
pub fn run(args: &Args) -> Result<ExitCode> {
    child::run(cargo().arg("build").args(ALL).arg("--bins"))?;
    let mut torture = command(&args.broker, &args.store)?;
    torture.arg(format!("--seed={}", args.seed)).arg(format!("--seeds={}", args.seeds));
    torture.arg(format!("--at-once={}", args.at_once));
    let seconds = args.minutes.map(|minutes| minutes * 60).or(args.seconds).unwrap_or(60);
    torture.arg(format!("--seconds={seconds}"));
    torture.args(args.flaw.as_ref().map(|flaw| format!("--flaw={flaw}"))).args(&args.rest);
    child::run(&mut torture)?;
    Ok(ExitCode::SUCCESS)
}

/// Some seeds in little time: all worlds run beside each other.
pub fn run_short(steps: &mut Steps) {
    steps.run("torture", || {
        let ended = thread::scope(|scope| {
            SHORT
                .each_ref()
                .map(|short| scope.spawn(|| short.torture()))
                .map(ScopedJoinHandle::join)
        });
        for run in ended {
            match run {
                Ok(result) => result?,
                Err(_) => bail!("a part of the torture panicked"),
            }
        }
        Ok(())
    });
}

/// All seeds at full length.
pub fn run_full(steps: &mut Steps) {
    let [embedded, kafka] = &FULL;
    steps.run("torture on the embedded broker and SQLite", || embedded.torture());
    steps.run("torture on Kafka and PostgreSQL", || kafka.torture());
}

impl Run {
    fn torture(&self) -> Result<()> {
        let mut torture = command(self.broker, self.store)?;
        torture.arg(format!("--seeds={}", self.seeds)).arg(format!("--at-once={}", self.at_once));
        torture.arg(format!("--rate={}", self.rate));
        child::run(torture.arg(format!("--seconds={}", self.seconds)))
    }
}

/// The program, with what it needs. Several worlds start servers at once, so what those need is brought before.
fn command(broker: &str, store: &str) -> Result<Command> {
    if broker == "kafka" {
        kafka::bring()?;
    }
    if store == "postgres" {
        postgres::bring()?;
    }
    let debug = dirs::target()?.join("debug");
    let mut torture = child::tied(debug.join("torture"), "TERM");
    torture.arg("run").arg("--event-bus").arg(debug.join("event-bus"));
    torture.arg("--xtask").arg(debug.join("xtask")).arg("--logs").arg(dirs::cache("torture")?);
    torture.arg(format!("--broker={broker}")).arg(format!("--store={store}"));
    Ok(torture)
}
