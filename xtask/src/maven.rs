//! Java archives by pinned version, kept in `target/xtask`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::log::Log;
use crate::{apt, child, dirs};

/// A pinned set of archives: what one pom asks for.
#[derive(Clone, Copy)]
pub struct Pom {
    /// The directory's name in the cache.
    pub name: &'static str,
    /// The pom's text; a copy is compared to tell whether the cache is current.
    pub text: &'static str,
    /// The goal of Maven's dependency plugin that puts the files into `outputDirectory`.
    pub goal: &'static str,
}

/// A fetch that fails once, as networks do, is tried again.
const ATTEMPTS: u32 = 3;

/// The directory that holds the pom's files, fetched when it isn't there or was for another pom.
///
/// Safe when two processes ask at once: one fetches, the other waits.
pub fn fetch(pom: Pom) -> Result<PathBuf> {
    let cache = dirs::cache("maven")?;
    let lock = File::create(cache.join(format!("{}.lock", pom.name)))?;
    lock.lock().with_context(|| format!("cannot lock the cache of {}", pom.name))?;

    let dir = cache.join(pom.name);
    let files = dir.join("files");
    // Gets its name last, so that a fetch that was ended half-way doesn't count.
    let stamp = dir.join("fetched.xml");
    if fs::read_to_string(&stamp).is_ok_and(|had| had == pom.text) {
        return Ok(files);
    }
    apt::ensure(&[apt::MAVEN])?;
    println!("fetching {} through Maven", pom.name);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let asked = dir.join("pom.xml");
    fs::write(&asked, pom.text)?;
    run_maven(pom, &asked, &files)?;
    fs::rename(&asked, &stamp)?;
    Ok(files)
}

fn run_maven(pom: Pom, asked: &Path, files: &Path) -> Result<()> {
    let log = Log::create(&format!("maven-{}", pom.name))?;
    let mut attempt = 1;
    loop {
        let mut command = Command::new("mvn");
        command.args(["-B", "-q", "-Dstyle.color=never", "-f"]).arg(asked);
        command.arg(format!("dependency:{}", pom.goal));
        command.arg(format!("-DoutputDirectory={}", files.display()));
        log.take_output(&mut command)?;
        match child::run(&mut command) {
            Ok(()) => return Ok(()),
            Err(error) if attempt == ATTEMPTS || child::interrupted() => {
                return Err(log.explain(error).context(format!("cannot fetch {}", pom.name)));
            }
            Err(error) => eprintln!("{error:#}; trying again"),
        }
        attempt += 1;
    }
}

/// The class path that names every archive in the directory.
pub fn class_path(jars: &Path) -> String {
    format!("{}/*", jars.display())
}
