//! Packages of Node.js that a lock file names by their sums.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::Need;
use crate::child;

/// What brings and runs them.
pub const NEEDS: [Need; 2] = [
    Need::Program { name: "node", package: "nodejs" },
    Need::Program { name: "npm", package: "npm" },
];
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs into `to`, unless that was done, what the two files of `from` ask for. No package's script runs.
pub fn install(from: &Path, to: &Path) -> Result<()> {
    let lock = from.join(FILES[1]);
    let wanted =
        fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    // Written last, so that an installation that was ended half-way doesn't count.
    let stamp = to.join("installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(to).args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
    child::run(&mut npm)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}
