//! The AsyncAPI documents, by AsyncAPI's own parser. It is fetched for tests and is in nothing that we ship.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, child, dirs};

const NEEDS: [apt::Need; 2] = [
    apt::Need::Program { name: "node", package: "nodejs" },
    apt::Need::Program { name: "npm", package: "npm" },
];
/// Besides the whole document one of a single service is checked.
const SERVICE: &str = "payment";
const SCRIPT: &str = "check.mjs";
const FILES: [&str; 3] = ["package.json", "package-lock.json", SCRIPT];

/// Checks the shipped document, and one of a service. The script also breaks a document and wants that to be noticed.
pub fn check() -> Result<()> {
    apt::ensure(&NEEDS)?;
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

/// A directory with the script and the packages that its lock file names by their sums.
fn installed() -> Result<PathBuf> {
    let from = dirs::root().join("deploy/schemas/asyncapi");
    let to = dirs::cache("asyncapi")?;
    let wanted = fs::read_to_string(from.join("package-lock.json"))
        .context("cannot read the lock file of AsyncAPI's parser")?;
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    // Written last, so that an installation that was ended half-way doesn't count.
    let stamp = to.join("installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(to);
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&to).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    child::run(&mut npm)?;
    fs::write(&stamp, wanted)?;
    Ok(to)
}
