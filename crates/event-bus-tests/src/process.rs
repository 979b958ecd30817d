//! A program, most often `event-bus`, as a process of its own that runs until it is asked to end.

use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::servers;

/// How long the program may take to say what is waited for, on a machine that compiles beside it.
const SAYS_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to end after it was asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// The running program. It is killed when this is dropped.
pub struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: NamedTempFile,
}

/// How the program ended, and what it said since it was last listened to.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What was left of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
}

impl Process {
    /// Starts the `event-bus` program.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(servers::program());
        // What the caller's shell says of clusters is not meant for it.
        command.args(arguments).env_remove("EVENT_BUS_BOOTSTRAP");
        Self::spawn(command)
    }

    /// Starts a program in a process group of its own, as a shell does.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn spawn(mut command: Command) -> Self {
        let stderr = NamedTempFile::new().expect("a temporary file can be made");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(stderr.path()).expect("the file can be written"))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        Self { child, stdout: BufReader::new(stdout).lines(), stderr }
    }

    /// The next line of its stdout.
    ///
    /// # Panics
    /// When none comes, with what it said on stderr.
    pub async fn line(&mut self) -> String {
        match timeout(SAYS_WITHIN, self.stdout.next_line()).await {
            Ok(Ok(Some(line))) => line,
            other => panic!("no line came but {other:?}: {}", self.errors()),
        }
    }

    /// What it said on stderr so far.
    ///
    /// # Panics
    /// When that can't be read.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.stderr.path()).expect("the file can be read")
    }

    /// Sends a signal (`INT`, `TERM`) to the process alone.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Sends a signal to its whole process group, as a terminal does at Ctrl-C.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn signal_group(&self, name: &str) {
        let pid = self.child.id().expect("the process runs");
        kill(name, &format!("-{pid}")).await;
    }

    /// Kills its whole process group: what it started may outlive it otherwise.
    pub fn kill_group(&self) {
        if let Some(pid) = self.child.id() {
            let kill = format!("kill -s KILL -- -{pid}");
            // In a test that fails, which is to tell of that and not of this.
            drop(std::process::Command::new("sh").args(["-c", &kill]).status());
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that does not come.
    pub async fn ended(mut self) -> Ended {
        let mut stdout = String::new();
        let mut rest = self.stdout.into_inner();
        let ended = timeout(ENDS_WITHIN, async {
            (rest.read_to_string(&mut stdout).await, self.child.wait().await)
        });
        let ended = ended.await;
        let stderr = std::fs::read_to_string(self.stderr.path()).expect("the file can be read");
        let (read, status) = ended.unwrap_or_else(|_| panic!("it does not end: {stderr}"));
        read.expect("its output can be read");
        Ended { status: status.expect("it can be waited for"), stdout, stderr }
    }
}

/// Sends a signal (`INT`, `TERM`) to a process.
///
/// # Panics
/// When it is gone.
pub async fn signal(process: &Child, name: &str) {
    let pid = process.id().expect("the process runs");
    kill(name, &pid.to_string()).await;
}

async fn kill(signal: &str, target: &str) {
    let status =
        Command::new("sh").args(["-c", &format!("kill -s {signal} -- {target}")]).status().await;
    assert!(status.expect("a shell can be started").success(), "no process {target}");
}

/// A text as it stands in a URL, each byte of it escaped.
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asks an HTTP server on `address` for a path. Gives the status code and the body.
///
/// # Errors
/// When nobody answers, or not in HTTP.
pub async fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        // Of version 1.0, so that the body comes as it is, and not in chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok((code, body.to_owned()))
}
