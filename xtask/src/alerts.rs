//! Prometheus' and Alertmanager's own checks of what is in `deploy/`, and the tests of its alerts.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{apt, child, dirs};

const RULES: [&str; 2] =
    ["deploy/prometheus/rules.yml", "crates/event-bus-cli/tests/deploy/other/rules.yml"];
const TESTS: [&str; 2] =
    ["deploy/prometheus/rules_test.yml", "crates/event-bus-cli/tests/deploy/other/rules_test.yml"];

/// Checks the files, and runs the tests of the alerts.
pub fn check() -> Result<()> {
    let promtool = apt::unpacked("promtool", "prometheus")?;
    let amtool = apt::unpacked("amtool", "prometheus-alertmanager")?;
    let run = |tool: &Path, verb: &[&str], files: &[&str]| {
        child::run(Command::new(tool).args(verb).args(files).current_dir(dirs::root()))
    };
    run(&promtool, &["check", "config"], &["deploy/prometheus/prometheus.yml"])?;
    run(&promtool, &["check", "rules", "--lint-fatal"], &RULES)?;
    run(&promtool, &["test", "rules"], &TESTS)?;
    run(&amtool, &["check-config"], &["deploy/alertmanager/alertmanager.yml"])
}
