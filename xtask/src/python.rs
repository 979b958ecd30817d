//! Python packages by pinned version, kept in `target/xtask`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::Need;
use crate::child;

/// What an environment is made with.
pub const NEEDS: [Need; 2] = [
    Need::Program { name: "python3", package: "python3" },
    Need::PythonModule { name: "ensurepip", package: "python3-venv" },
];

/// The interpreter of an environment with the pinned packages, and no others.
pub fn environment(requirements: &Path, environment: &Path) -> Result<PathBuf> {
    let interpreter = environment.join("bin/python");
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    // Written last, so that an installation that was ended half-way doesn't count.
    let stamp = environment.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    child::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    child::run(pip.arg(requirements))?;
    fs::write(&stamp, wanted)?;
    Ok(interpreter)
}
