//! One side of a comparison: a relay, as a process of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::rows::slot_of;
use super::{Setting, Turn};
use crate::broker::memory::{Watch, resident_bytes};
use crate::publish::turn::cpu_time_of;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Side {
    /// `event-bus relay`
    Ours,
    /// Debezium's embedded engine
    Debezium,
}

/// Both, in the order of their turns.
pub const SIDES: [Side; 2] = [Side::Ours, Side::Debezium];

/// A relay that runs. It ends with this program.
pub struct Relay {
    child: Child,
    memory: Watch,
}

/// What a relay took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// The most memory that it had, in bytes.
    pub peak_bytes: u64,
    /// Of the processors, its start included.
    pub cpu: Duration,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "event-bus relay",
            Self::Debezium => "Debezium engine",
        }
    }
}

impl Setting {
    /// Starts a side's relay on a turn's database.
    pub fn start(&self, side: Side, turn: &Turn) -> Relay {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        match side {
            Side::Ours => {
                command.arg(&self.program).args(["relay", "--bootstrap", &self.bootstrap]);
                command.args(["--store", &turn.url, "--log", "warn"]);
            }
            Side::Debezium => {
                let built = self.peers.join("debezium");
                let built = built.display();
                command.args(["java", "-Xmx512m", "-cp"]);
                command.arg(format!("{built}/classes:{built}/lib/*")).arg("peers.W4");
                let offsets = std::env::temp_dir().join(format!("{}.offsets", slot_of(&turn.url)));
                // The engine goes on where an earlier one of this name ended.
                let _ = fs::remove_file(&offsets);
                command.env("OFFSETS", offsets).env("SLOT", slot_of(&turn.url));
                command.env("DATABASE_URL", &turn.url).env("BOOTSTRAP", &self.bootstrap);
                command.env("TOPIC", turn.topic.as_ref());
            }
        }
        let stdout = if side == Side::Debezium { Stdio::piped() } else { Stdio::null() };
        let child = command.stdin(Stdio::null()).stdout(stdout).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", side.name()));
        if let Some(stdout) = child.stdout.take() {
            wait_until_ready(BufReader::new(stdout));
        }
        let memory = Watch::start(child.id());
        Relay { child, memory }
    }
}

/// Reads up to the line that tells it, and then on: a program whose output nobody reads stands still.
fn wait_until_ready(mut output: impl BufRead + Send + 'static) {
    let mut line = String::new();
    while !line.starts_with('{') {
        line.clear();
        assert!(output.read_line(&mut line).is_ok_and(|read| read > 0), "it ended at its start");
    }
    std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
}

impl Relay {
    /// The memory that it has now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.child.id()).unwrap_or(0)
    }

    /// What it took of the processors so far.
    pub fn cpu(&self) -> Duration {
        cpu_time_of(&self.child.id().to_string()).unwrap_or_default()
    }

    /// Ends it.
    pub fn stop(mut self) -> Used {
        let cpu = self.cpu();
        let kill = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(kill.is_ok_and(|status| status.success()), "it has ended by itself");
        // A virtual machine that was asked to end says so by its status.
        self.child.wait().expect("it can be waited for");
        Used { peak_bytes: self.memory.peak_bytes(), cpu }
    }
}
