//! The nodes of a world: processes of this program that are killed, frozen and started again.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::{Mutex, MutexGuard};

use crate::clock;
use crate::journal::{self, Note};
use crate::plan::Member;
use crate::servers::{signal, tied};

/// How often it is looked whether a process still runs.
const LOOK: Duration = Duration::from_millis(50);
/// A process that ends by itself is started again no sooner than this after its last start.
const BETWEEN_STARTS: Duration = Duration::from_millis(500);
/// How long a node may take to end after it was asked to: handlers and the relay have 10 s each, its clients their own.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How long a start may take: SQLite waits five seconds for a lock.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// How a process ends that aborts itself.
const SIGABRT: i32 = 6;

/// A node: one process after the other.
#[derive(Debug)]
pub struct Node {
    pub member: Member,
    words: Vec<String>,
    /// The mistake that it makes.
    flaw: Option<String>,
    /// What its processes say.
    pub log: PathBuf,
    journal: PathBuf,
    /// Whoever does something to it has this for as long.
    state: Mutex<State>,
}

/// What is known of a node.
#[derive(Debug, Default)]
pub struct State {
    child: Option<Child>,
    /// Whether it is to be started again when it ends by itself.
    is_wanted: bool,
    started: Option<Instant>,
}

impl Node {
    /// A node that was not started yet.
    pub fn new(
        member: Member,
        words: Vec<String>,
        flaw: Option<String>,
        log: PathBuf,
        journal: PathBuf,
    ) -> Self {
        Self { member, words, flaw, log, journal, state: Mutex::default() }
    }

    /// What its processes noted so far.
    pub fn notes(&self) -> Vec<Note> {
        journal::read(&self.journal)
    }

    /// Nobody else does anything to it meanwhile.
    pub async fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    /// Starts it.
    pub async fn start(&self) -> io::Result<()> {
        self.start_in(&mut *self.lock().await)
    }

    /// The same for who has it already.
    pub fn start_in(&self, state: &mut State) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = tied(&self.words[0], "KILL");
        command.args(&self.words[1..]).stdout(Stdio::null()).stderr(log);
        // The flaw is read by the library itself.
        command.envs(self.flaw.as_ref().map(|flaw| ("EVENT_BUS_FLAW", flaw)));
        state.child = Some(command.spawn()?);
        state.is_wanted = true;
        state.started = Some(Instant::now());
        Ok(())
    }

    /// Asks it to end, and waits until it has. Says whether that was in time.
    pub async fn stop(&self) -> bool {
        self.lock().await.stop().await
    }

    /// Starts it again whenever it ends by itself, for ever.
    pub async fn supervise(&self) {
        loop {
            clock::pass(LOOK).await;
            let mut state = self.lock().await;
            let is_due = state.started.is_some_and(|started| started.elapsed() > BETWEEN_STARTS);
            if state.is_wanted && is_due && state.has_ended() {
                self.start_in(&mut state).expect("what was started once can be started again");
            }
        }
    }
}

impl State {
    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Sends a signal, if it runs.
    pub async fn signal(&self, name: &str) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id) {
            signal(pid, name).await;
        }
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        !self.has_ended()
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        self.is_wanted = false;
        if let Some(mut child) = self.child.take() {
            // One that has just ended by itself can't be killed any more.
            let _ = child.kill().await;
        }
    }

    /// Asks it to end, and waits until it has. Says whether it ended well, and in time.
    pub async fn stop(&mut self) -> bool {
        self.is_wanted = false;
        // It may not listen to signals yet, or find its database locked by a process that stands still.
        let starts = self.started.is_some_and(|started| started.elapsed() < STARTS_WITHIN);
        self.signal("TERM").await;
        let Some(mut child) = self.child.take() else { return true };
        match tokio::time::timeout(ENDS_WITHIN, child.wait()).await {
            // Where a handler aborted it in the same moment, it was not asked in time.
            Ok(Ok(status)) => starts || status.success() || status.signal() == Some(SIGABRT),
            _ => {
                let _ = child.kill().await;
                false
            }
        }
    }
}
