//! The reference services of `compat/services`: brought, built, and held to the contract on a broker.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::log::Log;
use crate::postgres::Postgres;
use crate::test::{ALL, cargo};
use crate::{child, dirs, go, npm, python};

const NEEDS: [Need; 4] = [
    apt::KCAT,
    apt::MAVEN,
    Need::Program { name: "javac", package: "openjdk-17-jdk-headless" },
    go::NEED,
];

/// Hold the reference services in Python, Node, Java and Go to the contract on a broker: what they publish, and what they do with
/// events, duplicates, junk, poison and replays.
#[derive(clap::Args)]
pub struct Args {
    /// The broker
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// Run only the tests whose names contain this
    filter: Option<String>,
}

/// `cargo xtask services`
pub fn run(args: &Args) -> Result<ExitCode> {
    child::run(cargo().arg("build").args(ALL).args(["--bin", "event-bus"]))?;
    let postgres = Postgres::start(None, &[])?;
    Services::bring()?.run(&args.bootstrap, &postgres, args.filter.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Services that are ready to run.
pub struct Services {
    python: PathBuf,
    node_modules: PathBuf,
    java: PathBuf,
    go: PathBuf,
}

impl Services {
    /// Fetches and builds what isn't there.
    pub fn bring() -> Result<Self> {
        apt::ensure(&NEEDS)?;
        apt::ensure(&npm::NEEDS)?;
        apt::ensure(&python::NEEDS)?;
        let sources = dirs::root().join("compat/services");
        let built = dirs::cache("services")?;
        npm::install(&sources.join("node"), &built.join("node"))?;
        Ok(Self {
            python: python::environment(
                &sources.join("python/requirements.txt"),
                &built.join("python"),
            )?,
            node_modules: built.join("node/node_modules"),
            java: java(&sources.join("java"), built.join("java"))?,
            go: go::build(&sources.join("go"), built.join("go-service"))?,
        })
    }

    /// Runs the tests of all of them on a broker, side by side.
    pub fn run(&self, bootstrap: &str, postgres: &Postgres, filter: Option<&str>) -> Result<()> {
        let mut tests = cargo();
        tests.arg("test").args(ALL).args(["--test", "services", "--"]).args(filter);
        // Most of their time they wait for retries.
        tests.arg("--test-threads=8");
        tests.env("EVENT_BUS_TEST_BOOTSTRAP", bootstrap);
        tests.env("EVENT_BUS_TEST_POSTGRES", postgres.url());
        tests.env("EVENT_BUS_TEST_BIN", dirs::target()?.join("debug/event-bus"));
        tests.env("KCAT", apt::find_program("kcat").context("kcat is not on the search path")?);
        tests.env("EVENT_BUS_TEST_SERVICE_PYTHON", &self.python);
        tests.env("EVENT_BUS_TEST_SERVICE_NODE", &self.node_modules);
        let (classes, lib) = (self.java.join("classes"), self.java.join("lib"));
        let class_path = format!("{}:{}/*", classes.display(), lib.display());
        tests.env("EVENT_BUS_TEST_SERVICE_JAVA", class_path);
        tests.env("EVENT_BUS_TEST_SERVICE_GO", &self.go);
        child::run(&mut tests)
    }
}

fn java(sources: &Path, built: PathBuf) -> Result<PathBuf> {
    let log = Log::create("services-java")?;
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q", "-Dstyle.color=never", "package", "-f"]).arg(sources);
    maven.arg(format!("-Dbuilt={}", built.display()));
    log.take_output(&mut maven)?;
    child::run(&mut maven)
        .map_err(|error| log.explain(error))
        .context("cannot build the service in Java")?;
    Ok(built)
}
