//! One side of a comparison, ours or a peer's: a program that takes what it needs from its environment and prints a
//! line of JSON when it has handled everything.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use event_bus::Catalogue;
use serde::de::DeserializeOwned;

use crate::broker::memory::Watch;

/// A program that handles a workload's events.
#[derive(Clone, Copy)]
pub struct Side {
    pub name: &'static str,
    pub program: Program,
}

#[derive(Clone, Copy)]
pub enum Program {
    /// This program's `handle` with a handler's name.
    Ours(&'static str),
    /// The Spring application with a profile.
    Spring(&'static str),
    /// Confluent Parallel Consumer in one of its kinds.
    Parallel(&'static str),
}

/// What a program gets to handle.
pub struct Work<'a> {
    pub bootstrap: &'a str,
    pub catalogue: &'a Catalogue,
    /// How many events it handles until it is done.
    pub events: usize,
    /// What else it finds in its environment.
    pub more: &'a [(&'static str, &'a str)],
}

/// A program that runs. It ends with this one.
pub struct Running {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    memory: Watch,
}

impl Side {
    /// Its consumer group: ours has the catalogue's name, the peers are told theirs.
    pub fn group(self, catalogue: &Catalogue) -> String {
        let namespace = catalogue.namespace();
        match self.program {
            Program::Ours(_) => format!("{namespace}-payment-order-placed"),
            Program::Spring(_) | Program::Parallel(_) => format!("{namespace}-peer"),
        }
    }

    /// Starts it. `peers` is where their programs were built.
    pub fn start(self, peers: &Path, work: &Work<'_>) -> Running {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        match self.program {
            Program::Ours(handler) => {
                command.arg(std::env::current_exe().expect("it is a file"));
                command.args(["handle", handler]);
            }
            Program::Spring(profile) => {
                java(&mut command, &peers.join("spring"));
                command.arg("peers.Main").env("SPRING_PROFILES_ACTIVE", profile);
            }
            Program::Parallel(kind) => {
                java(&mut command, &peers.join("parallel"));
                command.args(["peers.W3", kind]);
            }
        }
        let topic = &work.catalogue.event("OrderPlaced").expect("it has the event").topic;
        command.env("BOOTSTRAP", work.bootstrap);
        command.env("NAMESPACE", work.catalogue.namespace().as_ref());
        command.env("TOPIC", topic.as_ref()).env("GROUP", self.group(work.catalogue));
        command.env("EVENTS", work.events.to_string()).envs(work.more.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        let output = child.stdout.take().map(BufReader::new);
        let memory = Watch::start(child.id());
        Running { child, output, memory }
    }
}

fn java(command: &mut Command, built: &Path) {
    let built = built.display();
    command.args(["java", "-Xmx512m", "-cp"]).arg(format!("{built}/classes:{built}/lib/*"));
}

impl Running {
    /// The line that it prints when everything is handled. What it prints after that is of no interest, but a program
    /// whose output nobody reads stands still.
    pub fn result<T: DeserializeOwned>(&mut self) -> T {
        let mut output = self.output.take().expect("a side has one result");
        let mut line = String::new();
        while !line.starts_with('{') {
            line.clear();
            let read = output.read_line(&mut line).expect("its output is text");
            assert!(read > 0, "it ended without a result: {:?}", self.child.try_wait());
        }
        std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// Waits for a program that ends by itself, and says how much memory it had at most, in bytes.
    pub fn ended(mut self) -> u64 {
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "it ended with {status}");
        self.memory.peak_bytes()
    }

    /// Ends a program that runs until it is asked to stop.
    pub fn stop(mut self) -> u64 {
        let mut kill = Command::new("kill");
        assert!(
            kill.arg(self.child.id().to_string()).status().is_ok_and(|status| status.success())
        );
        // A virtual machine that was asked to end says so by its status.
        self.child.wait().expect("it can be waited for");
        self.memory.peak_bytes()
    }
}
