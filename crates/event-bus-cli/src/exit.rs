//! How the process ends: exit codes, and errors with their causes on stderr.

use std::fmt;
use std::process::ExitCode;

use crate::output::StdoutClosed;
use event_bus::dead_letter::error_chain;

/// What `--help` says of exit codes.
pub const HELP: &str = "Exit codes:
  0  done
  1  failed: stderr says what and why
  2  wrong usage: an unknown option, event, topic or service, an unusable
     configuration file or client property
  3  a difference was found: problems by `catalogue check`, something breaking by
     `catalogue diff`, something to do or refused by `topics plan`, something refused by `topics apply`, an event that
     fails in a dry run of `replay`, a row that is not as it was by `audit verify`,
     an error (not only warnings) by `doctor`, a violation (not only warnings) by
     `conform topics`, a check that fails by `conform consumer`";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Done,
    /// Some of it failed; stderr has told what.
    Failed,
    /// A difference or violation was found.
    Difference,
}

/// The command can't be meant like this.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A usage error as a command's outcome.
pub fn usage<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(message.into()).into())
}

/// Tells of an error on stderr, and gives the exit code.
pub fn report(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Difference) => ExitCode::from(3),
        // Whoever read our output has seen enough: `event-bus tail | head`.
        Err(error) if error.is::<StdoutClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("event-bus: {}", error_chain(error.as_ref()));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
