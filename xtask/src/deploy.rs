//! What is in `deploy/`, by the schemas of those who read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{apt, child, dirs, go, python};

/// The Go module that has the Compose Specification's schema, and the schema in it.
const COMPOSE: &str = "github.com/compose-spec/compose-go/v2@v2.9.0";
const COMPOSE_SCHEMA: &str = "schema/compose-spec.json";

/// Checks the compose file and the resources of Kubernetes.
pub fn check() -> Result<()> {
    apt::ensure(&[go::NEED])?;
    apt::ensure(&python::NEEDS)?;
    let deploy = dirs::root().join("deploy");
    let schemas = deploy.join("schemas");
    let environment = dirs::cache("deploy")?.join("python");
    let python = python::environment(&schemas.join("requirements.txt"), &environment)?;
    let mut check = Command::new(python);
    check.arg(schemas.join("check.py")).arg(&deploy).arg(compose_schema()?);
    check.arg(apt::unpacked("promtool", "prometheus")?);
    child::run(&mut check)
}

/// Kept in `target/xtask`, so that it is fetched once.
fn compose_schema() -> Result<PathBuf> {
    let kept = dirs::cache("deploy")?.join("compose-spec.json");
    if !kept.is_file() {
        // A module whose sums are looked up, and which is compiled by nobody.
        let mut fetch = Command::new("go");
        fetch.args(["mod", "download", "-json", COMPOSE]).env("GOTOOLCHAIN", "local");
        fetch.current_dir(dirs::cache("deploy")?).stderr(Stdio::inherit());
        let told = fetch.output().context("go can't be run")?;
        if !told.status.success() {
            bail!("{COMPOSE} can't be fetched ({})", told.status);
        }
        let told = String::from_utf8_lossy(&told.stdout);
        let dir = told
            .lines()
            .find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.split('"').next());
        let schema =
            Path::new(dir.context("go does not say where the module is")?).join(COMPOSE_SCHEMA);
        fs::copy(&schema, &kept).with_context(|| format!("cannot copy {}", schema.display()))?;
    }
    Ok(kept)
}
