//! Where things are: the repository, its target directory, and the cache beneath it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's root.
pub fn root() -> PathBuf {
    // Cargo sets the variable when it runs xtask; the compiled-in value serves a binary that was
    // started by hand.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Cargo's target directory: two levels above this very binary, wherever it was configured to be.
pub fn target() -> Result<PathBuf> {
    let binary = env::current_exe().context("cannot tell where this binary is")?;
    let target = binary.ancestors().nth(2).context("this binary is not in a target directory")?;
    Ok(target.to_path_buf())
}

/// A directory beneath `target/xtask`, created when missing.
pub fn cache(name: &str) -> Result<PathBuf> {
    let dir = target()?.join("xtask").join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}
