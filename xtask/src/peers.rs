//! Other libraries that benchmarks run beside ours: the Maven projects of `bench/peers/`, and a program of the crates
//! registry.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::log::Log;
use crate::test::cargo;
use crate::{child, dirs};

const NEEDS: [Need; 2] =
    [apt::MAVEN, Need::Program { name: "javac", package: "openjdk-17-jdk-headless" }];

/// Those that consume.
pub const CONSUMERS: &[&str] = &["spring", "parallel"];
/// Those that relay an outbox.
pub const RELAYS: &[&str] = &["debezium"];

/// Builds some, and says in which directory each has its own with `classes` and `lib`.
pub fn build(projects: &[&str]) -> Result<PathBuf> {
    apt::ensure(&NEEDS)?;
    let built = dirs::cache("peers")?;
    for project in projects {
        let sources = dirs::root().join("bench/peers").join(project);
        let log = Log::create(&format!("peers-{project}"))?;
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-q", "-Dstyle.color=never", "package", "-f"]).arg(sources);
        maven.arg(format!("-Dbuilt={}", built.join(project).display()));
        log.take_output(&mut maven)?;
        child::run(&mut maven)
            .map_err(|error| log.explain(error))
            .with_context(|| format!("cannot build the peer {project}"))?;
    }
    Ok(built)
}

/// The exporter of lag that the crates registry has, at the version that was measured.
const KLAG_EXPORTER: &str = "klag-exporter@0.1.29";

/// What its client is built by and of.
const KLAG_NEEDS: [Need; 3] = [
    Need::Program { name: "cmake", package: "cmake" },
    Need::Library { name: "libsasl2", package: "libsasl2-dev" },
    Need::Library { name: "libcurl", package: "libcurl4-openssl-dev" },
];

/// Builds the exporter of lag, once: its program.
pub fn klag_exporter() -> Result<PathBuf> {
    apt::ensure(&KLAG_NEEDS)?;
    let root = dirs::cache("peers")?.join(KLAG_EXPORTER);
    let program = root.join("bin/klag-exporter");
    if !program.is_file() {
        let mut install = cargo();
        install.args(["install", "--locked", KLAG_EXPORTER, "--root"]).arg(root);
        child::run(&mut install).context("cannot build the peer klag-exporter")?;
    }
    Ok(program)
}
