//! A PostgreSQL of a test's own, which may be stopped: all other tests share one.

use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::servers;

/// The server. It ends with this value, and its data goes.
pub struct OwnPostgres {
    process: Option<Process>,
    url: String,
    data: TempDir,
}

impl OwnPostgres {
    /// A new server that answers.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        let (process, url) = spawn(&data).await;
        Self { process: Some(process), url, data }
    }

    /// The URL of its maintenance database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it as `pg_ctl stop` does: sessions are ended, and connections refused from then on.
    ///
    /// # Panics
    /// When it is stopped already, or does not end well.
    pub async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal("TERM").await;
        let ended = process.ended().await;
        assert!(ended.status.success(), "{ended:?}");
    }

    /// Starts it where it was, with its data, and waits until it answers.
    ///
    /// # Panics
    /// When it can't be started there.
    pub async fn start_again(&mut self) {
        let (process, url) = spawn(&self.data).await;
        assert_eq!(url, self.url, "its clients look for it where it was");
        self.process = Some(process);
    }
}

/// Runs the command and waits for the line that tells the URL.
async fn spawn(data: &TempDir) -> (Process, String) {
    let words = servers::start_postgres();
    let mut words = words.lines();
    let mut command = Command::new(words.next().expect("the command has a program"));
    command.args(words).arg(data.path());
    let mut process = Process::spawn(command);
    let line = process.line().await;
    let url = line.strip_prefix("PostgreSQL answers on ").unwrap_or_else(|| panic!("{line}"));
    (process, url.to_owned())
}
