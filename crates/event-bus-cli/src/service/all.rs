use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, stderr};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Run;
use crate::exit::Exit;
use crate::global::Global;
use crate::stop;

/// The wait before a service that died is started again: doubled each time, and back at the first after a good run.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
const GOOD_RUN: Duration = Duration::from_secs(60);
/// How long a service may take to finish what it does and leave its groups.
const STOP: Duration = Duration::from_secs(60);

/// Runs every service in a process of its own, and starts again what dies.
pub async fn run(global: &Global, run: &Run) -> anyhow::Result<Exit> {
    let requested = stop::requested(run.until_stdin_ends)?;
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let lines = Arc::new(Mutex::new(stderr()));
    let width = blindstrader::SERVICES.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut supervised = JoinSet::new();
    for (place, name) in blindstrader::SERVICES.into_iter().enumerate() {
        let mut command = Command::new(&program);
        command.args(global.arguments()).args(["service", "run", name, "--until-stdin-ends"]);
        command.args(["--store", &run.store_of(name)]);
        if let Some(http) = run.http_of(place)? {
            command.args(["--http", &http.to_string()]);
        }
        if let Some(id) = &run.instance {
            command.args(["--instance", id.as_str()]);
        }
        command.args(["--stalled-after", &run.stalled_after.to_string()]);
        command.args(run.otlp.arguments());
        if let Some(rate) = run.traffic {
            command.args(["--traffic", &rate.to_string()]);
        }
        // Its end of stdin closes when this process ends, however it ends.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches a whole group. Forwarded as well, it would be the second signal, which ends a service at
            // once.
            .process_group(0)
            .kill_on_drop(true);
        let prefix = format!("{name:width$} | ");
        let supervisor = Supervisor {
            name,
            command,
            prefix,
            lines: Arc::clone(&lines),
            stop: requested.clone(),
        };
        supervised.spawn(supervisor.run());
    }
    let mut all_ended_well = true;
    while let Some(ended_well) = supervised.join_next().await {
        all_ended_well &= ended_well?;
    }
    Ok(if all_ended_well { Exit::Done } else { Exit::Failed })
}

/// One service's process and its successors.
struct Supervisor {
    name: &'static str,
    command: Command,
    prefix: String,
    lines: Arc<Mutex<tokio::io::Stderr>>,
    stop: watch::Receiver<bool>,
}

/// How a process ended.
enum Ended {
    /// By itself.
    Died(String),
    /// As asked; whether it ended well.
    Stopped(bool),
}

impl Supervisor {
    /// Returns once the service has stopped because it was asked to; whether it ended well.
    async fn run(mut self) -> bool {
        let mut back_off = BACK_OFF_MIN;
        while !*self.stop.borrow() {
            let started = Instant::now();
            let why = match self.command.spawn() {
                Ok(child) => match self.attend(child).await {
                    Ended::Stopped(well) => return well,
                    Ended::Died(why) => why,
                },
                Err(error) => format!("could not be started: {error}"),
            };
            if *self.stop.borrow() {
                // A Ctrl-C reaches every process of the terminal; the service only was quicker.
                return true;
            }
            if started.elapsed() >= GOOD_RUN {
                back_off = BACK_OFF_MIN;
            }
            tracing::warn!(
                service = self.name,
                why,
                "a service died and is started again in {} s",
                back_off.as_secs()
            );
            tokio::select! {
                () = tokio::time::sleep(back_off) => {}
                () = stop::of(self.stop.clone()) => {}
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
        true
    }

    async fn attend(&self, mut child: Child) -> Ended {
        tracing::info!(service = self.name, pid = child.id(), "started");
        // Taken out, because waiting for a child closes its stdin.
        let stdin = child.stdin.take();
        let mut copying = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            copying.spawn(copied(stdout, self.prefix.clone(), Arc::clone(&self.lines)));
        }
        if let Some(stderr) = child.stderr.take() {
            copying.spawn(copied(stderr, self.prefix.clone(), Arc::clone(&self.lines)));
        }
        let ended = tokio::select! {
            status = child.wait() => Ended::Died(in_words(status)),
            () = stop::of(self.stop.clone()) => {
                drop(stdin);
                Ended::Stopped(self.stopped(&mut child).await)
            }
        };
        // What it said last belongs before what is said about its end.
        while copying.join_next().await.is_some() {}
        ended
    }

    async fn stopped(&self, child: &mut Child) -> bool {
        match timeout(STOP, child.wait()).await {
            Ok(Ok(status)) if status.success() => true,
            Ok(status) => {
                tracing::warn!(
                    service = self.name,
                    why = in_words(status),
                    "a service did not end well"
                );
                false
            }
            Err(_) => {
                tracing::warn!(
                    service = self.name,
                    "a service did not stop within {} s and is killed",
                    STOP.as_secs()
                );
                if let Err(error) = child.kill().await {
                    tracing::warn!(service = self.name, %error, "a service could not be killed");
                }
                false
            }
        }
    }
}

fn in_words(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| format!("its end is unknown: {error}"), |status| status.to_string())
}

/// Copies lines to stderr, each under the service's name and whole.
async fn copied(from: impl AsyncRead + Unpin, prefix: String, to: Arc<Mutex<tokio::io::Stderr>>) {
    let mut from = BufReader::new(from);
    let mut line = prefix.clone().into_bytes();
    while matches!(from.read_until(b'\n', &mut line).await, Ok(1..)) {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        // Where stderr is closed the lines are lost, and the service must not stop for them.
        drop(to.lock().await.write_all(&line).await);
        line.truncate(prefix.len());
    }
}
