//! The servers of a world: processes of their own, which may be killed and started again where they were.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use event_bus_tests::databases::Databases;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::clock;

/// How long a server may take until it serves, on a machine that does other work.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long one may take to end after it was asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How often a start is tried: the processes of a killed server may not be gone yet.
const STARTS: u32 = 20;
const BETWEEN_STARTS: Duration = Duration::from_millis(500);

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BrokerKind {
    /// The `event-bus broker` program
    Embedded,
    /// Apache Kafka
    Kafka,
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// A server of its own
    Postgres,
    /// Files
    Sqlite,
}

/// The programs that servers are started by.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `event-bus`
    pub event_bus: PathBuf,
    /// `xtask`, which brings Kafka and PostgreSQL
    pub xtask: PathBuf,
}

/// A server and how it is started.
pub struct Server {
    words: Vec<String>,
    /// What the line of its output that tells its address begins with.
    greeting: &'static str,
    log: PathBuf,
    running: Option<Running>,
    /// What that line told.
    pub address: String,
}

struct Running {
    child: Child,
    // Open for as long as the server runs, which writes to it.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn start_with(
        words: Vec<String>,
        greeting: &'static str,
        log: PathBuf,
    ) -> io::Result<Self> {
        let mut server = Self { words, greeting, log, running: None, address: String::new() };
        server.start().await?;
        Ok(server)
    }

    /// A broker on `folder` that tells its clients to connect to `advertised`.
    pub async fn broker(
        kind: BrokerKind,
        programs: &Programs,
        folder: &Path,
        port: u16,
        advertised: &str,
    ) -> io::Result<Self> {
        let data = folder.join("broker").display().to_string();
        let words = match kind {
            BrokerKind::Embedded => vec![
                programs.event_bus.display().to_string(),
                "broker".to_owned(),
                "--data".to_owned(),
                data,
                "--listen".to_owned(),
                format!("127.0.0.1:{port}"),
                "--advertise".to_owned(),
                advertised.to_owned(),
            ],
            BrokerKind::Kafka => vec![
                programs.xtask.display().to_string(),
                "kafka".to_owned(),
                "--data".to_owned(),
                data,
                "--port".to_owned(),
                port.to_string(),
                "--set".to_owned(),
                format!("advertised.listeners=PLAINTEXT://{advertised}"),
            ],
        };
        let greeting = match kind {
            BrokerKind::Embedded => "Kafka protocol on ",
            BrokerKind::Kafka => "Kafka answers on ",
        };
        Self::start_with(words, greeting, folder.join("broker.log")).await
    }

    /// A PostgreSQL on `data`, a directory that its user may enter.
    pub async fn postgres(programs: &Programs, data: &Path, log: PathBuf) -> io::Result<Self> {
        let words = vec![
            programs.xtask.display().to_string(),
            "postgres".to_owned(),
            "--data".to_owned(),
            data.display().to_string(),
        ];
        Self::start_with(words, "PostgreSQL answers on ", log).await
    }

    /// Starts it where it was, and waits until it serves.
    pub async fn start(&mut self) -> io::Result<()> {
        let mut tries = 1;
        loop {
            match self.try_start().await {
                Err(_) if tries < STARTS => clock::pass(BETWEEN_STARTS).await,
                ended => return ended,
            }
            tries += 1;
        }
    }

    async fn try_start(&mut self) -> io::Result<()> {
        let log = fs::File::options().create(true).append(true).open(&self.log)?;
        let mut command = tied(&self.words[0], "TERM");
        command.args(&self.words[1..]).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut output = BufReader::new(stdout).lines();
        let said = tokio::time::timeout(READY_WITHIN, self.greeted(&mut output)).await??;
        let Some(address) = said else {
            let log = self.log.display();
            return Err(io::Error::other(format!(
                "the server ended instead of serving: see {log}"
            )));
        };
        self.address = address;
        self.running = Some(Running { child, _output: output });
        Ok(())
    }

    /// The address that its greeting tells, which may come after other lines.
    async fn greeted(
        &self,
        output: &mut Lines<BufReader<ChildStdout>>,
    ) -> io::Result<Option<String>> {
        while let Some(line) = output.next_line().await? {
            if let Some(address) = line.strip_prefix(self.greeting) {
                return Ok(Some(address.to_owned()));
            }
        }
        Ok(None)
    }

    /// Kills all its processes, as a machine that fails would.
    pub async fn crash(&mut self) -> io::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let pids: Vec<String> = running
            .child
            .id()
            .map(family_of)
            .unwrap_or_default()
            .iter()
            .map(u32::to_string)
            .collect();
        Command::new("kill").arg("-KILL").args(pids).stderr(Stdio::null()).status().await?;
        running.child.wait().await.map(drop)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> io::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        if let Some(pid) = running.child.id() {
            signal(pid, "TERM").await;
        }
        tokio::time::timeout(ENDS_WITHIN, running.child.wait()).await??;
        Ok(())
    }
}

/// The databases of a world.
pub struct Database {
    pub server: Option<Server>,
    pub databases: Databases,
    // The last to go.
    _data: Option<TempDir>,
}

impl Database {
    pub async fn start(kind: StoreKind, programs: &Programs, folder: &Path) -> io::Result<Self> {
        if kind == StoreKind::Sqlite {
            return Ok(Self { server: None, databases: Databases::sqlite(), _data: None });
        }
        let data = tempfile::Builder::new().prefix("torture-postgres-").tempdir()?;
        let server = Server::postgres(programs, data.path(), folder.join("postgres.log")).await?;
        let databases = Databases::postgres_on(&server.address).await;
        Ok(Self { server: Some(server), databases, _data: Some(data) })
    }
}

/// A command for a program that gets `signal` if this one dies without a word.
pub fn tied(program: &str, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--", program]).stdin(Stdio::null()).kill_on_drop(true);
    // What the caller's shell says of clusters is not meant for it.
    command.env_remove("EVENT_BUS_BOOTSTRAP").process_group(0);
    command
}

/// Sends a signal (`STOP`, `TERM`) to a process, if it is still there.
pub async fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null());
    kill.status().await.expect("kill can be run");
}

/// A process and all that it started, and so on.
fn family_of(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|child: u32| Some((child, parent_of(child)?)))
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the state and the parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_family_is_a_process_with_those_that_it_started() {
        let mut shell =
            Command::new("sh").args(["-c", "cat & cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = shell.id().unwrap();
        event_bus_tests::eventually::eventually(Duration::from_secs(20), async || match family_of(
            pid,
        ) {
            family if family.len() >= 2 && family[0] == pid => Ok(()),
            family => Err(family),
        })
        .await;
        shell.kill().await.unwrap();
    }
}
