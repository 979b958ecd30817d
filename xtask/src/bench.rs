//! Benchmarks on a real Kafka.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::embedded::Embedded;
use crate::kafka::{Kafka, Options, SCRIPT_MACHINE};
use crate::postgres::Postgres;
use crate::test::cargo;
use crate::{child, dirs, peers};

/// Compare the library's speed with other libraries', bare client calls and PostgreSQL alone, and the embedded broker's
/// with Kafka's, in the same run.
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
    /// From Kafka into handlers: effects in PostgreSQL, waiting handlers, latency, poison events
    Consume {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// From an outbox in PostgreSQL to Kafka: a backlog, and the wait from commit to append
    Outbox {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// An ops process with a million dead letters: the index, its pages, a replay beside the publisher
    Dlq {
        /// Keep the ops store in PostgreSQL in place of SQLite
        #[arg(long)]
        postgres: bool,
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The panel of an ops process with a million dead letters and ten thousand partitions: each page's time, and memory
    Panel {
        /// Keep the ops store in PostgreSQL in place of SQLite
        #[arg(long)]
        postgres: bool,
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The lag of 300 groups, collected by an ops process and by klag-exporter
    Lag {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The embedded broker beside Apache Kafka: rates, latency, memory and start
    Broker {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

/// The program of the benchmarks, without a debugger's checks.
const BENCH: [&str; 5] = ["--release", "-p", "event-bus-tests", "--bin", "bench"];

/// The `event-bus` program, built with them.
const PROGRAM: [&str; 4] = ["-p", "event-bus-cli", "--bin", "event-bus"];

/// What acknowledgements mean in a comparison, so that like is compared with like.
struct Policy {
    name: &'static str,
    /// The embedded broker's `--durability`.
    durability: &'static str,
    /// Kafka's setting for it.
    setting: Option<&'static str>,
}

const POLICIES: [Policy; 2] = [
    Policy {
        name: "acknowledged is fsynced",
        durability: "fsync",
        setting: Some("log.flush.interval.messages=1"),
    },
    Policy { name: "acknowledged is written", durability: "lazy", setting: None },
];

/// Kafka's own defaults, where its configuration for tests has less.
const KAFKA_DEFAULTS: [&str; 2] = ["num.network.threads=3", "num.io.threads=8"];

/// Starts of the embedded broker whose median is told.
const STARTS: usize = 5;

/// `cargo xtask bench`
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Publish { rest } => publish(rest)?,
        What::Consume { rest } => consume(rest)?,
        What::Outbox { rest } => outbox(rest)?,
        What::Dlq { postgres, rest } => dlq(*postgres, rest)?,
        What::Panel { postgres, rest } => panel(*postgres, rest)?,
        What::Lag { rest } => lag(rest)?,
        What::Broker { rest } => broker(rest)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when the publisher is slower than it has to be.
pub fn publish(rest: &[String]) -> Result<()> {
    // Compiled before the broker starts, so that the two don't share the cores.
    child::run(cargo().arg("build").args(BENCH))?;
    let kafka = Kafka::start(&Options::default())?;
    let mut bench = cargo();
    bench.arg("run").args(BENCH).args(["--", "publish", "--bootstrap", &kafka.bootstrap()]);
    child::run(bench.args(rest))
}

/// Fails when consuming is slower than it has to be.
pub fn consume(rest: &[String]) -> Result<()> {
    child::run(cargo().arg("build").args(BENCH))?;
    let peers = peers::build(peers::CONSUMERS)?;
    let settings = KAFKA_DEFAULTS.iter().map(ToString::to_string).collect();
    let options = Options { settings, machine: Some(SCRIPT_MACHINE), ..Options::default() };
    let kafka = Kafka::start(&options)?;
    let postgres = Postgres::start(None, &[])?;
    let mut bench = child::tied(dirs::target()?.join("release/bench"), "TERM");
    bench.args(["consume", "--bootstrap", &kafka.bootstrap(), "--postgres", &postgres.url()]);
    bench.arg("--peers").arg(peers);
    child::run(bench.args(rest))
}

/// Fails when the relay is slower or larger than it may be beside its peer.
pub fn outbox(rest: &[String]) -> Result<()> {
    child::run(cargo().arg("build").args(BENCH).args(PROGRAM))?;
    let peers = peers::build(peers::RELAYS)?;
    let settings = KAFKA_DEFAULTS.iter().map(ToString::to_string).collect();
    let options = Options { settings, machine: Some(SCRIPT_MACHINE), ..Options::default() };
    let kafka = Kafka::start(&options)?;
    // The peer reads the server's log.
    let postgres = Postgres::start(None, &["wal_level=logical"])?;
    let release = dirs::target()?.join("release");
    let mut bench = child::tied(release.join("bench"), "TERM");
    bench.args(["outbox", "--bootstrap", &kafka.bootstrap(), "--postgres", &postgres.url()]);
    bench.arg("--peers").arg(peers).arg("--program").arg(release.join("event-bus"));
    child::run(bench.args(rest))
}

/// Fails when a page takes too long, or a replay is slower than it has to be.
pub fn dlq(in_postgres: bool, rest: &[String]) -> Result<()> {
    ops("dlq", in_postgres, rest)
}

/// Fails when a page takes too long, or the process too much memory.
pub fn panel(in_postgres: bool, rest: &[String]) -> Result<()> {
    ops("panel", in_postgres, rest)
}

/// A benchmark of an ops process.
fn ops(what: &str, in_postgres: bool, rest: &[String]) -> Result<()> {
    child::run(cargo().arg("build").args(BENCH).args(PROGRAM))?;
    let settings = KAFKA_DEFAULTS.iter().map(ToString::to_string).collect();
    let options = Options { settings, machine: Some(SCRIPT_MACHINE), ..Options::default() };
    let kafka = Kafka::start(&options)?;
    let postgres = in_postgres.then(|| Postgres::start(None, &[])).transpose()?;
    let release = dirs::target()?.join("release");
    let mut bench = child::tied(release.join("bench"), "TERM");
    bench.args([what, "--bootstrap", &kafka.bootstrap()]);
    bench.arg("--program").arg(release.join("event-bus"));
    if let Some(postgres) = &postgres {
        bench.args(["--postgres", &postgres.url()]);
    }
    child::run(bench.args(rest))
}

/// Fails when a collection takes more than half of what the peer's takes.
pub fn lag(rest: &[String]) -> Result<()> {
    child::run(cargo().arg("build").args(BENCH).args(PROGRAM))?;
    let peer = peers::klag_exporter()?;
    let settings = KAFKA_DEFAULTS.iter().map(ToString::to_string).collect();
    let options = Options { settings, machine: Some(SCRIPT_MACHINE), ..Options::default() };
    let kafka = Kafka::start(&options)?;
    let release = dirs::target()?.join("release");
    let mut bench = child::tied(release.join("bench"), "TERM");
    bench.args(["lag", "--bootstrap", &kafka.bootstrap()]);
    bench.arg("--program").arg(release.join("event-bus")).arg("--peer").arg(peer);
    child::run(bench.args(rest))
}

/// Fails when the embedded broker is slower or larger than it may be beside Kafka.
pub fn broker(rest: &[String]) -> Result<()> {
    child::run(cargo().arg("build").args(BENCH).args(PROGRAM))?;
    let mut behind = Vec::new();
    for policy in &POLICIES {
        if let Err(error) = compare(policy, rest) {
            behind.push(format!("{}: {error:#}", policy.name));
        }
    }
    if behind.is_empty() { Ok(()) } else { bail!(behind.join("; ")) }
}

/// Both brokers run all the time, and one of them works.
fn compare(policy: &Policy, rest: &[String]) -> Result<()> {
    println!("\n--- {}", policy.name);
    let release = dirs::target()?.join("release");
    let program = release.join("event-bus");
    let settings = KAFKA_DEFAULTS.iter().chain(&policy.setting).map(ToString::to_string).collect();
    let options = Options { settings, machine: Some(SCRIPT_MACHINE), ..Options::default() };
    let mut kafka = Kafka::start(&options)?;
    let mut embedded = Embedded::start(&program, policy.durability)?;
    println!(
        "ready after process start: embedded {:.0?} (median of {STARTS}, no data), Kafka {:.1?}",
        median_start(&mut embedded, &program)?,
        kafka.ready_after()
    );
    let mut bench = child::tied(release.join("bench"), "TERM");
    bench.args(["broker", "--embedded", embedded.bootstrap(), "--kafka", &kafka.bootstrap()]);
    bench.args(["--embedded-pid", &embedded.pid()?.to_string()]);
    bench.args(["--kafka-pid", &kafka.server().pid().to_string()]);
    child::run(bench.args(rest))
}

fn median_start(embedded: &mut Embedded, program: &Path) -> Result<Duration> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        embedded.restart(program)?;
        starts.push(embedded.ready_after());
    }
    starts.sort_unstable();
    Ok(starts[STARTS / 2])
}
