//! Everything that CI runs, with its set-up.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::steps::Steps;
use crate::{alerts, apt, asyncapi, brokers, child, deploy, dirs, torture};

/// Run every check and test, with the set-up they need.
#[derive(clap::Args)]
pub struct Args {
    /// Leave out what needs Kafka and PostgreSQL
    #[arg(long)]
    quick: bool,
    /// Run only the tests whose names contain this, and no other checks
    filter: Option<String>,
}

/// How long the integration tests take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// What fits into CI.
    Short,
    /// Every round of every test.
    Full,
}

/// Seeds of the simulation that fit into CI.
const SIMULATED_SEEDS: u64 = 20_000;

/// Which crates and features every step works on. They are the same ones throughout, so that no
/// dependency is compiled twice with other features.
pub const ALL: [&str; 3] =
    ["--workspace", "--features", "event-bus-tests/it,event-bus-conformance/it"];

/// `cargo xtask test`
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    if steps.run("set-up", set_up) {
        let filter = args.filter.as_deref();
        if filter.is_none() {
            steps.run("format", || child::run(cargo().args(["fmt", "--all", "--check"])));
            steps.run("lints", lint);
        }
        if steps.run("build", build) {
            steps.run("unit tests", || run_unit_tests(filter));
            if filter.is_none() {
                steps.run("simulation of the consumer", || simulate(SIMULATED_SEEDS));
                steps.run("alerts", alerts::check);
                steps.run("files to deploy", deploy::check);
                steps.run("the AsyncAPI document", asyncapi::check);
            }
            if !args.quick {
                brokers::run_integration_tests(&mut steps, filter, Length::Short);
                run_durability_tests(&mut steps, filter, Length::Short);
                if filter.is_none() {
                    torture::run_short(&mut steps);
                }
            }
        }
    }
    Ok(steps.report())
}

/// Brings the system what compiling and testing need.
pub fn set_up() -> Result<()> {
    let mut needs = apt::BUILD.to_vec();
    needs.extend([
        apt::JAVA,
        apt::MAVEN,
        apt::XZ,
        apt::KCAT,
        apt::OPENSSL,
        apt::STRACE,
        apt::CHROMIUM,
        apt::CHROMEDRIVER,
        apt::ALERTMANAGER,
        apt::GIT,
    ]);
    apt::ensure(&needs)?;
    for component in ["fmt", "clippy"] {
        child::run(cargo().args([component, "--version"])).with_context(|| {
            format!("cargo {component} is missing: `rustup component add rustfmt clippy` brings it")
        })?;
    }
    Ok(())
}

fn lint() -> Result<()> {
    let mut clippy = cargo();
    clippy.arg("clippy").args(ALL).args(["--all-targets", "--", "-D", "warnings"]);
    child::run(&mut clippy)
}

/// Compiles all programs and tests.
pub fn build() -> Result<()> {
    child::run(cargo().arg("build").args(ALL).arg("--all-targets"))
}

/// Tests that need no server: in the crates, in their documentation, and of the tree itself.
fn run_unit_tests(filter: Option<&str>) -> Result<()> {
    child::run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(filter))
}

/// Runs the consumer's core in a modelled world, so many seeds.
pub fn simulate(seeds: u64) -> Result<()> {
    let mut tests = cargo();
    tests.arg("test").args(ALL).args(["--test", "simulation", "every_seed", "--", "--nocapture"]);
    child::run(tests.env("EVENT_BUS_SIMULATION_SEEDS", seeds.to_string()))
}

/// Tests that kill the embedded broker's process and break its disk. They run alone and one at a time, for they wait for
/// syncs and restarts.
pub fn run_durability_tests(steps: &mut Steps, filter: Option<&str>, length: Length) {
    steps.run("durability of the embedded broker", || {
        let mut tests = cargo();
        tests.arg("test").args(ALL).args(["--test", "durability", "--", "--test-threads=1"]);
        tests.args(filter).env("EVENT_BUS_TEST_BIN", dirs::target()?.join("debug/event-bus"));
        if length == Length::Full {
            tests.env("EVENT_BUS_TEST_FULL", "1");
        }
        child::run(&mut tests)
    });
}

/// The cargo that runs us, at the repository's root, without the terminal's input.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = child::tied(program, "TERM");
    command.current_dir(dirs::root()).stdin(Stdio::null());
    command
}
