//! What children print goes to files; its end is shown when they fail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result};

use crate::dirs;

/// Enough to hold an exception's cause.
const SHOWN_LINES: usize = 30;

/// The file of one child's output, `target/xtask/log/{name}.log`.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// A new file, in place of one of that name.
    pub fn create(name: &str) -> Result<Self> {
        let path = dirs::cache("log")?.join(format!("{name}.log"));
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Sends what the command prints here, after what is here already.
    pub fn take_output(&self, command: &mut Command) -> Result<()> {
        let file = File::options().append(true).open(&self.path)?;
        command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null());
        Ok(())
    }

    /// What is in the file.
    pub fn text(&self) -> String {
        fs::read(&self.path)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The error with the file's path and last lines.
    pub fn explain(&self, error: Error) -> Error {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        error.context(format!("the log {} ends with:\n{last}\n", self.path().display()))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
