//! What of others is in the programs: whether it may be, and a list of it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::test::cargo;
use crate::{child, dirs};

/// Checks licences, sources, unwanted crates and advisories by `deny.toml`.
const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Writes bills of materials.
const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9" };

/// A program of somebody else's, compiled once into the cache.
struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    fn program(&self) -> Result<PathBuf> {
        let root = dirs::cache(&format!("tools/{}-{}", self.name, self.version))?;
        let program = root.join("bin").join(self.name);
        if !program.exists() {
            let mut install = cargo();
            install.args(["install", "--locked", self.name, "--version", self.version, "--root"]);
            child::run(install.arg(&root))?;
        }
        Ok(program)
    }

    /// It, at the repository's root.
    fn command(&self) -> Result<Command> {
        let mut command = child::tied(self.program()?, "TERM");
        command.current_dir(dirs::root());
        Ok(command)
    }
}

/// Check licences, sources and advisories of all crates that are used, and write a CycloneDX bill of materials.
#[derive(clap::Args)]
pub struct Args {
    /// Leave advisories out: their database comes from a network that is not everywhere
    #[arg(long)]
    offline: bool,
}

/// `cargo xtask supply-chain`
pub fn run(args: &Args) -> Result<ExitCode> {
    check()?;
    write_bills()?;
    if args.offline {
        println!("advisories were not looked at");
    } else {
        advisories()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Licences, sources and unwanted crates.
pub fn check() -> Result<()> {
    child::run(DENY.command()?.args(["check", "bans", "licenses", "sources"]))
}

/// Known defects of the crates that are used, by the newest database.
fn advisories() -> Result<()> {
    let mut deny = DENY.command()?;
    child::run(deny.args(["check", "advisories"]))
        .context("advisories were found, or their database can't be had: --offline leaves them out")
}

/// The bill of materials of the program that is shipped, as CycloneDX has it.
pub fn write_bills() -> Result<()> {
    const FILE: &str = "sbom";
    let mut bills = CYCLONEDX.command()?;
    bills.args(["cyclonedx", "--format", "json", "--spec-version", "1.5"]);
    bills.args(["--all-features", "--override-filename", FILE]);
    bills.args(["--manifest-path", "crates/event-bus-cli/Cargo.toml"]);
    child::run(&mut bills)?;
    // It writes one beside each crate of the workspace.
    let (crates, bills) = (dirs::root().join("crates"), dirs::cache("sbom")?);
    for found in fs::read_dir(&crates).context("the crates can't be listed")? {
        let found = found?.path();
        moved(&found.join(FILE).with_extension("json"), &bills, found.file_name())?;
    }
    moved(&dirs::root().join("xtask").join(FILE).with_extension("json"), &bills, None)?;
    println!("bills of materials are in {}", bills.display());
    Ok(())
}

/// Moves a bill, if it is there, or removes it where it has no name.
fn moved(bill: &Path, bills: &Path, name: Option<&OsStr>) -> Result<()> {
    if !bill.exists() {
        return Ok(());
    }
    match name {
        Some(name) => fs::rename(bill, bills.join(name).with_extension("cdx.json")),
        None => fs::remove_file(bill),
    }
    .with_context(|| format!("{} can't be moved", bill.display()))
}
