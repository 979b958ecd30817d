//! The AsyncAPI documents, by AsyncAPI's own parser. It is fetched for tests and is in nothing that we ship.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, child, dirs, npm};

/// Besides the whole document one of a single service is checked.
const SERVICE: &str = "payment";
const SCRIPT: &str = "check.mjs";

/// Checks the shipped document, and one of a service. The script also breaks a document and wants that to be noticed.
pub fn check() -> Result<()> {
    apt::ensure(&npm::NEEDS)?;
    let parser = installed()?;
    let program = dirs::target()?.join("debug/event-bus");
    let mut export = Command::new(program);
    export.current_dir(dirs::root()).args([
        "catalogue",
        "export",
        "asyncapi",
        "--service",
        SERVICE,
    ]);
    let told = export.output().context("event-bus can't be run")?;
    if !told.status.success() {
        bail!("no document of {SERVICE}: {}", String::from_utf8_lossy(&told.stderr));
    }
    let of_service = parser.join("service.json");
    fs::write(&of_service, told.stdout)
        .with_context(|| format!("cannot write {}", of_service.display()))?;
    let mut check = Command::new("node");
    check.current_dir(&parser).arg(SCRIPT);
    child::run(check.arg(dirs::root().join("deploy/asyncapi.json")).arg(of_service))
}

/// A directory with the script and the packages that it needs.
fn installed() -> Result<PathBuf> {
    let from = dirs::root().join("deploy/schemas/asyncapi");
    let to = dirs::cache("asyncapi")?;
    npm::install(&from, &to)?;
    fs::copy(from.join(SCRIPT), to.join(SCRIPT)).context("cannot copy the script")?;
    Ok(to)
}
