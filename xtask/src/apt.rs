//! What a new machine lacks, installed from Debian's packages when we may.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{child, dirs};

/// Something this repository needs from the system, and the package that brings it.
#[derive(Clone, Copy)]
pub enum Need {
    /// A program on the search path.
    Program { name: &'static str, package: &'static str },
    /// A module of Python's standard library, which Debian has in a package of its own.
    PythonModule { name: &'static str, package: &'static str },
    /// A C library that pkg-config must find.
    Library { name: &'static str, package: &'static str },
}

pub const JAVA: Need = Need::Program { name: "java", package: "openjdk-17-jre-headless" };
pub const MAVEN: Need = Need::Program { name: "mvn", package: "maven" };
pub const XZ: Need = Need::Program { name: "xz", package: "xz-utils" };
pub const KCAT: Need = Need::Program { name: "kcat", package: "kcat" };
pub const CHROMIUM: Need = Need::Program { name: "chromium", package: "chromium" };
pub const CHROMEDRIVER: Need = Need::Program { name: "chromedriver", package: "chromium-driver" };
/// Installed, for it reads its templates from where its package puts them.
pub const ALERTMANAGER: Need =
    Need::Program { name: "prometheus-alertmanager", package: "prometheus-alertmanager" };
pub const GIT: Need = Need::Program { name: "git", package: "git" };
/// Revokes certificates, as an authority does.
pub const OPENSSL: Need = Need::Program { name: "openssl", package: "openssl" };
pub const STRACE: Need = Need::Program { name: "strace", package: "strace" };

/// What compiling the workspace needs besides Rust.
pub const BUILD: [Need; 5] = [
    Need::Program { name: "cc", package: "build-essential" },
    Need::Program { name: "make", package: "build-essential" },
    Need::Program { name: "pkg-config", package: "pkg-config" },
    Need::Library { name: "openssl", package: "libssl-dev" },
    Need::Library { name: "zlib", package: "zlib1g-dev" },
];

impl Need {
    fn package(self) -> &'static str {
        match self {
            Self::Program { package, .. }
            | Self::PythonModule { package, .. }
            | Self::Library { package, .. } => package,
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::Program { name, .. } => find_program(name).is_some(),
            Self::PythonModule { name, .. } => Command::new("python3")
                .args(["-c", &format!("import {name}")])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Self::Library { name, .. } => Command::new("pkg-config")
                .args(["--exists", name])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

/// Installs the packages of those needs that are not met.
///
/// Fails with the command to run when the user may not install packages, or has no apt-get.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let mut missing: Vec<&str> =
        needs.iter().filter(|need| !need.is_met()).map(|need| need.package()).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if find_program("apt-get").is_none() {
        bail!("missing on this system (by Debian's package names): {packages}; install them first");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("missing packages: {packages}; run `sudo apt-get install {packages}` first");
    }
    println!("installing {packages}");
    child::run(apt_get().args(["-qq", "update"]))?;
    child::run(apt_get().args(["-qq", "-y", "--no-install-recommends", "install"]).args(&missing))?;
    Ok(())
}

/// A program of a Debian package that is unpacked beneath `target/xtask` and not installed, for an installation would
/// start the package's server; or the system's, where it has it.
pub fn unpacked(program: &str, package: &str) -> Result<PathBuf> {
    if let Some(installed) = find_program(program) {
        return Ok(installed);
    }
    let dir = dirs::cache("debian")?.join(package);
    let unpacked = dir.join("usr/bin").join(program);
    if !unpacked.is_file() {
        if find_program("apt-get").is_none() {
            bail!(
                "{program} is missing, which Debian has in its package {package}: put it on the search path"
            );
        }
        let download = tempfile::tempdir_in(dirs::cache("debian")?)?;
        println!("unpacking {package}");
        // Without root the lists of packages have to be there already.
        if rustix::process::geteuid().is_root() {
            child::run(apt_get().args(["-qq", "update"]))?;
        }
        child::run(apt_get().args(["-qq", "download", package]).current_dir(download.path()))?;
        for file in fs::read_dir(download.path())? {
            child::run(Command::new("dpkg-deb").arg("--extract").arg(file?.path()).arg(&dir))?;
        }
    }
    Ok(unpacked)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another installation may be under way: wait for its lock.
    command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The path of a program, if the search path has it.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}
