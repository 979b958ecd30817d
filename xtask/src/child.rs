//! Child processes that end when xtask does, however that comes about.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::apt;

/// How often a running child and the interrupt flag are looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long a child may take to end after being asked, before it is killed.
const GRACE: Duration = Duration::from_secs(15);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C and termination are noted instead of ending xtask at once, so that it can
/// end its children first. A second Ctrl-C ends it at once.
pub fn listen_for_interrupts() {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Only an invalid signal number makes these fail; then the default action stays.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag));
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
}

/// Whether xtask was asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// A command for a program that gets `signal` (`"TERM"`, `"INT"`) if xtask dies without a word.
///
/// Linux's `setpriv` arranges that; where it isn't, only an orderly end reaches the children.
pub fn tied(program: impl AsRef<OsStr>, signal: &str) -> Command {
    if apt::find_program("setpriv").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Runs a step to its end, in a process group of its own, and fails when it does or when xtask is
/// interrupted; then the whole group is ended.
pub fn run(command: &mut Command) -> Result<()> {
    let name = describe(command);
    let mut step = Server::spawn(&name, command, Signal::TERM)?;
    loop {
        if let Some(status) = step.child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("`{name}` failed ({status})") };
        }
        if interrupted() {
            step.stop();
            bail!("interrupted");
        }
        thread::sleep(POLL);
    }
}

/// Runs somebody's command in our own process group, so that it may read the terminal, and passes
/// its exit code on.
///
/// Ctrl-C at a terminal reaches it directly; it is asked once more and then given time to end.
pub fn run_attached(command: &mut Command) -> Result<ExitCode> {
    let name = describe(command);
    let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
    while !interrupted() {
        if let Some(status) = child.try_wait()? {
            return Ok(exit_code(status));
        }
        thread::sleep(POLL);
    }
    let pid = Pid::from_child(&child);
    end(&mut child, |signal| kill_process(pid, signal), Signal::TERM);
    Ok(ExitCode::from(130))
}

/// Waits until xtask is asked to end, or until one of the servers ends by itself, which is an
/// error.
pub fn wait_for_interrupt(servers: &mut [&mut Server]) -> Result<()> {
    while !interrupted() {
        for server in &mut *servers {
            server.check()?;
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command as one would type it, without the wrapper of [`tied`].
fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let typed = match words.iter().position(|word| word == "--") {
        Some(end) if words[0] == "setpriv" => &words[end + 1..],
        _ => &words[..],
    };
    let (program, arguments) = typed.split_first().expect("a command has a program");
    let program = program.rsplit('/').next().unwrap_or(program);
    [&[program], &arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..]].concat().join(" ")
}

/// A child that runs beside xtask in a process group of its own, which is ended on drop.
pub struct Server {
    name: String,
    child: Child,
    stop_signal: Signal,
}

impl Server {
    /// Starts the command; `stop_signal` is how it is asked to end.
    pub fn spawn(name: &str, command: &mut Command, stop_signal: Signal) -> Result<Self> {
        let child =
            command.process_group(0).spawn().with_context(|| format!("cannot run `{name}`"))?;
        Ok(Self { name: name.to_owned(), child, stop_signal })
    }

    /// The child's process number. [`tied`] does not change it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes what the child prints, if that was made a pipe and is not taken yet.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Fails when the child has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status})", self.name),
        }
    }

    /// Asks the child to end, waits, and kills what is left of its process group.
    pub fn stop(&mut self) {
        let group = Pid::from_child(&self.child);
        // Once the child is reaped its number is no longer ours: a process group of that number
        // can be signalled only as long as `try_wait` hasn't told the end.
        if matches!(self.child.try_wait(), Ok(None)) {
            end(&mut self.child, |signal| kill_process_group(group, signal), self.stop_signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn end(child: &mut Child, send: impl Fn(Signal) -> rustix::io::Result<()>, ask_with: Signal) {
    // A child that has just ended can't be signalled, and need not be.
    let _ = send(ask_with);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(POLL);
    }
    let _ = send(Signal::KILL);
    let _ = child.wait();
}
