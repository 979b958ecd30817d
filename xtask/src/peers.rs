//! Other libraries that benchmarks run beside ours: the Maven projects of `bench/peers/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::log::Log;
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
