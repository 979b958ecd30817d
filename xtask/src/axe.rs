//! axe-core, a script that finds what keeps people from using a page. It is fetched for tests and is in nothing that we ship.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::maven::{self, Pom};

const AXE: Pom =
    Pom { name: "axe", text: include_str!("../poms/axe.xml"), goal: "unpack-dependencies" };

/// Of the script, for it runs in a browser that is signed in.
const SHA256: &str = "7dbfabdfc6062936d79c873ddbb5f811a1219fca3928bd8cc9dd81f1e65f4720";

/// The script, fetched when it isn't there.
pub fn script() -> Result<PathBuf> {
    let script = maven::fetch(AXE)?.join("axe.min.js");
    let told = Command::new("sha256sum").arg(&script).output().context("sha256sum can't run")?;
    let told = String::from_utf8_lossy(&told.stdout);
    if told.split_whitespace().next() != Some(SHA256) {
        bail!("{} is not the script that was meant: {told}", script.display());
    }
    Ok(script)
}
