//! The broker's system calls, watched and made to fail.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use event_bus_tests::eventually::eventually;
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(60);

/// What a program does to files.
const FILE_CALLS: &str =
    "trace=openat,mkdir,rename,renameat,renameat2,write,pwrite64,ftruncate,fsync,fdatasync";

/// The words before a command that write its dealings with files to `output`. The command keeps its process number.
pub fn wrapper(output: &Path) -> Vec<String> {
    let words = ["strace", "-D", "-f", "-q", "-y", "-s", "0", "-e", FILE_CALLS];
    let output = output.to_str().expect("the path is text");
    words.iter().copied().chain(["-o", output, "--"]).map(str::to_owned).collect()
}

/// The trace of a killed process, once it is written to its end.
pub async fn trace_of_the_dead(output: &Path) -> String {
    eventually(SOON, async || {
        let text = std::fs::read_to_string(output).map_err(|error| error.to_string())?;
        let last = text.lines().next_back().unwrap_or_default().to_owned();
        if last.ends_with("+++ killed by SIGKILL +++") { Ok(text) } else { Err(last) }
    })
    .await
}

/// Makes calls of a running process fail, until it is healed or dropped.
pub struct Injection {
    strace: Child,
    output: PathBuf,
}

impl Injection {
    /// Attaches to the process. From the time that this returns until [`Self::heal`] each of these calls fails.
    pub async fn start(pid: u32, calls: &str, error: &str, output: PathBuf) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string(), "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error={error}"), "-e", "signal=none", "-o"]);
        command.arg(&output).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let strace = command.kill_on_drop(true).spawn().expect("strace starts");
        // It is attached to all threads once the kernel says so of each.
        eventually(SOON, async || {
            let traced = tracers(pid);
            if !traced.is_empty() && traced.iter().all(|tracer| *tracer != 0) {
                Ok(())
            } else {
                Err(traced)
            }
        })
        .await;
        Self { strace, output }
    }

    /// How many calls failed by now.
    pub fn count(&self) -> usize {
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        text.matches("(INJECTED)").count()
    }

    /// Lets calls succeed again.
    pub async fn heal(mut self) {
        let pid = self.strace.id().expect("strace runs").to_string();
        // On this signal it detaches and leaves the process as it was.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().await;
        assert!(asked.expect("a shell can be started").success(), "strace ended by itself");
        tokio::time::timeout(SOON, self.strace.wait())
            .await
            .expect("strace detaches")
            .expect("it ends");
    }
}

/// The tracers of a process's threads; 0 is none.
fn tracers(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let status = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok());
    status
        .filter_map(|text| {
            text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
        })
        .collect()
}
