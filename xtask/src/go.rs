//! Programs in Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::apt::Need;
use crate::child;

/// What compiles them.
pub const NEED: Need = Need::Program { name: "go", package: "golang-go" };

/// Compiles a module into this program.
pub fn build(module: &Path, program: PathBuf) -> Result<PathBuf> {
    let mut build = Command::new("go");
    // The module asks for no newer Go than Debian has: none is to be fetched.
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(module);
    child::run(build.env("GOTOOLCHAIN", "local"))?;
    Ok(program)
}
