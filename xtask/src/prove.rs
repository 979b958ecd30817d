//! What the project promises, tried at full length.

use std::process::ExitCode;

use anyhow::Result;

use crate::steps::Steps;
use crate::test::{self, Length};
use crate::{bench, brokers, fuzz, supply_chain, torture};

/// Ten times those of CI.
const SIMULATED_SEEDS: u64 = 200_000;

/// How long each fuzz target is fed.
const FUZZED_SECONDS: u32 = 60;

/// Run every integration test at full length, then the benchmarks.
#[derive(clap::Args)]
pub struct Args {
    /// Run only the tests whose names contain this, and no benchmarks
    filter: Option<String>,
}

/// `cargo xtask prove`
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    if steps.run("set-up", test::set_up) && steps.run("build", test::build) {
        if args.filter.is_none() {
            steps.run("simulation of the consumer", || test::simulate(SIMULATED_SEEDS));
        }
        brokers::run_integration_tests(&mut steps, args.filter.as_deref(), Length::Full);
        test::run_durability_tests(&mut steps, args.filter.as_deref(), Length::Full);
        if args.filter.is_none() {
            torture::run_full(&mut steps);
            steps.run("licences and sources", supply_chain::check);
            steps.run("bills of materials", supply_chain::write_bills);
            steps.run("fuzz targets", || fuzz::all(FUZZED_SECONDS));
            steps.run("bench publish", || bench::publish(&[]));
            steps.run("bench consume", || bench::consume(&[]));
            steps.run("bench outbox", || bench::outbox(&[]));
            steps.run("bench dlq", || bench::dlq(false, &[]));
            steps.run("bench panel", || bench::panel(false, &[]));
            steps.run("bench broker", || bench::broker(&[]));
        }
    }
    Ok(steps.report())
}
