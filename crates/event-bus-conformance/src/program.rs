//! Other people's programs: run to their end, or as members of a group.

use std::env;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::eventually::eventually;
use crate::groups;
use crate::topic::SOON;

/// What `cargo xtask foreign` says in this variable.
///
/// # Panics
/// When it says nothing.
pub fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this by `cargo xtask foreign`"))
}

/// Runs a program with some input, and gives what it printed to both its outputs.
///
/// # Panics
/// When it can't be started or fails, with what it printed.
pub async fn run(mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let described = format!("{:?}", command.as_std());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{described} can't be run: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // Beside reading its output: neither waits for the other with a full pipe. One that ends early takes no more.
    let feeding = tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    let output = child.wait_with_output().await.expect("its output can be read");
    let fed = feeding.await.expect("writing does not panic");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.concat();
    assert!(output.status.success(), "{described} failed ({}):\n{text}", output.status);
    fed.expect("a program that succeeds takes its input");
    text
}

/// Programs that are the members of one group, and print what they read line by line.
#[derive(Debug)]
pub struct Members {
    processes: Vec<Child>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Members {
    /// Starts them, and waits until they are one stable group in which each has a part.
    ///
    /// # Panics
    /// When they can't be started, or never are.
    pub async fn start(group: &str, commands: Vec<Command>) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let mut processes = Vec::new();
        for mut command in commands {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut process = command.kill_on_drop(true).spawn().expect("it can be run");
            let output = process.stdout.take().expect("it is piped");
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(output).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    // Nobody listens any more once the test has ended.
                    let _ = sender.send(line);
                }
            });
            processes.push(process);
        }
        let mut connection = Connection::open().await;
        eventually(2 * SOON, async || {
            let seen = groups::describe(&mut connection, group).await;
            let is_shared = seen.members.iter().all(|member| !member.member_assignment.is_empty());
            let is_stable = seen.group_state.as_str() == "Stable" && is_shared;
            if is_stable && seen.members.len() == processes.len() { Ok(()) } else { Err(seen) }
        })
        .await;
        Self { processes, lines }
    }

    /// The lines that they printed, once there are as many.
    ///
    /// # Panics
    /// When there never are.
    pub async fn printed(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        eventually(2 * SOON, async || {
            while let Ok(line) = self.lines.try_recv() {
                lines.push(line);
            }
            if lines.len() >= count { Ok(()) } else { Err(lines.len()) }
        })
        .await;
        lines
    }

    /// Asks them to end and waits until they have.
    ///
    /// # Panics
    /// When they can't be asked to.
    pub async fn stop(mut self) {
        for process in &self.processes {
            let id = process.id().expect("it has not ended by itself").to_string();
            let asked = Command::new("kill").args(["-TERM", &id]).status().await;
            assert!(
                asked.expect("kill can be run").success(),
                "a member could not be asked to end"
            );
        }
        for process in &mut self.processes {
            process.wait().await.expect("it ends");
        }
    }
}
