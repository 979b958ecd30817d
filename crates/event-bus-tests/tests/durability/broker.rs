//! The embedded broker as a process that may be killed and started again on the same address and data.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use event_bus::KafkaConfig;
use event_bus_tests::servers;
use event_bus_tests::servers::free_port;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// A start reads the data; on a machine that compiles beside it takes longer than alone.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The broker's process. It ends with this value.
pub struct Broker {
    pub data: PathBuf,
    folder: PathBuf,
    port: u16,
    starts: u32,
    process: Option<Process>,
}

struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Broker {
    /// A broker on `data` that has not been started. What it says goes to files in `folder`.
    pub fn new(folder: &Path, data: PathBuf) -> Self {
        Self { data, folder: folder.to_owned(), port: free_port(), starts: 0, process: None }
    }

    /// Starts the process and waits until it serves.
    pub async fn start(&mut self) {
        self.spawn(&[]);
        self.ready().await;
    }

    /// Starts the process behind the words of `wrapper`, and does not wait for it.
    pub fn spawn(&mut self, wrapper: &[&str]) {
        self.starts += 1;
        let log = File::create(self.log_file()).expect("a log file can be made");
        let program = servers::program();
        let words: Vec<&str> = wrapper.iter().copied().chain([program.as_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("broker").arg("--data").arg(&self.data);
        command.args(["--listen", &self.bootstrap()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        self.process = Some(Process { child, stdout });
    }

    /// Waits for the line that says that it serves.
    pub async fn ready(&mut self) {
        let wanted = format!("Kafka protocol on {}", self.bootstrap());
        let process = self.process.as_mut().expect("it was started");
        let mut line = String::new();
        let read = tokio::time::timeout(READY_WITHIN, process.stdout.read_line(&mut line)).await;
        let said = read.expect("the broker is ready in time").expect("its output can be read");
        assert!(said > 0, "the broker ended instead of being ready:\n{}", self.log());
        assert_eq!(line.trim_end(), wanted, "the broker's first line");
    }

    /// Ends the process as `kill -9` does.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("it was started");
        let ended = process.child.try_wait().expect("it can be asked");
        assert_eq!(ended, None, "the broker ended by itself:\n{}", self.log());
        process.child.kill().await.expect("the process can be killed");
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().and_then(|process| process.child.id()).expect("the process runs")
    }

    /// Where it listens, `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How clients reach it, with further properties. They come back soon after a restart.
    pub fn kafka(&self, further: &[(&str, &str)]) -> KafkaConfig {
        let soon = [("reconnect.backoff.ms", "20"), ("reconnect.backoff.max.ms", "100")];
        let properties = soon.iter().chain(further);
        let properties = properties.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        KafkaConfig::new(self.bootstrap(), properties).expect("librdkafka knows the properties")
    }

    /// What the process said since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("broker-{:03}.log", self.starts))
    }
}
