//! `event-bus service`: Blindstrader's services, one in this process or each in a process of its own.

mod all;
mod one;
mod operations;

use std::net::SocketAddr;

use anyhow::Context;
use clap::Subcommand;
use event_bus::names::InstanceId;
use event_bus_ops::STALLED_AFTER;

use crate::address::address;
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::otlp::Otlp;

/// What stands for the service's name in a store URL.
const PLACEHOLDER: &str = "{service}";

#[derive(Subcommand)]
pub enum Command {
    /// Run a service, or all of them each in a process of its own, until SIGTERM or Ctrl-C
    Run(Run),
}

#[derive(clap::Args)]
pub struct Run {
    /// The service's name
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every service in a process of its own; one that dies is started again
    #[arg(long)]
    all: bool,
    /// The database, sqlite://… or postgres://…; {service} in it is replaced by the service's name
    #[arg(long, value_name = "URL")]
    store: String,
    /// Where /readyz, /livez and /metrics answer. With --all this is the first service's address, and each further one
    /// takes the next port
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    http: Option<SocketAddr>,
    /// The replica's id, its own and the same after a restart, such as a StatefulSet's pod name: a restart within the
    /// session time-out (--kafka session.timeout.ms=MS) moves no partition
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,
    /// Not ready once so many seconds passed in which events waited and none was settled: longer than all retries take
    #[arg(long, value_name = "SECONDS", default_value_t = STALLED_AFTER.as_secs())]
    stalled_after: u64,
    /// Make traffic too: register organisations, and place so many orders per second
    #[arg(long, value_name = "RATE", value_parser = rate)]
    traffic: Option<f64>,
    #[command(flatten)]
    otlp: Otlp,
    /// Also stop when stdin ends, which is how the parent process stops this one, even by dying
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let Self::Run(run) = self;
        match &run.name {
            Some(name) => one::run(global, name, &run).await,
            None if !run.store.contains(PLACEHOLDER) => usage(format!(
                "--store must contain {PLACEHOLDER}: each service has a database of its own"
            )),
            None => all::run(global, &run).await,
        }
    }
}

impl Run {
    /// Where the service of this place in the list answers.
    fn http_of(&self, place: usize) -> anyhow::Result<Option<SocketAddr>> {
        let Some(mut http) = self.http else { return Ok(None) };
        // Port 0 takes a free one, each time.
        if http.port() != 0 {
            let port = u16::try_from(place).ok().and_then(|place| http.port().checked_add(place));
            http.set_port(port.context("--http leaves no ports for all services")?);
        }
        Ok(Some(http))
    }

    fn store_of(&self, service: &str) -> String {
        self.store.replace(PLACEHOLDER, service)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.parse().map_err(|_| "want orders per second, such as 5 or 0.5".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("want a number above 0".to_owned()) }
}
