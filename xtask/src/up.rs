//! The whole system on this machine, for a look at it.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use rustix::process::Signal;

use crate::child::{self, Server};
use crate::kafka::{Kafka, Options};
use crate::{apt, dirs, test};

/// Start a broker, every service with some traffic, and a view of the events, until Ctrl-C. The
/// data stays in target/xtask/up, and the next start goes on with it.
#[derive(clap::Args)]
pub struct Args {
    /// Orders placed per second; 0 leaves the bus to you
    #[arg(long, default_value_t = 5)]
    traffic: u32,
    /// Where the broker listens [default: a free port, the same again at the next start]
    #[arg(long)]
    port: Option<u16>,
}

/// `cargo xtask up`
pub fn run(args: &Args) -> Result<ExitCode> {
    apt::ensure(&apt::BUILD)?;
    child::run(test::cargo().args(["build", "--release", "-p", "event-bus-cli"]))?;
    let binary = dirs::target()?.join("release").join("event-bus");
    let dir = dirs::cache("up")?;

    let options = Options { data: Some(dir.join("kafka")), port: args.port, ..Options::default() };
    let mut kafka = Kafka::start(&options)?;
    let bootstrap = kafka.bootstrap();
    println!("Kafka answers on {bootstrap}");

    let event_bus = || event_bus(&binary, &bootstrap);
    child::run(event_bus().args(["topics", "apply", "--replication", "1"]))?;
    let store = format!("sqlite://{}/{{service}}.db", dir.display());
    let mut services = event_bus();
    services.args(["service", "run", "--all", "--store", &store]);
    if args.traffic > 0 {
        services.args(["--traffic", &args.traffic.to_string()]);
    }
    let mut services = Server::spawn("the services", &mut services, Signal::TERM)?;
    let mut tail = Server::spawn("tail", event_bus().arg("tail"), Signal::TERM)?;
    println!("Ctrl-C stops everything; the data stays in {}", dir.display());

    // They drop in the reverse order of their start: the services' goodbyes find their broker.
    child::wait_for_interrupt(&mut [kafka.server(), &mut services, &mut tail])?;
    Ok(ExitCode::SUCCESS)
}

fn event_bus(binary: &Path, bootstrap: &str) -> Command {
    let mut command = child::tied(binary, "TERM");
    command.current_dir(dirs::root()).env("EVENT_BUS_BOOTSTRAP", bootstrap).stdin(Stdio::null());
    command
}
