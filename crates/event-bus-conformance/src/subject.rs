//! The broker that is tested: where it is, what kind it is, and a second one that can be restarted.

use std::env;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Where the broker is that `cargo xtask test` started.
const BOOTSTRAP: &str = "EVENT_BUS_TEST_BOOTSTRAP";
/// What it is: see [`Kind`].
const BROKER: &str = "EVENT_BUS_TEST_BROKER";
/// The words of the command that starts another one of its kind, a line each; the directory of its data is appended.
const START: &str = "EVENT_BUS_TEST_START_BROKER";

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this suite by `cargo xtask test`"))
}

/// The broker's `host:port`.
///
/// # Panics
/// When nobody says where it is.
pub fn bootstrap() -> String {
    variable(BOOTSTRAP)
}

/// What is tested. A test may only look at it for a difference that docs/BROKER-DIFFERENCES.md lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka.
    Kafka,
    /// `event-bus-broker`.
    Embedded,
}

/// What is tested.
///
/// # Panics
/// When nobody says so.
pub fn kind() -> Kind {
    match variable(BROKER).as_str() {
        "kafka" => Kind::Kafka,
        "embedded" => Kind::Embedded,
        other => panic!("{BROKER}={other}: it is `kafka` or `embedded`"),
    }
}

/// A name that no other test uses, for a topic, a group or a transactional id.
pub fn unique(what: &str) -> String {
    format!("{what}-{:012x}", rand::random::<u64>() >> 16)
}

/// A broker of the test's own, with its data, that can be stopped and started again.
#[derive(Debug)]
pub struct Restartable {
    data: TempDir,
    process: Child,
    address: String,
}

impl Restartable {
    /// Starts one on an empty directory.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one on an empty directory, with these words at the end of its command: settings of Kafka's as `--set
    /// KEY=VALUE`. A restart is without them.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(words: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        let (process, address) = spawn(&data, words).await;
        Self { data, process, address }
    }

    /// Starts a second broker of this one's cluster, on an empty directory. Kafka's only.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn second(&self) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        let joins = self.data.path().to_str().expect("its name is text");
        let (process, address) = spawn(&data, &["--joins", joins]).await;
        Self { data, process, address }
    }

    /// Where it is now.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it orderly and starts it again on the same data; it may be at another address then.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.stop().await;
        (self.process, self.address) = spawn(&self.data, &[]).await;
    }

    /// Ends it orderly.
    ///
    /// # Panics
    /// When it can't be asked to.
    pub async fn stop(&mut self) {
        let id = self.process.id().expect("it has not ended by itself").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(asked.expect("kill can be run").success(), "the broker could not be asked to end");
        self.process.wait().await.expect("the broker ends");
    }
}

/// Runs the command, with these words at its end, and waits for the line that tells the address.
async fn spawn(data: &TempDir, last: &[&str]) -> (Child, String) {
    let command = variable(START);
    let mut words = command.lines();
    let program = words.next().expect("the command has a program");
    let mut process = Command::new(program)
        .args(words)
        .arg(data.path())
        .args(last)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("`{command}` can't be run: {error}"));
    let output = process.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("its output can be read") {
        // `Kafka answers on HOST:PORT`, `Kafka protocol on HOST:PORT`
        if let Some((_, address)) = line.rsplit_once(" on ")
            && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            let address = address.to_owned();
            // What it prints later is read, so that it never waits for a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (process, address);
        }
    }
    panic!("`{command}` ended without an address");
}
