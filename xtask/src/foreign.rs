//! Other people's clients: brought, built, and set on a broker.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::test::{ALL, cargo};
use crate::{child, dirs, go, kafka_tool, python};

const NEEDS: [Need; 3] = [apt::KCAT, apt::JAVA, go::NEED];

/// Set kcat, Java's tools, kafka-python, franz-go and krafka on a broker: each creates, produces, consumes in a group of
/// three, commits, resets, describes and deletes.
#[derive(clap::Args)]
pub struct Args {
    /// The broker
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// Run only the clients whose names contain this
    filter: Option<String>,
}

/// `cargo xtask foreign`
pub fn run(args: &Args) -> Result<ExitCode> {
    Clients::bring()?.run(&args.bootstrap, args.filter.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Clients that are ready to run.
pub struct Clients {
    kafka_tools: String,
    python: PathBuf,
    go: PathBuf,
    rust: PathBuf,
}

impl Clients {
    /// Fetches and builds what isn't there.
    pub fn bring() -> Result<Self> {
        apt::ensure(&NEEDS)?;
        apt::ensure(&python::NEEDS)?;
        let sources = dirs::root().join("crates/event-bus-conformance/foreign");
        let built = dirs::cache("foreign")?;
        Ok(Self {
            kafka_tools: kafka_tool::class_path()?,
            python: python::environment(
                &sources.join("python/requirements.txt"),
                &built.join("python"),
            )?,
            go: go::build(&sources.join("go"), built.join("go-matrix"))?,
            rust: rust(&sources.join("rust/Cargo.toml"), &built.join("rust"))?,
        })
    }

    /// Runs them all against a broker, side by side.
    pub fn run(&self, bootstrap: &str, filter: Option<&str>) -> Result<()> {
        let mut tests = cargo();
        tests.arg("test").args(ALL).args(["--test", "foreign", "--"]).args(filter);
        tests.env("EVENT_BUS_TEST_BOOTSTRAP", bootstrap);
        tests.env("EVENT_BUS_TEST_KAFKA_TOOLS", &self.kafka_tools);
        tests.env("EVENT_BUS_TEST_PYTHON", &self.python);
        tests.env("EVENT_BUS_TEST_GO_MATRIX", &self.go);
        tests.env("EVENT_BUS_TEST_RUST_MATRIX", &self.rust);
        tests.env("KCAT", apt::find_program("kcat").context("kcat is not on the search path")?);
        child::run(&mut tests)
    }
}

fn rust(manifest: &Path, target: &Path) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
    child::run(build.arg("--target-dir").arg(target))?;
    Ok(target.join("debug/matrix"))
}
