//! The embedded broker as a process of the `event-bus` program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{self, Server};
use crate::log::Log;

/// A running broker on a directory of its own, which ends on drop.
pub struct Embedded {
    // Dropped in this order: the server ends before its directory goes.
    server: Option<Server>,
    folder: TempDir,
    durability: &'static str,
    bootstrap: String,
    ready_after: Duration,
}

impl Embedded {
    /// Starts the program's broker on an empty directory; `durability` is the option's value.
    pub fn start(program: &Path, durability: &'static str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("event-bus-broker-").tempdir()?;
        let (bootstrap, ready_after) = (String::new(), Duration::ZERO);
        let mut broker = Self { server: None, folder, durability, bootstrap, ready_after };
        broker.restart(program)?;
        Ok(broker)
    }

    /// Ends the process and starts another one on the same data.
    pub fn restart(&mut self, program: &Path) -> Result<()> {
        self.server = None;
        let log = Log::create(&format!("embedded-{}", self.durability))?;
        let mut command = child::tied(program, "TERM");
        command.arg("broker").arg("--data").arg(self.folder.path().join("data"));
        command.args(["--listen", "127.0.0.1:0", "--durability", self.durability]);
        log.take_output(&mut command)?;
        command.stdout(Stdio::piped());
        let started = Instant::now();
        let mut server = Server::spawn("the embedded broker", &mut command, Signal::TERM)?;
        let stdout = server.take_stdout().context("its output is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        self.ready_after = started.elapsed();
        let Some(bootstrap) = line.trim_end().strip_prefix("Kafka protocol on ") else {
            let error = anyhow::anyhow!("the embedded broker began with {line:?}");
            bail!(log.explain(error));
        };
        bootstrap.clone_into(&mut self.bootstrap);
        self.server = Some(server);
        Ok(())
    }

    /// Where clients connect: `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// How long its process took until it served.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The process's number.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.server.as_ref().context("the broker runs")?.pid())
    }
}
